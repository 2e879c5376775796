"""How often the intervals of `pcam_sklearn.metrics` cover the truth, where slides differ.

Simulated slides have sizes that vary, half of them hold no tumour, and each shifts the scores of
all its patches and of its tumour patches by normal amounts. The area under the ROC curve between
patches of different slides, sensitivity and specificity at a threshold, and the true positive rate
at a false positive rate then have closed forms, with which the intervals are compared. Two models
of equal difficulty show how often a test of their difference rejects what is true.

    python benchmarks/bootstrap_coverage.py            # 2,000 sets per setting, about an hour
    python benchmarks/bootstrap_coverage.py --sets 100 # a first look

Prints a table and writes `benchmarks/results/bootstrap_coverage.csv`.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from pcam_sklearn.metrics import (
    Interval,
    OperatingPoint,
    auc_cluster_bootstrap,
    auc_delong,
    delong_test,
    roc_band,
)
from pcam_sklearn.metrics._bootstrap import draw_slides, slide_wins
from pcam_sklearn.metrics._interval import count_by_slide

RESULTS = Path(__file__).parent / "results" / "bootstrap_coverage.csv"
FPR = 0.05


class Setting(NamedTuple):
    """What a simulated set of patches is like."""

    n_slides: int
    slide_sd: float  # of the shift of a slide's scores, in units of a patch's own noise
    auc: float

    @property
    def tumour_sd(self) -> float:
        """Standard deviation of the further shift of a slide's tumour patches."""
        return self.slide_sd / 2

    @property
    def normal_score_sd(self) -> float:
        """Standard deviation of the scores of normal patches."""
        return float(np.hypot(1, self.slide_sd))

    @property
    def tumour_score_sd(self) -> float:
        """Standard deviation of the scores of tumour patches."""
        return float(np.hypot(self.normal_score_sd, self.tumour_sd))

    @property
    def distance(self) -> float:
        """Mean score of tumour patches above normal ones that has this area."""
        return float(norm.ppf(self.auc) * np.hypot(self.normal_score_sd, self.tumour_score_sd))


class Sample(NamedTuple):
    """Patches of a simulated set, scored by two models of equal difficulty."""

    y: np.ndarray
    score: np.ndarray
    rival: np.ndarray
    slide: np.ndarray


def simulate(setting: Setting, rng: np.random.Generator) -> Sample:
    """Draw slides of about 60 patches, 15 to 170 for most, and two models' scores for them."""
    n = setting.n_slides
    sizes = np.maximum(8, rng.lognormal(np.log(60) - 0.18, 0.6, n).astype(int))
    tumour = rng.permutation(n) < n // 2
    share = np.where(tumour, rng.beta(2, 2, n), 0.0)
    slide = np.repeat(np.arange(n), sizes)
    y = rng.random(len(slide)) < share[slide]
    return Sample(y, *score_twice(setting, y, slide, rng), slide)


def score_twice(
    setting: Setting, y: np.ndarray, slide: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of two models that share half of the variance of every effect."""
    n = setting.n_slides
    shift, extra = rng.normal(size=(3, n)), rng.normal(size=(3, n))
    noise = rng.normal(size=(3, len(y)))
    models = []
    for own in (1, 2):
        of_slide, of_tumour, of_patch = (
            (effect[0] + effect[own]) / np.sqrt(2) for effect in (shift, extra, noise)
        )
        signal = setting.distance + setting.tumour_sd * of_tumour[slide]
        models.append(setting.slide_sd * of_slide[slide] + of_patch + y * signal)
    return models[0], models[1]


def measure(
    setting: Setting, sample: Sample, seed: int, naive: bool
) -> Iterator[tuple[str, str, float, Interval]]:
    """Yield quantity, method, true value and interval."""
    y, score, rival, slide = sample
    area = setting.auc
    yield (
        "AUC",
        "cluster bootstrap",
        area,
        auc_cluster_bootstrap(y, score, slide, n_rounds=1000, random_state=seed),
    )
    yield "AUC", "cluster bootstrap, percentiles", area, percentiles(sample, seed)
    yield "AUC", "DeLong (patches)", area, auc_delong(y, score)
    if naive:
        patches = np.arange(len(y))
        yield (
            "AUC",
            "bootstrap of patches",
            area,
            auc_cluster_bootstrap(y, score, patches, n_rounds=500, random_state=seed),
        )
    threshold = setting.distance / 2
    point = OperatingPoint(threshold, np.nan, np.nan, "half way")
    sensitivity = norm.cdf((setting.distance - threshold) / setting.tumour_score_sd)
    specificity = norm.cdf(threshold / setting.normal_score_sd)
    for method, groups in (("cluster bootstrap", slide), ("Wilson (patches)", None)):
        result = point.evaluate(y, score, groups, n_rounds=1000, random_state=seed)
        yield "sensitivity", method, sensitivity, result.sensitivity
        yield "specificity", method, specificity, result.specificity
    rate = norm.cdf(
        (setting.distance - norm.isf(FPR) * setting.normal_score_sd) / setting.tumour_score_sd
    )
    band = roc_band(y, score, slide, fpr=[FPR], n_rounds=500, random_state=seed)
    yield (
        "TPR at FPR 5 %",
        "cluster bootstrap",
        rate,
        Interval(float(band.tpr[0]), float(band.low[0]), float(band.high[0])),
    )
    test = delong_test(y, score, rival)
    yield "AUC difference", "DeLong (patches)", 0.0, test.difference
    yield (
        "AUC difference",
        "clustered DeLong",
        0.0,
        delong_test(y, score, rival, groups=slide).difference,
    )


def percentiles(sample: Sample, seed: int) -> Interval:
    """Return the textbook percentile interval of the same rounds."""
    n_slides = sample.slide.max() + 1
    counts = count_by_slide(sample.y, sample.slide, n_slides)
    drawn = draw_slides(*counts, 1000, seed)
    wins = slide_wins(sample.y, sample.score, sample.slide, n_slides)
    areas = ((drawn @ wins) * drawn).sum(axis=1) / (drawn @ counts[0]) / (drawn @ counts[1])
    return Interval(float(np.nan), *np.quantile(areas, [0.025, 0.975]))


def study(setting: Setting, n_sets: int) -> list[dict[str, Any]]:
    """Return one row per quantity and method: how often its interval held the true value."""
    seed = [setting.n_slides, round(10 * setting.slide_sd), round(1000 * setting.auc)]
    rng = np.random.default_rng(seed)
    seen: dict[tuple[str, str], list[tuple[bool, bool, float]]] = defaultdict(list)
    for number in range(n_sets):
        sample = simulate(setting, rng)
        for quantity, method, truth, interval in measure(
            setting, sample, number, naive=number < n_sets // 10
        ):
            missed = (truth < interval.low, truth > interval.high)
            seen[quantity, method].append((*missed, interval.high - interval.low))
    return [
        {**setting._asdict(), "quantity": quantity, "method": method, **summary(values)}
        for (quantity, method), values in seen.items()
    ]


def summary(values: list[tuple[bool, bool, float]]) -> dict[str, float]:
    below, above, width = np.asarray(values, dtype=float).T
    return {
        "coverage": 1 - below.mean() - above.mean(),
        "truth_below": below.mean(),
        "truth_above": above.mean(),
        "width": width.mean(),
        "n_sets": len(values),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000, help="simulated sets per setting")
    parser.add_argument("--output", type=Path, default=RESULTS, help="csv file to write")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for values in itertools.product((20, 30, 50), (0.0, 0.5, 1.0), (0.85, 0.95)):
        setting = Setting(*values)
        print(f"{setting}: {arguments.sets} sets", flush=True)
        rows += study(setting, arguments.sets)
    table = pd.DataFrame(rows)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(arguments.output, index=False, float_format="%.4f", lineterminator="\n")
    wide = table.pivot_table(
        index=["quantity", "method"], columns=["slide_sd", "n_slides", "auc"], values="coverage"
    )
    print((100 * wide).round(1).to_string())


if __name__ == "__main__":
    main()

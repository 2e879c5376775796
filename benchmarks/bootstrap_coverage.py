"""Measure how often the intervals of `pcam_sklearn.metrics` cover the truth when slides differ.

    python benchmarks/bootstrap_coverage.py              2,000 sets per setting, about an hour
    python benchmarks/bootstrap_coverage.py --sets 100   a first look

The script simulates sets of slides. Slides have different sizes, and half of them hold no tumour.
Each slide shifts the scores of all its patches by a normal amount, and those of its tumour patches
by a further one. The true values then have closed forms: the area under the ROC curve between
patches of different slides, sensitivity and specificity at a threshold, and the true positive rate
at a false positive rate. The script compares the intervals with these values. Two models of equal
difficulty show how often a test rejects a difference of zero.

It prints a table and writes benchmarks/results/bootstrap_coverage.csv.
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
NAIVE_SHARE = 10  # One set in ten is enough to show that resampling patches covers too little.


class Setting(NamedTuple):
    """Size and difficulty of a simulated set of patches."""

    n_slides: int
    slide_sd: float  # Spread of the slides' shifts, where the noise of a patch is 1.
    auc: float

    @property
    def tumour_sd(self) -> float:
        """Standard deviation of the further shift that a slide gives its tumour patches."""
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
        """Distance of the mean scores of tumour and normal patches that gives the area `auc`."""
        return float(norm.ppf(self.auc) * np.hypot(self.normal_score_sd, self.tumour_score_sd))


class Sample(NamedTuple):
    """Patches of a simulated set, scored by two models of equal difficulty."""

    y: np.ndarray
    score: np.ndarray
    rival: np.ndarray
    slide: np.ndarray


def simulate(setting: Setting, rng: np.random.Generator) -> Sample:
    """Draw slides of about 60 patches, most of 15 to 170, and the scores of two models."""
    n = setting.n_slides
    # Subtracting half of the variance, 0.6**2 / 2, keeps the mean of the log-normal sizes at 60.
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
    for model in (1, 2):
        # Effect 0 is shared by both models. Dividing by the root of 2 keeps the variance.
        slide_effect, tumour_effect, patch_effect = (
            (effect[0] + effect[model]) / np.sqrt(2) for effect in (shift, extra, noise)
        )
        signal = setting.distance + setting.tumour_sd * tumour_effect[slide]
        models.append(setting.slide_sd * slide_effect[slide] + patch_effect + y * signal)
    return models[0], models[1]


def measure(
    setting: Setting, sample: Sample, seed: int, naive: bool
) -> Iterator[tuple[str, str, float, Interval]]:
    """Yield quantity, method, true value and interval for each interval of a sample."""
    for method, interval in auc_intervals(sample, seed, naive):
        yield "AUC", method, setting.auc, interval
    yield from threshold_intervals(setting, sample, seed)
    yield from tpr_intervals(setting, sample, seed)
    for method, groups in (("DeLong (patches)", None), ("clustered DeLong", sample.slide)):
        test = delong_test(sample.y, sample.score, sample.rival, groups=groups)
        yield "AUC difference", method, 0.0, test.difference


def auc_intervals(sample: Sample, seed: int, naive: bool) -> Iterator[tuple[str, Interval]]:
    """Yield the method and the interval for the area under the ROC curve."""
    y, score, _, slide = sample
    interval = auc_cluster_bootstrap(y, score, slide, n_rounds=1000, random_state=seed)
    yield "cluster bootstrap", interval
    yield "cluster bootstrap, percentiles", percentile_interval(sample, seed)
    yield "DeLong (patches)", auc_delong(y, score)
    if naive:
        patches = np.arange(len(y))
        interval = auc_cluster_bootstrap(y, score, patches, n_rounds=500, random_state=seed)
        yield "bootstrap of patches", interval


def threshold_intervals(
    setting: Setting, sample: Sample, seed: int
) -> Iterator[tuple[str, str, float, Interval]]:
    """Yield the intervals for sensitivity and specificity half way between the two means."""
    threshold = setting.distance / 2
    point = OperatingPoint(threshold, np.nan, np.nan, "half way")
    sensitivity = norm.cdf((setting.distance - threshold) / setting.tumour_score_sd)
    specificity = norm.cdf(threshold / setting.normal_score_sd)
    for method, groups in (("cluster bootstrap", sample.slide), ("Wilson (patches)", None)):
        result = point.evaluate(sample.y, sample.score, groups, n_rounds=1000, random_state=seed)
        yield "sensitivity", method, sensitivity, result.sensitivity
        yield "specificity", method, specificity, result.specificity


def tpr_intervals(
    setting: Setting, sample: Sample, seed: int
) -> Iterator[tuple[str, str, float, Interval]]:
    """Yield the interval for the true positive rate at a fixed false positive rate."""
    threshold = norm.isf(FPR) * setting.normal_score_sd
    rate = norm.cdf((setting.distance - threshold) / setting.tumour_score_sd)
    band = roc_band(
        sample.y, sample.score, sample.slide, fpr=[FPR], n_rounds=500, random_state=seed
    )
    interval = Interval(float(band.tpr[0]), float(band.low[0]), float(band.high[0]))
    yield "TPR at FPR 5 %", "cluster bootstrap", rate, interval


def percentile_interval(sample: Sample, seed: int) -> Interval:
    """Return the textbook percentile interval of the same rounds."""
    n_slides = sample.slide.max() + 1
    counts = count_by_slide(sample.y, sample.slide, n_slides)
    drawn = draw_slides(*counts, 1000, seed)
    wins = slide_wins(sample.y, sample.score, sample.slide, n_slides)
    areas = ((drawn @ wins) * drawn).sum(axis=1) / (drawn @ counts[0]) / (drawn @ counts[1])
    return Interval(float(np.nan), *np.quantile(areas, [0.025, 0.975]))


def study(setting: Setting, n_sets: int) -> list[dict[str, Any]]:
    """Return one row per quantity and method, with the coverage of its intervals."""
    seed = [setting.n_slides, round(10 * setting.slide_sd), round(1000 * setting.auc)]
    rng = np.random.default_rng(seed)
    results: dict[tuple[str, str], list[tuple[bool, bool, float]]] = defaultdict(list)
    for number in range(n_sets):
        sample, naive = simulate(setting, rng), number < n_sets // NAIVE_SHARE
        for quantity, method, truth, interval in measure(setting, sample, number, naive):
            missed = (truth < interval.low, truth > interval.high)
            results[quantity, method].append((*missed, interval.high - interval.low))
    return [
        {**setting._asdict(), "quantity": quantity, "method": method, **summarize(values)}
        for (quantity, method), values in results.items()
    ]


def summarize(values: list[tuple[bool, bool, float]]) -> dict[str, float]:
    """Return the coverage, the two ways to miss it and the mean width of intervals."""
    below, above, width = np.asarray(values, dtype=float).T
    return {
        "coverage": 1 - below.mean() - above.mean(),
        "truth_below": below.mean(),
        "truth_above": above.mean(),
        "width": width.mean(),
        "n_sets": len(values),
    }


def main() -> None:
    """Study all settings, write the rows and print the coverage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sets", type=int, default=2000, help="simulated sets per setting (default: 2000)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS,
        help="CSV file to write (default: results/bootstrap_coverage.csv)",
    )
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

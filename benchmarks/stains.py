"""Measure how far apart the pinker and the bluer slides are, and which slides put them there.

    python benchmarks/stains.py FOLDER

FOLDER is in Kaggle's layout, with a slides.csv. The script trains nothing: it reads the
predictions that accuracy.py wrote. For each recipe with all folds and seeds it takes the AUC of the
pinker slides and of the bluer ones, each the mean over the seeds, and their distance, with a 95 %
interval over slides. Then it leaves out, from each colour, the slide without which that AUC is
highest. It writes benchmarks/results/stains.csv.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import N_FOLDS, PREDICTIONS, RESULTS, SEEDS
from sklearn.metrics import roc_auc_score

from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.report import stain_of_slides

N_RESAMPLES = 2000


def read_predictions(folder: Path) -> dict[str, pd.DataFrame]:
    """Return a row per patch and a column per seed, for each recipe that has all fits."""
    data = load_kaggle(folder)
    truth = pd.DataFrame({
        "id": data.ids,
        "y": data.target,
        "slide": data.groups,
        "stain": stain_of_slides(data.paths, data.groups),
    }).set_index("id")  # fmt: skip
    runs = pd.read_csv(PREDICTIONS).query("n_train == 0")
    whole = {}
    for recipe, rows in runs.groupby("recipe", sort=False):
        if len(rows[["fold", "seed"]].drop_duplicates()) == N_FOLDS * len(SEEDS):
            whole[recipe] = truth.join(rows.pivot_table("probability", "id", "seed"))
    return whole


def auc_of_stain(patches: pd.DataFrame, stain: str) -> float:
    """Return the AUC of the patches of one colour, the mean over the seeds."""
    chosen = patches[patches["stain"] == stain]
    return float(np.mean([roc_auc_score(chosen["y"], chosen[seed]) for seed in SEEDS]))


def distance(patches: pd.DataFrame) -> float:
    """Return by how much the AUC of the bluer slides exceeds that of the pinker ones."""
    return auc_of_stain(patches, "bluer") - auc_of_stain(patches, "pinker")


def interval_over_slides(patches: pd.DataFrame) -> tuple[float, float]:
    """Return a 95 % interval of the distance: slides are resampled within each colour."""
    generator = np.random.default_rng(0)
    of_slide = dict(list(patches.groupby("slide")))
    colours = [rows["slide"].unique() for _, rows in patches.groupby("stain")]
    distances = []
    for _ in range(N_RESAMPLES):
        drawn = np.concatenate([generator.choice(slides, len(slides)) for slides in colours])
        distances.append(distance(pd.concat([of_slide[slide] for slide in drawn])))
    low, high = np.quantile(distances, [0.025, 0.975])
    return float(low), float(high)


def hardest_slide(patches: pd.DataFrame, stain: str) -> tuple[str, float]:
    """Return the slide without which the AUC of its colour is highest, and that AUC."""
    slides = patches.loc[patches["stain"] == stain, "slide"].unique()
    without = {slide: auc_of_stain(patches[patches["slide"] != slide], stain) for slide in slides}
    return max(without.items(), key=lambda item: item[1])


def measure(patches: pd.DataFrame) -> dict[str, object]:
    """Return the line of one recipe."""
    low, high = interval_over_slides(patches)
    line: dict[str, object] = {"distance": distance(patches), "low": low, "high": high}
    for stain in ("pinker", "bluer"):
        slide, auc = hardest_slide(patches, stain)
        line |= {stain: auc_of_stain(patches, stain), f"hardest_{stain}": slide}
        line[f"{stain}_without_it"] = auc
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in line.items()}


def main() -> None:
    """Print and write a line per recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder in Kaggle's layout, with a slides.csv")
    recipes = read_predictions(parser.parse_args().folder)
    table = pd.DataFrame([{"recipe": name} | measure(rows) for name, rows in recipes.items()])
    table.to_csv(RESULTS / "stains.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()

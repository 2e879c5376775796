"""Which recipe tells tumour on slides never seen: a table that decides.

    python benchmarks/accuracy.py FOLDER [--plan main crops ablation networks learning-curve]

FOLDER is in Kaggle's layout, with a slides.csv. Each plan trains recipes on the same folds of whole
slides: no patch of a slide that is tested on is trained on, and nothing is chosen by the folds'
result while training. `--jobs` fits run at a time, with one thread each where they are several; a
seed gives the same bits again with the same number of threads.
Every fit appends a row to benchmarks/results/accuracy.csv and its predictions to
accuracy_predictions.csv.gz; a run that was cut short goes on where it stopped. It knows fits by
their names alone: after a change of the package or of a recipe delete both files first.

Then the table is printed: the mean AUC over folds and seeds with its standard deviation; that with
test-time views; by how much it differs on the same folds and seeds from the default, or from
the default of 20 epochs (mean, least, most, and how many fits); and the AUC of all patches by the
fits of seed 0, with a 95 % interval over slides. Learning curves leave out patches, not slides.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from pcam_sklearn import PatchReader, make_pcam_pipeline
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.metrics import auc_cluster_bootstrap
from pcam_sklearn.model_selection import SlideKFold
from pcam_sklearn.networks import D4Convolution

RESULTS = Path(__file__).parent / "results"
RUNS, PREDICTIONS = RESULTS / "accuracy.csv", RESULTS / "accuracy_predictions.csv.gz"
N_FOLDS = 4
PLANS = ["main", "crops", "ablation", "networks", "learning-curve"]
KEY = ["recipe", "n_train", "fold", "seed"]
NOTEBOOK = {
    "network": "notebook", "augment": None, "optimizer": "adam", "learning_rate": 0.001,
    "schedule": "constant", "label_smoothing": 0.0, "epochs": 20, "validation_fraction": 0.1,
    "early_stopping": True,
}  # fmt: skip
SHORT = {"epochs": 20}  # half of the default's
# What differs from the default, `make_pcam_pipeline()`.
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "notebook": {"crop_size": 32, **NOTEBOOK},
    "notebook, 96 px": {"crop_size": 96, **NOTEBOOK},
    "default, 32 px": {"crop_size": 32},
    "notebook's network, default recipe, 32 px": {"crop_size": 32, "network": "notebook"},
    "default, 48 px": {"crop_size": 48},
    "default, 64 px": {"crop_size": 64},
    "two-stream": {"network": "two-stream"},
    # To the network the views of a patch are one: to turn patches would change nothing.
    "d4": {"network": "d4", "augment": ("stain", "sharpness", "shift")},
    "20 epochs": SHORT,
    "20 epochs, without stain jitter": {**SHORT, "augment": ("d4", "sharpness", "shift")},
    "20 epochs, without D4": {**SHORT, "augment": ("stain", "sharpness", "shift")},
    "20 epochs, without sharpness": {**SHORT, "augment": ("d4", "stain", "shift")},
    "20 epochs, without shifts": {**SHORT, "augment": ("d4", "stain", "sharpness")},
    "20 epochs, with zoom": {**SHORT, "augment": ("d4", "stain", "sharpness", "zoom", "shift")},
    "20 epochs, without label smoothing": {**SHORT, "label_smoothing": 0.0},
    "20 epochs, with weight averaging": {**SHORT, "weight_averaging": 0.995},
    "20 epochs, without a schedule": {**SHORT, "schedule": "constant"},
    "20 epochs, without AdamW": {**SHORT, "optimizer": "adam"},
    "20 epochs, with best epoch": {
        **SHORT, "validation_fraction": 0.1, "early_stopping": True, "n_iter_no_change": 99,
    },
    "20 epochs, d4": {**SHORT, "network": "d4"},
    # What 20 epochs left open.
    "default, without D4": {"augment": ("stain", "sharpness", "shift")},
    "default, without sharpness": {"augment": ("d4", "stain", "shift")},
    "default, with zoom": {"augment": ("d4", "stain", "sharpness", "zoom", "shift")},
    "default, 80 epochs": {"epochs": 80},
}  # fmt: skip


class Run(NamedTuple):
    """One fit: `n_train` patches of the training folds, 0 for all."""

    recipe: str
    n_train: int
    fold: int
    seed: int


def plan(name: str) -> Iterator[Run]:
    """Give the fits of a plan, those first that tell most."""
    folds, seeds = range(N_FOLDS), range(3)
    if name == "main":
        for seed in seeds:
            for fold in folds:
                for recipe in ("default", "notebook"):
                    yield Run(recipe, 0, fold, seed)
    elif name == "crops":
        yield from (Run("default, 32 px", 0, fold, 0) for fold in folds)
        recipe = "notebook's network, default recipe, 32 px"
        yield from (Run(recipe, 0, fold, 0) for fold in folds)
        for recipe in ("default, 64 px", "default, 48 px", "notebook, 96 px"):
            yield from (Run(recipe, 0, fold, 0) for fold in (0, 1))
        for seed in seeds[1:]:
            yield from (Run("default, 32 px", 0, fold, seed) for fold in folds)
    elif name == "ablation":
        for recipe in (r for r in RECIPES if r.startswith("20 epochs") and r != "20 epochs, d4"):
            yield from (Run(recipe, 0, fold, 0) for fold in (0, 1))
        yield from (Run("default, without D4", 0, fold, 0) for fold in folds)
        for recipe in ("default, without sharpness", "default, with zoom", "default, 80 epochs"):
            yield from (Run(recipe, 0, fold, 0) for fold in (0, 1))
    elif name == "networks":
        for recipe in ("two-stream", "20 epochs, d4"):
            yield from (Run(recipe, 0, fold, 0) for fold in (0, 1))
        yield from (Run("d4", 0, fold, 0) for fold in folds)
    elif name == "learning-curve":
        for n_train in (2000, 1000, 500):
            yield from (Run("default", n_train, fold, 0) for fold in (0, 1))


def operations(network: keras.Model, input_shape: tuple[int, ...]) -> float:
    """Return the multiplications and additions of the forward pass for one patch."""
    total = 0.0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += operations(layer, input_shape)
        elif hasattr(layer, "kernel"):
            places = np.prod(layer.output.shape[1:-1], initial=1)
            copies = 8 if isinstance(layer, D4Convolution) else 1
            total += 2 * places * copies * np.prod(layer.kernel.shape)
    return total


def load(folder: Path) -> tuple[Any, list[np.ndarray]]:
    """Return the patches, and the rows of each fold."""
    data = load_kaggle(folder)
    data.images = PatchReader(in_memory=True).transform(data.paths)
    splits = SlideKFold(N_FOLDS, random_state=0).split(data.paths, data.target, data.groups)
    return data, [test for _, test in splits]


def train(run: Run, folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Fit once and return the row of the table, and the predictions."""
    data, folds = load(folder)
    test = folds[run.fold]
    rows = np.setdiff1d(np.arange(len(data.target)), test)
    if run.n_train:
        rows = np.random.default_rng(run.seed).permutation(rows)[: run.n_train]
    pipeline = make_pcam_pipeline(random_state=run.seed, **RECIPES[run.recipe])
    # The notebook knew of no slides; it watches patches of those that it trains on.
    slides = None if run.recipe.startswith("notebook") else data.groups[rows]
    start = time.perf_counter()
    pipeline.fit(data.images[rows], data.target[rows], cnnclassifier__groups=slides)
    fitted = time.perf_counter() - start
    pipeline.predict_proba(data.images[test[:256]])  # What TensorFlow traces is not timed.
    start = time.perf_counter()
    probability = pipeline.predict_proba(data.images[test])[:, 1]
    predicted = time.perf_counter() - start
    pipeline[-1].set_params(test_time_augmentation="d4")
    of_views = pipeline.predict_proba(data.images[test])[:, 1]
    network = pipeline[-1].model_
    row = run._asdict() | {
        "auc": round(roc_auc_score(data.target[test], probability), 5),
        "auc_of_views": round(roc_auc_score(data.target[test], of_views), 5),
        "patches": len(rows),
        "epochs": pipeline[-1].n_iter_,
        "parameters": network.count_params(),
        "mflop": round(operations(network, network.input_shape[1:]) / 1e6, 1),
        "fit_s": round(fitted, 1),
        "predicted_per_s": round(len(test) / predicted),
    }
    predictions = pd.DataFrame({"id": data.ids[test], "probability": probability.round(5)})
    return row, predictions.assign(**run._asdict())


def append(path: Path, frame: pd.DataFrame) -> None:
    """Add rows to a csv; a compressed one is a sequence of compressed pieces."""
    frame.to_csv(path, mode="a", header=not path.exists(), index=False)


def known() -> set[Run]:
    """Return the fits that are done."""
    if not RUNS.exists():
        return set()
    return {Run(*row) for row in pd.read_csv(RUNS)[KEY].itertuples(index=False)}


def table(data: Any) -> pd.DataFrame:
    """Summarize all fits by recipe."""
    runs = pd.read_csv(RUNS).drop_duplicates(KEY)
    predictions = pd.read_csv(PREDICTIONS).drop_duplicates([*KEY, "id"])
    truth = pd.DataFrame({"id": data.ids, "y": data.target, "slide": data.groups})
    lines = []
    for (recipe, _), fits in runs.groupby(["recipe", "n_train"], sort=False):
        line = {"recipe": recipe, "patches": round(fits["patches"].mean()), "fits": len(fits)}
        line |= {"AUC": round(fits["auc"].mean(), 4), "SD": round(fits["auc"].std(), 4)}
        line["of views"] = round(fits["auc_of_views"].mean(), 4)
        line["to"], line["difference"] = difference(runs, fits)
        of_seed_0 = predictions.merge(fits[fits["seed"] == 0][KEY], on=KEY).merge(truth, on="id")
        line["seed 0, all patches, 95 % over slides"] = ""
        if len(of_seed_0) == len(truth):
            columns = of_seed_0["y"], of_seed_0["probability"], of_seed_0["slide"]
            whole = auc_cluster_bootstrap(*columns, random_state=0)
            line["seed 0, all patches, 95 % over slides"] = (
                f"{whole.estimate:.3f} [{whole.low:.3f}, {whole.high:.3f}]"
            )
        middle = fits[["parameters", "mflop", "fit_s", "predicted_per_s"]].median()
        lines.append(line | middle.round().astype(int).to_dict())
    return pd.DataFrame(lines)


def difference(runs: pd.DataFrame, fits: pd.DataFrame) -> tuple[str, str]:
    """Return what a recipe is compared with, and by how much it differs on the same folds."""
    recipe = fits["recipe"].iloc[0]
    other = "20 epochs" if recipe.startswith("20 epochs,") else "default"
    base = runs[(runs["recipe"] == other) & (runs["n_train"] == 0)]
    both = fits.merge(base, on=["fold", "seed"], suffixes=("", "_of_base"))
    apart = both["auc"] - both["auc_of_base"]
    return other, f"{apart.mean():+.3f} ({apart.min():+.3f} to {apart.max():+.3f}, {len(both)})"


def main() -> None:
    """Run what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plan", nargs="*", choices=PLANS, default=PLANS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    runs = dict.fromkeys(run for name in arguments.plan for run in plan(name))
    done = known()
    missing = [run for run in runs if run not in done]
    if arguments.jobs > 1:  # Read by TensorFlow in the processes that are started.
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    fits = joblib.Parallel(arguments.jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(
        joblib.delayed(train)(run, arguments.folder) for run in missing
    )
    for row, predictions in fits:
        append(PREDICTIONS, predictions)
        append(RUNS, pd.DataFrame([row]))
        print(row, flush=True)
    print(table(load_kaggle(arguments.folder)).to_string(index=False))


if __name__ == "__main__":
    main()

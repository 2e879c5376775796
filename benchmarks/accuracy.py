"""Compare recipes by their AUC on slides that they never saw.

    python benchmarks/accuracy.py FOLDER [--plan main ablation from-scratch crops learning-curve]

FOLDER is in Kaggle's layout, with a slides.csv. Each plan trains recipes on the same folds of whole
slides. No slide is in both the training and the test patches, and nothing is chosen by the result
of a fold while a network trains. Learning curves leave out patches, not slides.

`--jobs` fits run at the same time, each with one thread if there are several. A seed gives the same
bits again only with the same number of threads.

Every fit appends a row to benchmarks/results/accuracy.csv and its predictions to
accuracy_predictions.csv.gz. If you interrupt the script, start it again: it skips the fits that it
finds there. It recognises a fit only by its name, so delete both files after you change the package
or a recipe. `--models FOLDER` keeps the fitted pipelines too, each in a model file.

At the end the script prints a table with one line per recipe:

- the mean AUC over folds and seeds, its standard deviation, and the mean AUC of predictions without
  views and over all 8 views of each patch;
- the difference from the recipe that it changes, on the same folds and seeds: mean, lowest,
  highest, and number of fits;
- the AUC of all patches, from the fits of seed 0, with a 95 % interval over slides.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from pcam_sklearn import CNNClassifier, PatchReader, make_pcam_pipeline
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.metrics import auc_cluster_bootstrap
from pcam_sklearn.model_selection import SlideKFold
from pcam_sklearn.networks import D4Convolution, NormalizedConvolution
from pcam_sklearn.persistence import save_model

RESULTS = Path(__file__).parent / "results"
RUNS, PREDICTIONS = RESULTS / "accuracy.csv", RESULTS / "accuracy_predictions.csv.gz"
N_FOLDS = 4
FOLDS, SEEDS = range(N_FOLDS), range(3)
TWO_FOLDS = (0, 1)  # Enough for a first look at a recipe, in half of the time.
PLANS = ["main", "ablation", "from-scratch", "crops", "learning-curve"]
KEY = ["recipe", "n_train", "fold", "seed"]
# Fits that run at the same time would otherwise compete for the cores.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
NOTEBOOK = {
    "network": "notebook", "augment": None, "optimizer": "adam", "learning_rate": 0.001,
    "schedule": "constant", "label_smoothing": 0.0, "epochs": 20, "validation_fraction": 0.1,
    "early_stopping": True, "test_time_augmentation": None,
}  # fmt: skip
# The best recipe found that starts from random weights.
RESIDUAL = {
    "network": "residual", "augment": ("d4", "stain", "sharpness", "shift"),
    "learning_rate": 0.002, "epochs": 40, "test_time_augmentation": None,
}  # fmt: skip
SHORT = {**RESIDUAL, "epochs": 20}  # Enough to compare most ingredients.


class SlowTrunk(keras.optimizers.AdamW):
    """AdamW that changes all layers but the last at a part of the learning rate."""

    share, frozen_steps = 1.0, 0

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change one variable."""
        # TensorFlow hands over variables without Keras' names. The last layer has one output.
        if len(variable.shape) > 2 or variable.shape[-1] > 1:
            thawed = keras.ops.cast(self.iterations >= self.frozen_steps, learning_rate.dtype)
            learning_rate = learning_rate * self.share * thawed
        super().update_step(gradient, variable, learning_rate)


class ThirdOfTheRate(SlowTrunk):
    """Fine-tunes the published layers at a third of the rate."""

    share = 1 / 3


class FrozenAtFirst(SlowTrunk):
    """Trains the last layer alone for about two epochs."""

    frozen_steps = 2 * 3000 // 32


AUGMENT = CNNClassifier().augment


def without(*names: str) -> tuple[str, ...]:
    """Return the augmentations of the default but these."""
    return tuple(name for name in AUGMENT if name not in names)


# The default before it enlarged patches and stained them as other slides.
PLAIN = {"model__enlarge": 1, "augment": without("restain"), "test_time_augmentation": "c4"}
# The parameters that differ from the default, `make_pcam_pipeline()`.
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "default, without restain": {"augment": without("restain")},
    "default, patches not enlarged": {"model__enlarge": 1},
    "default, patches enlarged by half": {"model__enlarge": 1.5},
    "default, 16 epochs": {"epochs": 16},
    "plain": PLAIN,
    "plain, stain alone": {**PLAIN, "augment": without("restain", "color", "grayscale")},
    "plain, without color": {**PLAIN, "augment": without("restain", "color")},
    "plain, without grayscale": {**PLAIN, "augment": without("restain", "grayscale")},
    "plain, without stain": {**PLAIN, "augment": without("restain", "stain")},
    "plain, with zoom": {**PLAIN, "augment": (*without("restain", "shift"), "zoom", "shift")},
    "plain, random weights": {**PLAIN, "model__weights": None},
    "plain, 4 stages": {**PLAIN, "model__stages": 4},
    "plain, 5 epochs": {**PLAIN, "epochs": 5},
    "plain, without label smoothing": {**PLAIN, "label_smoothing": 0.0},
    "plain, with weight averaging": {**PLAIN, "weight_averaging": 0.995},
    "plain, half the learning rate": {**PLAIN, "learning_rate": 0.001},
    "plain, twice the learning rate": {**PLAIN, "learning_rate": 0.004},
    "plain, published layers at a third of the rate": {**PLAIN, "optimizer": ThirdOfTheRate},
    "plain, published layers frozen for two epochs": {**PLAIN, "optimizer": FrozenAtFirst},
    "residual": RESIDUAL,
    "residual, colours of the default": {
        **RESIDUAL, "augment": without("restain"),
    },
    "notebook": {"crop_size": 32, **NOTEBOOK},
    "notebook, 96 px": {"crop_size": 96, **NOTEBOOK},
    "residual, 32 px": {**RESIDUAL, "crop_size": 32},
    "notebook's network, residual's recipe, 32 px": {
        **RESIDUAL, "crop_size": 32, "network": "notebook",
    },
    "residual, 48 px": {**RESIDUAL, "crop_size": 48},
    "residual, 64 px": {**RESIDUAL, "crop_size": 64},
    "two-stream": {**RESIDUAL, "network": "two-stream"},
    # This network gives all views of a patch the same result, so turning patches changes nothing.
    "d4": {**RESIDUAL, "network": "d4", "augment": ("stain", "sharpness", "shift")},
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
    # Differences that 20 epochs left undecided.
    "residual, without D4": {**RESIDUAL, "augment": ("stain", "sharpness", "shift")},
    "residual, without sharpness": {**RESIDUAL, "augment": ("d4", "stain", "shift")},
    "residual, with zoom": {**RESIDUAL, "augment": ("d4", "stain", "sharpness", "zoom", "shift")},
    "residual, 80 epochs": {**RESIDUAL, "epochs": 80},
}  # fmt: skip


class Run(NamedTuple):
    """One fit, on `n_train` patches of the training folds or on all if it is 0."""

    recipe: str
    n_train: int
    fold: int
    seed: int


def runs_of(plan: str) -> list[Run]:
    """Return the fits of a plan, the most informative ones first."""
    if plan == "main":
        both = ("default", "plain")
        return [Run(r, 0, fold, seed) for r in both for seed in SEEDS for fold in FOLDS]
    if plan == "ablation":
        changed = [recipe for recipe in RECIPES if recipe.startswith(("default,", "plain,"))]
        return first_seed([*changed, "residual, colours of the default"], TWO_FOLDS)
    if plan == "from-scratch":
        both = ("residual", "notebook")
        return [
            *(Run(recipe, 0, fold, seed) for seed in SEEDS for fold in FOLDS for recipe in both),
            *first_seed([r for r in RECIPES if r.startswith("20 epochs")], TWO_FOLDS),
            *first_seed(["residual, without sharpness", "residual, with zoom"], TWO_FOLDS),
            *first_seed(["residual, 80 epochs", "two-stream"], TWO_FOLDS),
            *first_seed(["residual, without D4", "d4"]),
        ]
    if plan == "crops":
        return [
            *first_seed(["residual, 32 px"]),
            *first_seed(["notebook's network, residual's recipe, 32 px"]),
            *first_seed(["residual, 64 px", "residual, 48 px", "notebook, 96 px"], TWO_FOLDS),
            *(Run("residual, 32 px", 0, fold, seed) for seed in SEEDS[1:] for fold in FOLDS),
        ]
    sizes = (2000, 1000, 500)
    return [Run("residual", n_train, fold, 0) for n_train in sizes for fold in TWO_FOLDS]


def first_seed(recipes: Sequence[str], folds: Sequence[int] = FOLDS) -> list[Run]:
    """Return the fits of some recipes on all patches, with seed 0."""
    return [Run(recipe, 0, fold, 0) for recipe in recipes for fold in folds]


def count_operations(network: keras.Model) -> float:
    """Return the multiplications and additions of the forward pass for one patch."""
    total = 0.0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += count_operations(layer)
        elif hasattr(layer, "kernel") or isinstance(layer, NormalizedConvolution):
            # A convolution by channels does not add over them, so its kernel has no axis for that.
            kernel = getattr(layer, "convolution", layer).kernel
            n_positions = np.prod(layer.output.shape[1:-1], initial=1)
            # A D4 layer applies each kernel in all 8 orientations.
            n_copies = 8 if isinstance(layer, D4Convolution) else 1
            total += 2 * n_positions * n_copies * np.prod(kernel.shape)
    return total


def load(folder: Path) -> tuple[Any, list[np.ndarray]]:
    """Return the patches and the test rows of each fold."""
    data = load_kaggle(folder)
    data.images = PatchReader(in_memory=True).transform(data.paths)
    splits = SlideKFold(N_FOLDS, random_state=0).split(data.paths, data.target, data.groups)
    return data, [test for _, test in splits]


def train(run: Run, folder: Path, models: Path | None) -> tuple[dict[str, Any], pd.DataFrame]:
    """Fit one recipe; return its row of the table and its predictions."""
    data, folds = load(folder)
    test = folds[run.fold]
    pipeline, measured = fit(run, data, np.setdiff1d(np.arange(len(data.target)), test))
    if models is not None:
        name = "-".join(str(value) for value in run)
        save_model(pipeline, models / f"{name}.pcam")
    patches, labels = data.images[test], data.target[test]
    pipeline.predict_proba(patches[:256])  # The first call includes TensorFlow's tracing.
    start = time.perf_counter()
    probability = pipeline.predict_proba(patches)[:, 1]
    measured["predicted_per_s"] = round(len(test) / (time.perf_counter() - start))
    aucs = {"auc": roc_auc_score(labels, probability)}
    for name, views in (("auc_of_patches", None), ("auc_of_views", "d4")):
        pipeline[-1].set_params(test_time_augmentation=views)
        aucs[name] = roc_auc_score(labels, pipeline.predict_proba(patches)[:, 1])
    row = run._asdict() | {name: round(auc, 5) for name, auc in aucs.items()}
    predictions = pd.DataFrame({"id": data.ids[test], "probability": probability.round(5)})
    return row | measured, predictions.assign(**run._asdict())


def fit(run: Run, data: Any, rows: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """Fit one recipe on the given rows, or on `n_train` of them, and measure the fit."""
    if run.n_train:
        rows = np.random.default_rng(run.seed).permutation(rows)[: run.n_train]
    pipeline = make_pcam_pipeline(random_state=run.seed, **RECIPES[run.recipe])
    # The notebook knew no slides: it held out patches of the slides that it trained on.
    slides = None if run.recipe.startswith("notebook") else data.groups[rows]
    start = time.perf_counter()
    pipeline.fit(data.images[rows], data.target[rows], cnnclassifier__groups=slides)
    fit_seconds = time.perf_counter() - start
    network = pipeline[-1].model_
    return pipeline, {
        "patches": len(rows),
        "epochs": pipeline[-1].n_iter_,
        "parameters": network.count_params(),
        "mflop": round(count_operations(network) / 1e6, 1),
        "fit_s": round(fit_seconds, 1),
    }


def append(path: Path, frame: pd.DataFrame) -> None:
    """Add rows to a CSV file."""
    # This works for a compressed file too: gzip reads several members as one file.
    frame.to_csv(path, mode="a", header=not path.exists(), index=False)


def finished_runs() -> set[Run]:
    """Return the fits that the results hold."""
    if not RUNS.exists():
        return set()
    return {Run(*row) for row in pd.read_csv(RUNS)[KEY].itertuples(index=False)}


def summarize(data: Any) -> pd.DataFrame:
    """Return one line per recipe and number of training patches."""
    runs = pd.read_csv(RUNS).drop_duplicates(KEY)
    predictions = pd.read_csv(PREDICTIONS).drop_duplicates([*KEY, "id"])
    truth = pd.DataFrame({"id": data.ids, "y": data.target, "slide": data.groups})
    lines = []
    for (recipe, _), fits in runs.groupby(["recipe", "n_train"], sort=False):
        line = {"recipe": recipe, "patches": round(fits["patches"].mean()), "fits": len(fits)}
        line |= {"AUC": round(fits["auc"].mean(), 4), "SD": round(fits["auc"].std(), 4)}
        line["without views"] = round(fits["auc_of_patches"].mean(), 4)
        line["with 8 views"] = round(fits["auc_of_views"].mean(), 4)
        line["compared with"], line["difference"] = compare(runs, fits)
        line["seed 0, all patches, 95 % over slides"] = auc_over_slides(fits, predictions, truth)
        medians = fits[["parameters", "mflop", "fit_s", "predicted_per_s"]].median()
        lines.append(line | medians.round().astype(int).to_dict())
    return pd.DataFrame(lines)


def compare(runs: pd.DataFrame, fits: pd.DataFrame) -> tuple[str, str]:
    """Return a recipe's baseline and the recipe's difference from it on the same folds."""
    recipe = fits["recipe"].iloc[0]
    start = recipe.split(",")[0]
    changes = start != recipe or fits["n_train"].iloc[0] > 0
    baseline = start if start in ("20 epochs", "residual", "plain") and changes else "default"
    baseline_fits = runs[(runs["recipe"] == baseline) & (runs["n_train"] == 0)]
    pairs = fits.merge(baseline_fits, on=["fold", "seed"], suffixes=("", "_of_baseline"))
    gain = pairs["auc"] - pairs["auc_of_baseline"]
    return baseline, f"{gain.mean():+.3f} ({gain.min():+.3f} to {gain.max():+.3f}, {len(pairs)})"


def auc_over_slides(fits: pd.DataFrame, predictions: pd.DataFrame, truth: pd.DataFrame) -> str:
    """Return the AUC of all patches with its interval, or "" until all folds have a prediction."""
    first_seed_fits = fits[fits["seed"] == 0][KEY]
    scored = predictions.merge(first_seed_fits, on=KEY).merge(truth, on="id")
    if len(scored) != len(truth):
        return ""
    auc = auc_cluster_bootstrap(scored["y"], scored["probability"], scored["slide"], random_state=0)
    return f"{auc.estimate:.3f} [{auc.low:.3f}, {auc.high:.3f}]"


def run_missing(plans: Sequence[str], folder: Path, models: Path | None, n_jobs: int) -> None:
    """Run the fits that the results do not hold yet, and append each as soon as it is done."""
    finished = finished_runs()
    runs = dict.fromkeys(run for plan in plans for run in runs_of(plan))
    missing = [run for run in runs if run not in finished]
    if n_jobs > 1:
        os.environ.update(ONE_THREAD)  # Only the processes that joblib starts read this.
    fits = joblib.Parallel(n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(
        joblib.delayed(train)(run, folder, models) for run in missing
    )
    for row, predictions in fits:
        # A run counts as finished by its row, so the predictions go first.
        append(PREDICTIONS, predictions)
        append(RUNS, pd.DataFrame([row]))
        print(row, flush=True)


def main() -> None:
    """Run the fits that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder in Kaggle's layout, with a slides.csv")
    parser.add_argument(
        "--plan", nargs="*", choices=PLANS, default=PLANS, help="plans to run (default: all)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="fits at a time (default: one per core)"
    )
    parser.add_argument("--models", type=Path, help="folder for the fitted pipelines")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if arguments.models is not None:
        arguments.models.mkdir(exist_ok=True)
    run_missing(arguments.plan, arguments.folder, arguments.models, arguments.jobs)
    print(summarize(load_kaggle(arguments.folder)).to_string(index=False))


if __name__ == "__main__":
    main()

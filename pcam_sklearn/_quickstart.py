"""The whole job once, from patches to a submission, with the public API alone."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import RocCurveDisplay, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from pcam_sklearn.datasets import load_kaggle, make_patches
from pcam_sklearn.pipeline import make_pcam_pipeline
from pcam_sklearn.plotting import TrainingHistoryDisplay

_GRID = {"cnnclassifier__dropout": [0.3, 0.5]}


def run(
    data: Path | None,
    output: Path,
    *,
    epochs: int,
    n_jobs: int,
    random_state: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Tune on patches, save, load in a fresh process, predict and draw.

    Parameters
    ----------
    data : Path or None
        A folder in Kaggle's layout; None makes one in `output`.
    output : Path
        Folder for everything that is written.
    epochs : int
        Epochs of each fit.
    n_jobs : int
        Fits at a time.
    random_state : int
        Fixes patches, folds and training.
    say : callable
        Takes each line of progress.

    Returns
    -------
    dict
        ``auc`` on the patches held out, ``cross_validated_auc`` and ``best_params``.
    """
    output.mkdir(parents=True, exist_ok=True)
    if data is None:
        data = output / "patches"
        write_kaggle_folder(data, random_state)
        say(f"made patches in {data}")
    train = load_kaggle(data)
    fitting, held_out = _split(train, n_splits=4, random_state=random_state)
    say(f"{len(train.paths)} patches, {len(held_out)} of them held out to test on")

    pipeline = make_pcam_pipeline(network="notebook", epochs=epochs, random_state=random_state)
    search = GridSearchCV(
        pipeline,
        _GRID,
        scoring="roc_auc",
        cv=_folds(train.groups, 3, random_state),
        n_jobs=n_jobs,
        error_score="raise",
    )
    groups = {} if train.groups is None else {"groups": train.groups[fitting]}
    search.fit(train.paths[fitting], train.target[fitting], **groups)
    say(f"cross-validated AUC {search.best_score_:.3f} with {search.best_params_}")

    model = output / "model.joblib"
    joblib.dump(search.best_estimator_, model)
    score = _draw(search.best_estimator_, train, held_out, output)
    say(_predict_in_a_fresh_process(model, data, output / "submission.csv"))
    return {
        "auc": float(score),
        "cross_validated_auc": float(search.best_score_),
        "best_params": search.best_params_,
    }


def write_kaggle_folder(folder: Path, random_state: int) -> None:
    """Write made patches in Kaggle's layout; ids are the SHA-1 of the pixels, as Kaggle's are.

    Parameters
    ----------
    folder : Path
        Where to write.
    random_state : int
        Fixes the patches.
    """
    patches = make_patches(n_samples=1000, n_slides=24, random_state=random_state)
    ids = np.array([hashlib.sha1(image.tobytes()).hexdigest() for image in patches.images])
    in_test = np.isin(patches.groups, np.unique(patches.groups)[-4:])
    for subset, rows in (("train", ~in_test), ("test", in_test)):
        (folder / subset).mkdir(parents=True, exist_ok=True)
        for id_, image in zip(ids[rows], patches.images[rows], strict=True):
            path = folder / subset / f"{id_}.tif"
            if not cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1]):
                raise OSError(f"{path} cannot be written; is the disk full, or read-only?")
    train = pd.DataFrame({"id": ids, "label": patches.target, "slide": patches.groups})[~in_test]
    train[["id", "label"]].to_csv(folder / "train_labels.csv", index=False)
    train[["id", "slide"]].to_csv(folder / "slides.csv", index=False)


def _folds(
    groups: np.ndarray | None, n_splits: int, random_state: int
) -> StratifiedGroupKFold | StratifiedKFold:
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    return kind(n_splits, shuffle=True, random_state=random_state)


def _split(train: Bunch, n_splits: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    folds = _folds(train.groups, n_splits, random_state)
    return next(folds.split(train.paths, train.target, train.groups))


def _draw(pipeline: Pipeline, train: Bunch, rows: np.ndarray, output: Path) -> float:
    """Draw the ROC curve on these rows and the training history, and return the AUC."""
    probabilities = pipeline.predict_proba(train.paths[rows])[:, 1]
    roc = RocCurveDisplay.from_predictions(
        train.target[rows], probabilities, name="held-out patches", plot_chance_level=True
    )
    roc.figure_.savefig(output / "roc.png", dpi=120, bbox_inches="tight")
    history = TrainingHistoryDisplay.from_estimator(pipeline)
    history.figure_.savefig(output / "history.png", dpi=120)
    plt.close(roc.figure_)
    plt.close(history.figure_)
    return roc_auc_score(train.target[rows], probabilities)


def _predict_in_a_fresh_process(model: Path, data: Path, submission: Path) -> str:
    command = [sys.executable, "-m", "pcam_sklearn", "predict", str(model), str(data), "--quiet"]
    done = subprocess.run(
        [*command, "--output", str(submission)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout.strip()

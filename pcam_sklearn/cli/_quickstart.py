"""The command ``quickstart``: the whole job once, with the public API alone."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn.cli._options import (
    FOLDER,
    NEW_FOLDER,
    after_help,
    jobs_option,
    overwrite_option,
    random_state_option,
)
from pcam_sklearn.cli._output import Output, reports

if TYPE_CHECKING:
    import numpy as np
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.utils import Bunch

# Two candidates show a search, and keep it short.
_GRID = {"cnnclassifier__dropout": [0.3, 0.5]}
_TEST_FRACTION, _WATCHED_FRACTION, _N_FOLDS = 0.25, 0.2, 3


@click.command(
    epilog=after_help(
        "pcam-sklearn quickstart",
        "pcam-sklearn quickstart --data histopathologic-cancer-detection --output run1",
    )
)
@click.option("--data", type=FOLDER, help="Folder in Kaggle's layout. Default: synthetic patches.")
@click.option("--output", type=NEW_FOLDER, default=Path("quickstart"), help="Folder to write.")
@overwrite_option
@click.option(
    "--epochs", type=click.IntRange(min=1), default=10, help="Number of epochs of each fit."
)
@jobs_option
@random_state_option
@reports
def quickstart(
    data: Path | None,
    output: Path,
    overwrite: bool,
    epochs: int,
    jobs: int,
    random_state: int,
    out: Output,
) -> None:
    """Do the whole job once: tune, save, load, predict, draw.

    Without --data it makes its own patches, so nothing is downloaded. The folder appears only when
    it is complete.
    """
    from pcam_sklearn._files import atomic_folder
    from pcam_sklearn.cli._manifest import write_manifest
    from pcam_sklearn.cli._run_folder import MODEL_FILE, check_replaceable

    if data is not None and not (data / "test").is_dir():
        raise FileNotFoundError(f"there is no folder {data / 'test'}, whose patches are predicted")
    output.parent.mkdir(parents=True, exist_ok=True)
    check = partial(check_replaceable, output, overwrite=overwrite)
    settings = {"epochs": epochs, "jobs": jobs, "random_state": random_state}
    with atomic_folder(output, check) as folder:
        if data is None:
            data = folder / "patches"
            out.step("making patches")
            _write_kaggle_folder(data, random_state)
            out.note(f"made patches for {output / 'patches'}")
        facts = _tune_and_draw(data, folder, out, **settings)
        out.step("loading the model in a new process, and predicting the test patches")
        said = _predict_in_a_new_process(folder / MODEL_FILE, data, folder / "submission.csv")
        out.note(said.replace(str(folder), str(output)))
        write_manifest(folder)
    out.result(
        f"AUC {facts['auc']:.3f} on the held-out patches\n"
        f"see {output}: {MODEL_FILE}, submission.csv, roc.png, history.png",
        {"output": output, **facts},
    )


def _tune_and_draw(
    data: Path, output: Path, out: Output, *, epochs: int, jobs: int, random_state: int
) -> dict[str, Any]:
    """Tune on a part of the patches, save the best pipeline, and test it on the others."""
    out.step("loading Keras")
    from pcam_sklearn.cli._fits import show_fits
    from pcam_sklearn.cli._run_folder import MODEL_FILE
    from pcam_sklearn.datasets import load_kaggle
    from pcam_sklearn.model_selection import hold_out
    from pcam_sklearn.persistence import save_model

    train = load_kaggle(data)
    y, slides = train.target, train.groups
    fitting, held_out = hold_out(y, slides, _TEST_FRACTION, random_state=random_state)
    out.note(f"{len(train.paths)} patches, {len(held_out)} of them held out to test on")
    search = _make_search(slides, epochs=epochs, jobs=jobs, random_state=random_state)
    with show_fits(search, progress=out.progress):
        _fit_search(search, train, fitting)
    out.note(f"cross-validated AUC {search.best_score_:.3f} with {search.best_params_}")
    out.step("saving the model, and drawing")
    best = search.best_estimator_.set_params(cnnclassifier__verbose=0)
    save_model(best, output / MODEL_FILE)
    return {
        "auc": _draw(best, train, held_out, output),
        "cross_validated_auc": float(search.best_score_),
        "best_params": search.best_params_,
    }


def _write_kaggle_folder(folder: Path, random_state: int) -> None:
    """Write synthetic patches in Kaggle's layout, with the slides of the training patches."""
    import numpy as np
    import pandas as pd

    from pcam_sklearn.datasets import make_patches
    from pcam_sklearn.datasets._ids import patch_digest

    # Few patches keep the job short. They come from enough slides for a test part and three folds.
    patches = make_patches(n_samples=1000, n_slides=24, random_state=random_state)
    # Kaggle's ids are the SHA-1 of the pixels as well.
    ids = np.array([patch_digest(image).hex() for image in patches.images])
    # The last four slides become Kaggle's test folder: no slide is in both folders.
    in_test = np.isin(patches.groups, np.unique(patches.groups)[-4:])
    subset = np.where(in_test, "test", "train")
    files = [f"{part}/{id_}.tif" for part, id_ in zip(subset, ids, strict=True)]
    train = pd.DataFrame({"id": ids, "label": patches.target, "slide": patches.groups})[~in_test]
    tables = {"train_labels.csv": train[["id", "label"]], "slides.csv": train[["id", "slide"]]}
    _write_tiffs(folder, files, patches.images)
    for name, table in tables.items():
        table.to_csv(folder / name, index=False)


def _write_tiffs(folder: Path, files: list[str], images: "np.ndarray") -> None:
    import cv2

    for file, image in zip(files, images, strict=True):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        # OpenCV takes BGR. Compression 1 means none, as in Kaggle's files. OpenCV would not say why
        # it cannot write a file.
        _, content = cv2.imencode(".tif", image[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        path.write_bytes(content.tobytes())


def _make_search(
    slides: "np.ndarray | None", *, epochs: int, jobs: int, random_state: int
) -> "GridSearchCV":
    """Return a search for the notebook's network, over folds of whole slides where known."""
    from sklearn.model_selection import GridSearchCV

    from pcam_sklearn.model_selection import make_splitter
    from pcam_sklearn.pipeline import make_pcam_pipeline

    # The history then shows slides that the network does not train on.
    watched: dict[str, Any] = {"early_stopping": True, "validation_fraction": _WATCHED_FRACTION}
    return GridSearchCV(
        make_pcam_pipeline(network="notebook", epochs=epochs, random_state=random_state, **watched),
        _GRID,
        scoring="roc_auc",
        cv=make_splitter(slides, _N_FOLDS, random_state),
        n_jobs=jobs,
        error_score="raise",
    )


def _fit_search(search: "GridSearchCV", train: "Bunch", rows: "np.ndarray") -> None:
    takers = ("groups", "cnnclassifier__groups")
    slides = {} if train.groups is None else dict.fromkeys(takers, train.groups[rows])
    search.fit(train.paths[rows], train.target[rows], **slides)


def _draw(pipeline: "Pipeline", train: "Bunch", rows: "np.ndarray", output: Path) -> float:
    """Draw the ROC curve on these rows and the training history, and return the AUC."""
    import matplotlib.pyplot as plt
    from sklearn.metrics import RocCurveDisplay, roc_auc_score

    from pcam_sklearn.plotting import TrainingHistoryDisplay

    probabilities = pipeline.predict_proba(train.paths[rows])[:, 1]
    roc = RocCurveDisplay.from_predictions(
        train.target[rows], probabilities, name="held-out patches", plot_chance_level=True
    )
    history = TrainingHistoryDisplay.from_estimator(pipeline)
    for name, display in (("roc.png", roc), ("history.png", history)):
        display.figure_.savefig(output / name, dpi=120, bbox_inches="tight")
        # pyplot keeps a figure in memory until it is closed.
        plt.close(display.figure_)
    return float(roc_auc_score(train.target[rows], probabilities))


def _predict_in_a_new_process(model: Path, data: Path, submission: Path) -> str:
    """Predict as a user would on another day, which shows that the saved model is complete."""
    # Without -P, a module in the current folder would come before the one of that name installed.
    python = [sys.executable, "-P", "-m", "pcam_sklearn"]
    # A relative path could pass for an option, or for the word synthetic.
    command: list[Any] = [*python, "predict", model.absolute(), data.absolute(), "--quiet"]
    done = subprocess.run(
        [*map(str, command), "--output", str(submission)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))} failed: {done.stderr.strip()}")
    return done.stdout.strip()

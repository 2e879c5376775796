"""Fits that show on stderr how far they are."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from pcam_sklearn._training import KEEP
from pcam_sklearn.cli._parameters import CHECKPOINT
from pcam_sklearn.cli._patches import Patches

_VERBOSE = "cnnclassifier__verbose"


def fit_pipeline(
    pipeline: Pipeline,
    patches: Patches,
    rows: np.ndarray,
    *,
    progress: bool,
    checkpoint: Path | None = None,
) -> None:
    """Fit the pipeline in place on these rows, with progress on stderr.

    The fit goes on from the checkpoint in a folder, and keeps one there after each epoch.
    """
    settings: dict[str, Any] = {}
    if progress and not pipeline.get_params()[_VERBOSE]:
        # A screen shows one line that is rewritten; a file or pipe gets one line per epoch.
        settings[_VERBOSE] = 1 if sys.stderr.isatty() else 2
    if checkpoint is not None:
        settings[CHECKPOINT] = checkpoint
        checkpoint.mkdir(exist_ok=True)
        # What comes after the fit may be interrupted as well.
        (checkpoint / KEEP).touch()
    with _set_for_fit(pipeline, settings), redirect_stdout(sys.stderr):
        _fit_rows(pipeline, patches, rows)  # Only results go to stdout.


@contextmanager
def show_fits(search: BaseEstimator, *, progress: bool, **parallel: Any) -> Iterator[None]:
    """Show each finished fit of a search.

    `parallel` are options of `joblib.parallel_config`.
    """
    alone = not parallel and joblib.effective_n_jobs(search.n_jobs) == 1
    # scikit-learn tells the number of fits, and with 3 each score.
    settings = {"verbose": (3 if alone else 1) if progress else 0}
    if progress and (name := f"estimator__{_VERBOSE}") in search.get_params():
        # One line per fit, which is rewritten where the fit runs in this process.
        settings[name] = 1
    # From 11 on joblib reports each fit, on whichever machine it ran. Where it runs them itself,
    # that report fails after an error, which it hides (joblib 1.6).
    joblibs = joblib.parallel_config(verbose=11 if progress and not alone else 0, **parallel)
    # scikit-learn prints to stdout, which is for results.
    with _set_for_fit(search, settings), redirect_stdout(sys.stderr), joblibs:
        yield


@contextmanager
def _set_for_fit(estimator: BaseEstimator, settings: Mapping[str, Any]) -> Iterator[None]:
    """Set parameters for the block that the saved model and config.json must not have."""
    before = estimator.get_params()
    estimator.set_params(**settings)
    try:
        yield
    finally:
        estimator.set_params(**{name: before[name] for name in settings})


def _fit_rows(pipeline: Pipeline, patches: Patches, rows: np.ndarray) -> None:
    if isinstance(patches.X, np.memmap):
        # To take rows of a memory map would copy gigabytes. Weight 0 leaves them out instead.
        weight = np.isin(np.arange(len(patches)), rows).astype(float)
        parameters = {**patches.fit_parameters(), "cnnclassifier__sample_weight": weight}
        pipeline.fit(patches.X, patches.target, **parameters)
    else:
        part = patches.take(rows)
        pipeline.fit(part.X, part.target, **part.fit_parameters())

"""A search over hyper-parameters, with a progress bar whatever the number of processes."""

import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, ParameterGrid, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from pcam_sklearn.cli._data import Patches
from pcam_sklearn.plotting import SearchResultsDisplay

_LOOK_EVERY = 0.5  # seconds

Folds = list[tuple[np.ndarray, np.ndarray]]


class _Tallying:
    """ROC AUC, with a byte put down in a file for each score: processes share files, not bars."""

    def __init__(self, tally: Path) -> None:
        self.tally = tally

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        score = get_scorer("roc_auc")(estimator, X, y)
        with open(self.tally, "ab") as file:
            file.write(b".")
        return float(score)


def search_parameters(
    pipeline: Pipeline,
    space: Mapping[str, Any],
    patches: Patches,
    folds: Folds,
    *,
    n_iter: int | None,
    jobs: int,
    random_state: int,
    progress: bool,
) -> GridSearchCV | RandomizedSearchCV:
    """Score the candidates of a space; none is fitted on all patches afterwards.

    Parameters
    ----------
    pipeline : Pipeline
        Unfitted; it is not changed.
    space : mapping
        Parameters to values or distributions.
    patches : Patches
        With labels.
    folds : list of (training rows, test rows)
        The folds.
    n_iter : int or None
        How many candidates to draw; None tries all of a grid.
    jobs : int
        Fits at a time.
    random_state : int
        Fixes what is drawn.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    search : GridSearchCV or RandomizedSearchCV
        With `cv_results_` and `best_params_`.
    """
    kinds: dict[str, Any] = {"cv": folds, "n_jobs": jobs, "refit": False, "error_score": "raise"}
    with tempfile.TemporaryDirectory() as folder:
        tally = Path(folder, "scores")
        kinds["scoring"] = _Tallying(tally)
        if n_iter is None:
            search = GridSearchCV(pipeline, space, **kinds)
        else:
            kinds |= {"n_iter": n_iter, "random_state": random_state}
            search = RandomizedSearchCV(pipeline, space, **kinds)
        total = _count(space, n_iter) * len(folds)
        with _followed(tally, total, progress=progress):
            return search.fit(patches.X, patches.target, **patches.fit_parameters())


def _count(space: Mapping[str, Any], n_iter: int | None) -> int:
    """Return the number of candidates; more are not drawn than a grid holds."""
    if n_iter is not None and any(hasattr(values, "rvs") for values in space.values()):
        return n_iter
    return min(len(ParameterGrid(space)), n_iter or sys.maxsize)


@contextmanager
def _followed(tally: Path, total: int, *, progress: bool) -> Iterator[None]:
    """Show a bar that grows with the tally."""
    tally.touch()
    done = threading.Event()
    with tqdm(total=total, desc="search", unit="fit", disable=not progress) as bar:

        def look() -> None:
            if more := tally.stat().st_size - bar.n:
                bar.update(more)

        def watch() -> None:
            while not done.wait(_LOOK_EVERY):
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            look()


def write_search(folder: Path, search: GridSearchCV | RandomizedSearchCV) -> None:
    """Write ``search.csv``, best candidate first, and ``search.png``.

    Parameters
    ----------
    folder : Path
        Where to.
    search : GridSearchCV or RandomizedSearchCV
        Fitted.
    """
    results = pd.DataFrame(search.cv_results_).drop(columns="params")
    results = results.sort_values("rank_test_score")
    results.to_csv(folder / "search.csv", index=False, na_rep="None")
    display = SearchResultsDisplay.from_estimator(search)
    display.ax_.set_xlabel("Cross-validated area under the ROC curve")
    display.figure_.savefig(folder / "search.png", dpi=110)
    plt.close(display.figure_)

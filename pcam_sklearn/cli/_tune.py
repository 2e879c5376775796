"""The command ``tune``: search for parameters, and train with the best."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn.cli._cluster import check_cluster_options, cluster, cluster_options
from pcam_sklearn.cli._options import after_help, jobs_option, training_options
from pcam_sklearn.cli._output import Output, reports

if TYPE_CHECKING:
    import numpy as np
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.pipeline import Pipeline

    from pcam_sklearn.cli._patches import Patches


@click.command(
    epilog=after_help(
        "pcam-sklearn tune histopathologic-cancer-detection --output run1 --jobs 2",
        "pcam-sklearn tune synthetic --output run1 --grid cnnclassifier__dropout=0.3,0.5",
        "pcam-sklearn tune synthetic --output run1 --n-iter 10",
        "pcam-sklearn tune synthetic --output run1 --dask tcp://host:8786",
    )
)
@training_options
@click.option(
    "--grid",
    multiple=True,
    metavar="NAME=V1,V2",
    help="Values to try for a parameter; may be repeated. Default: make_search_space().",
)
@click.option(
    "--n-iter", type=click.IntRange(min=1), help="Number of candidates to draw at random."
)
@click.option("--cv", type=click.IntRange(min=2), default=3, help="Number of folds.")
@jobs_option
@cluster_options
@reports
@click.pass_context
def tune(
    context: click.Context,
    grid: tuple[str, ...],
    n_iter: int | None,
    cv: int,
    jobs: int,
    dask: str | None,
    worker_threads: int | None,
    worker_gpus: int | None,
    out: Output,
    **options: Any,
) -> None:
    """Search for parameters by cross-validation over slides, and train with the best.

    DATA and the run folder are those of train; the folder also holds search.csv and search.png. The
    held-out patches take no part in the search. A config.json of tune, given to train, trains with
    the parameters that were found. An interrupted search starts from the beginning, because
    it keeps no checkpoint.
    """
    check_cluster_options(context)
    out.step("loading Keras")
    from pcam_sklearn.cli._training_run import make_run

    settings: dict[str, Any] = {"grid": list(grid), "n_iter": n_iter, "cv": cv, "jobs": jobs}
    if dask is not None:
        settings |= {"jobs": None, "dask": dask}
        settings |= {"worker_threads": worker_threads, "worker_gpus": worker_gpus}
    search = partial(_set_best, settings, options["random_state"], out)
    make_run(context, search=search, out=out, **options)


def _set_best(
    settings: Mapping[str, Any],
    random_state: int,
    out: Output,
    folder: Path,
    pipeline: "Pipeline",
    patches: "Patches",
    rows: "np.ndarray",
) -> dict[str, Any]:
    """Search, write the results, set the best parameters, and return an entry for config.json.

    Only these rows take part.
    """
    space = _make_space(pipeline, settings, random_state)
    # To take rows of a memory map would copy gigabytes, and send them to workers.
    part = patches.without_pixels().take(rows)
    folds = make_folds(part, settings["cv"], random_state)
    with _place_of_fits(settings) as parallel:
        search = search_parameters(
            pipeline,
            space,
            patches if parallel is None else _with_full_paths(patches),
            [(rows[train], rows[test]) for train, test in folds],
            n_iter=settings["n_iter"],
            jobs=settings["jobs"],
            random_state=random_state,
            progress=out.progress,
            parallel=parallel,
        )
    _write_search(folder, search)
    out.note(f"Cross-validated AUC {search.best_score_:.3f} with {search.best_params_}")
    pipeline.set_params(**search.best_params_)
    # As text, since JSON would change tuples and dicts.
    best = {name: repr(value) for name, value in search.best_params_.items()}
    return {"search": {**settings, "best_score": search.best_score_, "best_parameters": best}}


def _place_of_fits(
    settings: Mapping[str, Any],
) -> "contextlib.AbstractContextManager[dict[str, Any] | None]":
    """Return a context that gives options of `joblib.parallel_config`, or None."""
    if "dask" not in settings:
        return contextlib.nullcontext()
    return cluster(settings["dask"], settings["worker_threads"], settings["worker_gpus"])


def _with_full_paths(patches: "Patches") -> "Patches":
    """Return the patches with paths that mean the same in the working folder of a worker."""
    if patches.X.ndim > 1:
        return patches
    paths = patches.X.copy().astype(object)
    paths[:] = [os.path.abspath(path) for path in paths]
    return replace(patches, X=paths)


def _make_space(pipeline: "Pipeline", settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the values to try, or raise now for those at which a search would fail after hours."""
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    from pcam_sklearn import make_search_space
    from pcam_sklearn.cli._parameters import check_names, check_values, parse_grid

    space = parse_grid(settings["grid"])
    if not space:
        network = pipeline.get_params()["cnnclassifier__network"]
        space = make_search_space(network=network, distributions=settings["n_iter"] is not None)
    check_names(pipeline, space)
    if settings["n_iter"] is None:
        check_values(pipeline, ParameterGrid(space))
    else:
        # The same seed as in the search draws the same candidates.
        check_values(pipeline, ParameterSampler(space, settings["n_iter"], random_state=seed))
    return space


def make_folds(
    patches: "Patches", n_splits: int, random_state: int
) -> "list[tuple[np.ndarray, np.ndarray]]":
    """Return the rows of each fold, by slide where the slides are known."""
    from pcam_sklearn.model_selection import make_splitter

    try:
        splitter = make_splitter(patches.groups, n_splits, random_state)
        folds = list(splitter.split(patches.ids, patches.target, patches.groups))
        # scikit-learn only warns of this, and a fold of one class has no AUC.
        if not all(patches.take(rows).fewest_slides() for _, rows in folds):
            raise ValueError("A fold would hold one class alone.")
    except ValueError as error:
        raise ValueError(
            f"--cv {n_splits} is too large for {patches.describe()}: {error} Pass a smaller --cv."
        ) from error
    return folds


def search_parameters(
    pipeline: Any,
    space: Mapping[str, Any],
    patches: "Patches",
    folds: "list[tuple[np.ndarray, np.ndarray]]",
    *,
    n_iter: int | None,
    jobs: int | None,
    random_state: int,
    progress: bool,
    parallel: Mapping[str, Any] | None = None,
) -> "GridSearchCV | RandomizedSearchCV":
    """Score all candidates of a grid, or `n_iter` random ones. Fit none on all patches.

    `parallel` are options of `joblib.parallel_config`.
    """
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

    from pcam_sklearn.cli._fits import show_fits

    # No refit: the run fits the best candidate itself, as `train` does.
    settings: dict[str, Any] = {"scoring": "roc_auc", "refit": False, "error_score": "raise"}
    settings |= {"cv": folds, "n_jobs": jobs}
    # A worker that comes later finds fits to do, and the number of all fits is known for progress.
    settings |= {} if parallel is None else {"pre_dispatch": "all"}
    if n_iter is None:
        search = GridSearchCV(pipeline, space, **settings)
    else:
        settings |= {"n_iter": n_iter, "random_state": random_state}
        search = RandomizedSearchCV(pipeline, space, **settings)
    with show_fits(search, progress=progress, **(parallel or {})):
        return search.fit(patches.X, patches.target, **patches.fit_parameters())


def _write_search(folder: Path, search: "GridSearchCV | RandomizedSearchCV") -> None:
    """Write ``search.csv``, best candidate first, and ``search.png``."""
    import matplotlib.pyplot as plt
    import pandas as pd

    from pcam_sklearn.plotting import SearchResultsDisplay

    results = pd.DataFrame(search.cv_results_).drop(columns="params")
    results = results.sort_values("rank_test_score")
    # An empty field would hide that a candidate's value was None.
    results.to_csv(folder / "search.csv", index=False, na_rep="None")
    display = SearchResultsDisplay.from_estimator(search)
    display.ax_.set_xlabel("Cross-validated area under the ROC curve")
    display.figure_.savefig(folder / "search.png", dpi=110)
    # pyplot keeps a figure in memory until it is closed.
    plt.close(display.figure_)

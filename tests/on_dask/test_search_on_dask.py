"""Searches on Dask workers give the scores of a serial run, whatever X is and whoever is killed."""

import logging
import os
from pathlib import Path

import cv2
import joblib
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
)
from support.dask_parts import KillWorker, always_failing
from support.tiny import PATCH_SIDE, make_data, quick_pipeline
from support.worker_facts import environment_variable

pytestmark = pytest.mark.slow
distributed = pytest.importorskip("distributed", reason="needs the extra dask")

from pcam_sklearn.distributed import prepare_client  # noqa: E402

N = 400
X, Y = make_data(n=N, side=PATCH_SIDE)
SLIDES = np.repeat(np.arange(20), N // 20)
WEIGHTS = np.linspace(0.5, 2, N)
GRID = {"cnnclassifier__learning_rate": [0.003, 0.03]}
SETTINGS = {"scoring": "roc_auc", "cv": 2, "error_score": "raise", "refit": False}


def grid_search(**changes):
    return GridSearchCV(quick_pipeline(**changes), GRID, **SETTINGS)


def scores_of(search):
    """Return the scores of all candidates on all folds."""
    return [value for name, value in search.cv_results_.items() if name.endswith("test_score")]


def fit_scores(search, *data, **parameters):
    return scores_of(search.fit(*data, **parameters))


def on_workers(search, *data, **parameters):
    with joblib.parallel_config("dask"):
        return fit_scores(search, *data, **parameters)


def serially(client, function, *arguments, **options):
    """Call a function in one worker, which has the threads of all workers, without parallelism."""
    return client.submit(function, *arguments, **options, pure=False).result()


@pytest.fixture(scope="module")
def serial(dask_client):
    """Return the scores of a serial grid search."""
    return serially(dask_client, fit_scores, grid_search(), X, Y)


@pytest.fixture(scope="module")
def as_files(tmp_path_factory):
    """Return the patches as paths, and as a memory map."""
    folder = tmp_path_factory.mktemp("patches")
    paths = np.array([str(folder / f"{i}.png") for i in range(N)], dtype=object)
    for path, patch in zip(paths, X, strict=True):
        cv2.imwrite(path, patch[..., ::-1])
    np.save(folder / "X.npy", X)
    return {"paths": paths, "memory map": np.load(folder / "X.npy", mmap_mode="r")}


def test_a_grid_search_gives_the_serial_scores(dask_client, serial):
    assert len(np.unique(serial)) > 4
    np.testing.assert_allclose(on_workers(grid_search(), X, Y), serial, atol=1e-6)


@pytest.mark.parametrize("kind", ["paths", "memory map"])
def test_paths_and_memory_maps_give_the_scores_of_the_array(dask_client, serial, as_files, kind):
    found = on_workers(grid_search(), as_files[kind], Y)
    np.testing.assert_allclose(found, serial, atol=1e-6)


def test_a_randomized_search_gives_the_serial_scores(dask_client):
    search = RandomizedSearchCV(quick_pipeline(), GRID, n_iter=2, random_state=0, **SETTINGS)
    expected = serially(dask_client, fit_scores, search, X, Y)
    np.testing.assert_allclose(on_workers(search, X, Y), expected, atol=1e-6)


def test_a_halving_search_over_epochs_gives_the_serial_scores(dask_client):
    resource = {"resource": "cnnclassifier__epochs", "min_resources": 1, "max_resources": 2}
    search = HalvingGridSearchCV(
        quick_pipeline(), GRID, factor=2, **resource, scoring="roc_auc", cv=2, refit=False
    )
    expected = serially(dask_client, fit_scores, search, X, Y)
    np.testing.assert_allclose(on_workers(search, X, Y), expected, atol=1e-6)
    assert search.cv_results_["n_resources"].tolist() == [1, 1, 2]


def validate(weights, slides):
    parameters = {"cnnclassifier__sample_weight": weights, "cnnclassifier__groups": slides}
    return cross_validate(
        quick_pipeline(validation_fraction=0.2),
        X,
        Y,
        groups=slides,
        cv=GroupKFold(2),
        scoring="roc_auc",
        params=parameters,
        error_score="raise",
    )["test_score"]


def test_cross_validation_takes_slides_and_weights_along(dask_client):
    expected = serially(dask_client, validate, WEIGHTS, SLIDES)
    with joblib.parallel_config("dask"):
        found = validate(WEIGHTS, SLIDES)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(found, serially(dask_client, validate, np.ones(N), SLIDES))


def test_n_jobs_none_uses_all_workers(dask_client, tmp_path):
    note = KillWorker(tmp_path / "fits", numbers=())
    search = grid_search(callbacks=[note]).set_params(n_jobs=None)
    on_workers(search, X, Y)
    assert set(Path(note.counter).read_text().split()) == set(
        map(str, dask_client.run(os.getpid).values())
    )


def test_an_error_in_a_fit_arrives_with_its_message(dask_client):
    with pytest.raises(RuntimeError, match="this network cannot be built"):
        on_workers(grid_search(network=always_failing), X, Y)


class NotForPickle(DummyClassifier):
    def __reduce__(self):
        raise TypeError("this estimator stays here")


def test_what_cannot_be_pickled_is_an_error_and_not_a_search_without_end(dask_client):
    search = GridSearchCV(NotForPickle(), {"strategy": ["prior"]}, **SETTINGS)
    with pytest.raises(TypeError, match="cannot be sent to a worker: TypeError: this estimator"):
        on_workers(search, X, Y)


def test_each_finished_fit_is_told_of(dask_client, capsys):
    with joblib.parallel_config("dask", verbose=10):
        fit_scores(grid_search(), X, Y)
    assert "Done   4 out of   4" in capsys.readouterr().err


def test_a_search_survives_that_each_worker_is_killed(dask_client, serial, tmp_path):
    kill = KillWorker(tmp_path / "fits", numbers=(2, 4))
    found = on_workers(grid_search(callbacks=[kill]), X, Y)
    np.testing.assert_allclose(found, serial, atol=1e-6)
    begun_in = [int(pid) for pid in Path(kill.counter).read_text().split()]
    assert not {begun_in[1], begun_in[3]} & set(dask_client.run(os.getpid).values())
    # The processes that came in their place have been prepared as well.
    threads = dask_client.run(environment_variable, "TF_NUM_INTRAOP_THREADS")
    assert list(threads.values()) == ["1", "1"]


def test_a_fit_that_kills_every_worker_is_an_error_and_not_a_search_without_end(tmp_path):
    # A cluster of its own: Dask does not always start a worker again that was killed so often.
    settings = {"silence_logs": logging.CRITICAL, "dashboard_address": ":0"}
    kill = KillWorker(tmp_path / "fits", numbers=range(100))
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, **settings) as cluster:
        cluster.scheduler.allowed_failures = 0
        with (
            prepare_client(cluster.get_client()) as client,
            joblib.parallel_config("dask", client=client),
            pytest.raises(distributed.KilledWorker, match="those workers died while running it"),
        ):
            grid_search(callbacks=[kill]).fit(X, Y)

"""``tune --dask``: workers do the fits of the search."""

import json
import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from support.cli_runs import FILES, TINY, cli, contents, labelled_patches

from pcam_sklearn.cli._tune import make_folds, search_parameters

pytestmark = pytest.mark.slow
distributed = pytest.importorskip("distributed", reason="needs the extra dask")
GRID = ("--grid", "cnnclassifier__dropout=0.2,0.4", "--cv", 2)


@pytest.fixture
def address(dask_cluster, dask_client):
    """Return the address of a cluster whose workers are prepared for one thread."""
    return dask_cluster.scheduler_address


@pytest.fixture(scope="module")
def tuned(dask_cluster, dask_client, kaggle, tmp_path_factory):
    """Return the folder of a search on workers, whose folder is another one, and what was said."""
    folder = tmp_path_factory.mktemp("tuned")
    here = os.getcwd()
    os.chdir(kaggle.parent)
    try:
        said = cli(
            *("tune", kaggle.name, "--output", folder / "run", *GRID, *TINY),
            *("--dask", dask_cluster.scheduler_address),
        )
    finally:
        os.chdir(here)
    return folder / "run", said


def test_it_writes_what_tune_writes(tuned):
    folder, _ = tuned
    assert contents(folder) == sorted([*FILES, "search.csv", "search.png"])
    scores = pd.read_csv(folder / "search.csv")["mean_test_score"]
    assert len(scores) == 2
    assert scores.between(0, 1).all()


def test_it_shows_how_many_fits_are_done(tuned):
    _, said = tuned
    assert "totalling 4 fits" in said.stderr
    assert "Done   4 out of   4" in said.stderr
    assert "Parallel" not in said.stdout


def test_the_run_folder_tells_where_the_fits_ran(tuned, dask_cluster):
    folder, _ = tuned
    search = json.loads((folder / "config.json").read_text())["search"]
    assert search["dask"] == dask_cluster.scheduler_address
    assert search["jobs"] is None


def test_its_scores_are_those_of_a_search_without_workers(dask_client):
    patches = labelled_patches(6, groups=False)
    folds = make_folds(patches, 3, 0)
    options = {"n_iter": None, "jobs": None, "random_state": 0, "progress": False}
    space = {"strategy": ["prior", "stratified"], "random_state": [0]}
    expected, found = (
        search_parameters(DummyClassifier(), space, patches, folds, **options, parallel=parallel)
        for parallel in (None, {"backend": "dask", "client": dask_client})
    )
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere://host:1", "host"])
def test_a_wrong_address_is_an_error_that_says_what_to_type(address, kaggle, tmp_path, monkeypatch):
    monkeypatch.setattr("pcam_sklearn.cli._cluster._SECONDS", 0.2)
    said = cli("tune", kaggle, "--output", tmp_path / "run", *TINY, "--dask", address, code=2)
    assert f"no Dask scheduler answers at {address}" in said.stderr
    assert "such as tcp://host:8786" in said.stderr
    assert not (tmp_path / "run").exists()


def test_a_scheduler_without_workers_is_an_error_that_says_what_to_type(
    kaggle, tmp_path, monkeypatch
):
    monkeypatch.setattr("pcam_sklearn.cli._cluster._SECONDS", 0.2)
    settings = {"dashboard_address": ":0", "silence_logs": 50, "host": "127.0.0.1"}
    with distributed.LocalCluster(n_workers=0, **settings) as cluster:
        address = cluster.scheduler_address
        said = cli("tune", kaggle, "--output", tmp_path / "run", *TINY, "--dask", address, code=2)
    assert f"dask worker {address} --nthreads 1" in " ".join(said.stderr.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dask", "tcp://127.0.0.1:9", "--jobs", 1), "leave one of the two out"),
        (("--worker-threads", 2), "--worker-threads is for --dask"),
        (("--worker-gpus", 1), "--worker-gpus is for --dask"),
    ],
)
def test_an_option_that_would_be_ignored_is_an_error(options, message, kaggle, tmp_path):
    said = cli("tune", kaggle, "--output", tmp_path / "run", *options, code=2)
    assert message in " ".join(said.stderr.split())


def test_threads_that_the_workers_no_longer_take_are_an_error(address, kaggle, tmp_path, tuned):
    options = ("--dask", address, "--worker-threads", 5)
    said = cli("tune", kaggle, "--output", tmp_path / "run", *TINY, *options, code=2)
    assert "before it was prepared" in " ".join(said.stderr.split())


@pytest.fixture
def _interrupts_raise():
    """Have Ctrl-C interrupt this process, also if it was started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_raise")
def test_an_interrupted_search_leaves_the_cluster_usable(address, dask_client, kaggle, tmp_path):
    def interrupt():
        while not any(dask_client.processing().values()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    grid = ("--grid", "cnnclassifier__dropout=0.1,0.2,0.3,0.4,0.5,0.6", "--cv", 3)
    run = tmp_path / "run"
    said = cli("tune", kaggle, "--output", run, *grid, *TINY, "--dask", address, code=130)
    thread.join()
    assert "Interrupted" in said.stderr
    assert list(tmp_path.iterdir()) == []
    assert dask_client.submit(sum, [1, 2], pure=False).result() == 3
    for _ in range(600):  # Fits that were going on come to their end, and are forgotten.
        if not dask_client.run_on_scheduler(fits_left):
            return
        time.sleep(0.1)
    raise AssertionError(dask_client.run_on_scheduler(fits_left))


def fits_left(dask_scheduler):
    """Return the fits that a scheduler still knows."""
    return [key for key in dask_scheduler.tasks if "fit" in str(key)]

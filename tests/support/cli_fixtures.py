"""Small folders and runs that the tests of several commands share."""

import shutil

import pytest

from support.cli_runs import make_kaggle, make_run


@pytest.fixture(scope="session")
def kaggle(tmp_path_factory):
    """Return a small folder in Kaggle's layout."""
    return make_kaggle(tmp_path_factory.mktemp("kaggle"))


@pytest.fixture(scope="session")
def run(kaggle, tmp_path_factory):
    """Return the folder of a tiny run on `kaggle`."""
    return make_run(kaggle, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="session")
def others(tmp_path_factory):
    """Return patches of slides that took no part in `run`."""
    return make_kaggle(tmp_path_factory.mktemp("others"), seed=1)


@pytest.fixture(scope="session")
def model(run, tmp_path_factory):
    """Return a file with the model of `run`, without its folder."""
    path = tmp_path_factory.mktemp("model") / "some.pcam"
    return shutil.copy(run / "model.pcam", path)

"""Real patches for every test that asks for them, and settings of all tests."""

import gc
from pathlib import Path

import pytest
from hypothesis import settings

# A test on a busy machine takes as long as it takes.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A conftest.py reaches no file outside of its folder, and a second one would clash with this one.
pytest_plugins = ["support.cli_fixtures", "support.collection", "support.dask_cluster"]

FEW = Path(__file__).parent / "data"
MANY = Path(__file__).resolve().parents[2] / "shared" / "pcam-sample"


def pytest_collection_finish() -> None:
    """Take what imports left out of garbage collections, which would walk it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """Return a folder in Kaggle's layout with 36 labelled patches and four to predict."""
    return FEW


@pytest.fixture(scope="session")
def whole_sample() -> Path:
    """Return a folder of 4,000 labelled patches, or skip the test where it is absent."""
    if not MANY.is_dir():
        pytest.skip(f"needs the 4,000 patches in ../shared/{MANY.name}, which no clone has")
    return MANY

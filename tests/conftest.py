"""Real patches for every test that asks for them, and settings of all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# A test on a busy machine takes as long as it takes.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A second conftest.py, in a folder, would clash with this one when docstrings are collected.
pytest_plugins = ["support.cli_fixtures"]

# A page and a docstring cannot carry a marker.
SLOW_DOCTESTS = {
    "docs/getting_started.md::getting_started.md",
    "pcam_sklearn/classifier.py::pcam_sklearn.classifier.CNNClassifier",
    "pcam_sklearn/plotting/_heat.py::pcam_sklearn.plotting._heat.grad_cam",
}

FEW = Path(__file__).parent / "data"
MANY = Path(__file__).resolve().parents[2] / "shared" / "pcam-sample"


@pytest.hookimpl(tryfirst=True)  # Pytest must see the markers when it leaves tests out.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow pages and docstrings."""
    for item in items:
        if item.nodeid in SLOW_DOCTESTS:
            item.add_marker(pytest.mark.slow)


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

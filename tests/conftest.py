"""Real patches for every test that asks for them, and settings of all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# A test on a busy machine takes as long as it takes.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

FEW = Path(__file__).parent / "data"
MANY = Path(__file__).resolve().parents[2] / "shared" / "pcam-sample"

# These tests still expect the whole sample under its old name.
COUNT_ALL_PATCHES = {
    "test_the_real_patches_raise_no_false_alarm",
    "test_the_listed_real_files_are_patches",
    "test_real_patches_get_the_ids_that_kaggle_gave_them",
    "test_the_real_slides_have_a_table_and_some_hold_one_class",
}


@pytest.fixture
def sample_folder(request: pytest.FixtureRequest) -> Path:
    """Return a folder in Kaggle's layout with 36 labelled patches and four to predict."""
    if request.function.__name__ in COUNT_ALL_PATCHES:
        return request.getfixturevalue("whole_sample")
    return FEW


@pytest.fixture(scope="session")
def small_sample() -> Path:
    """Return the folder of `sample_folder`."""
    return FEW


@pytest.fixture(scope="session")
def whole_sample() -> Path:
    """Return a folder of 4,000 labelled patches, or skip the test where it is absent."""
    if not MANY.is_dir():
        pytest.skip(f"needs the 4,000 patches in ../shared/{MANY.name}, which no clone has")
    return MANY

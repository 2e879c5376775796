"""What every test shares: the real sample, and its absence said aloud."""

from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "pcam-sample"


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """Return the folder of real patches; the test is skipped where it is absent."""
    if not SAMPLE.is_dir():
        pytest.skip(f"needs the real patches of {SAMPLE.name}, which are not in the repository")
    return SAMPLE

"""What every test shares: the real sample, and its absence said aloud."""

from pathlib import Path

import pandas as pd
import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "pcam-sample"


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """Return the folder of real patches; the test is skipped where it is absent."""
    if not SAMPLE.is_dir():
        pytest.skip(f"needs the real patches of {SAMPLE.name}, which are not in the repository")
    return SAMPLE


@pytest.fixture(scope="session")
def small_sample(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in Kaggle's layout with every tenth patch of the real ones."""
    folder = tmp_path_factory.mktemp("small-sample")
    labels = pd.read_csv(sample_folder / "train_labels.csv")[::10]
    slides = pd.read_csv(sample_folder / "slides.csv")
    labels.to_csv(folder / "train_labels.csv", index=False)
    slides[slides["id"].isin(labels["id"])].to_csv(folder / "slides.csv", index=False)
    (folder / "train").mkdir()
    for id_ in labels["id"]:
        (folder / "train" / f"{id_}.tif").symlink_to(sample_folder / "train" / f"{id_}.tif")
    (folder / "test").symlink_to(sample_folder / "test")
    return folder

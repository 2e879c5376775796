"""Small files in the layout of the official PatchCamelyon ones."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

SLIDES = ["normal_001", "tumor_070", "tumor_071", "normal_101"]


def name(split: str, part: str) -> str:
    return f"camelyonpatch_level_2_split_{split}_{part}"


def write_h5(path: Path, key: str, values: np.ndarray, *, chunks: int | None = None) -> None:
    shape = (chunks, *values.shape[1:]) if chunks else None
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=values, chunks=shape)


def pack(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), compresslevel=1))
    path.unlink()
    return packed


def make_meta(n: int, labels: np.ndarray, split: str) -> pd.DataFrame:
    if split == "test":
        slides = [f"camelyon16_test_{1 + i % 3:03d}" for i in range(n)]
    else:
        slides = [f"camelyon16_train_{SLIDES[i % len(SLIDES)]}" for i in range(n)]
    return pd.DataFrame(
        {
            "coord_y": 1000 + np.arange(n),
            "coord_x": 5000 + np.arange(n),
            "tumor_patch": labels.astype(bool),
            "center_tumor_patch": labels.astype(bool),
            "wsi": slides,
        }
    )


def make_official(
    folder: Path, split: str = "train", n: int = 12, *, chunks: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Write the three files of a split; return its patches and labels."""
    rng = np.random.default_rng(n)
    patches = rng.integers(0, 256, (n, 96, 96, 3), np.uint8)
    labels = rng.integers(0, 2, n, np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    write_h5(folder / name(split, "x.h5"), "x", patches, chunks=chunks)
    write_h5(folder / name(split, "y.h5"), "y", labels.reshape(n, 1, 1, 1))
    make_meta(n, labels, split).to_csv(folder / name(split, "meta.csv"))
    return patches, labels

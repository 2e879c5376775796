"""The patches and the labels in official HDF5 files, checked."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pcam_sklearn.datasets._h5 import WHAT_TO_DO, Table, open_h5
from pcam_sklearn.datasets._pcam_files import H5_MD5, SIZES, file_name

PATCH = (96, 96, 3)


@contextmanager
def open_patches(path: Path, split: str) -> Iterator[Table]:
    """Yield the patches of a split: uint8 (n, 96, 96, 3), of which there is at least one."""
    with open_h5(path, "x") as table:
        _check_content(table, split)
        if table.dtype != np.uint8 or table.shape[1:] != PATCH:
            raise ValueError(
                f"{path}: x is {table.dtype} {table.shape}; it must be uint8 (n, 96, 96, 3)"
            )
        if not len(table):
            raise ValueError(f"{path} holds no patch; download it again with fetch_pcam")
        yield table


def read_labels(path: Path, split: str) -> np.ndarray:
    """Return the labels of a split, 0 or 1."""
    with open_h5(path, "y") as table:
        _check_content(table, split)
        if table.dtype.kind not in "buif" or math.prod(table.shape) != len(table):
            raise ValueError(
                f"{path}: y is {table.dtype} {table.shape}; it must hold one number, 0 or 1, for"
                " each patch"
            )
        labels = table.read().reshape(-1)
    # Compared before they become integers, which would cut fractions off.
    wrong = np.flatnonzero(~np.isin(labels, [0, 1]))
    if len(wrong):
        raise ValueError(
            f"{path}: {len(wrong):,} labels are not 0 or 1, the first is {labels[wrong[0]]} of"
            f" patch {wrong[0]}; {WHAT_TO_DO}"
        )
    return labels.astype(np.int64)


def _check_content(table: Table, split: str) -> None:
    """Raise ValueError if a file has the official length but not the official content."""
    right = H5_MD5[file_name(split, f"{table.key}.h5")]
    if len(table) == SIZES[split] and table.md5 != right:
        raise ValueError(
            f"{table.path} is damaged: the MD5 of its content is {table.md5}, not {right};"
            f" {WHAT_TO_DO}"
        )

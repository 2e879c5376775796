"""The official meta files: one row per patch, with its place and its slide."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from pcam_sklearn._files import md5_of
from pcam_sklearn._messages import first_few
from pcam_sklearn._tables import read_csv
from pcam_sklearn.datasets._pcam_files import ARCHIVE_MD5, file_name

_COLUMNS = ["coord_y", "coord_x", "center_tumor_patch", "wsi"]
_LABELS = {"True": 1, "False": 0, "TRUE": 1, "FALSE": 0, "1": 1, "0": 0, "1.0": 1, "0.0": 0}
_LARGEST_COORDINATE = 2**53  # Beyond this, a float is no exact whole number.


def read_meta(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read an official meta file, in the order of the patches, with or without its index."""
    meta = read_csv(path, low_memory=False)
    if not set(_COLUMNS) <= set(meta):
        raise ValueError(f"{path} has the columns {list(meta)}; it must have {_COLUMNS}")
    # The index has no name in the file, so pandas gives it one.
    return meta.set_index("Unnamed: 0") if meta.columns[0] == "Unnamed: 0" else meta


def slides_of(meta: pd.DataFrame, name: str) -> np.ndarray:
    """Return the slide of each patch, or raise ValueError in which the meta data is called `name`.

    An index out of order is an error as well: it tells that the rows have been sorted or shuffled.
    """
    if "wsi" not in meta:
        raise ValueError(f"{name} has the columns {list(meta)}; it must have 'wsi'")
    missing = meta["wsi"].isna() | (meta["wsi"].astype(str).str.strip() == "")
    if missing.any():
        raise ValueError(
            f"{name} has {int(missing.sum()):,} rows that name no slide (wsi), the first is row"
            f" {missing.to_numpy().argmax()}; download it again with fetch_pcam"
        )
    if (
        not meta.index.equals(ordered := pd.RangeIndex(len(meta)))
        and meta.index.isin(ordered).all()
    ):
        raise ValueError(
            f"{name} is in another order than the patches: its index is out of order, or has rows"
            " twice; sort it by its index, or download it again with fetch_pcam"
        )
    return meta["wsi"].to_numpy(dtype=str)


def coordinates_of(meta: pd.DataFrame, path: Path) -> np.ndarray:
    """Return ``coord_y, coord_x`` of each patch as integers; shape (n, 2)."""
    columns = ["coord_y", "coord_x"]
    numbers = meta[columns].apply(pd.to_numeric, errors="coerce").astype(float)
    # NaN fails every comparison.
    right = (numbers.abs() <= _LARGEST_COORDINATE) & (numbers % 1 == 0)
    _refuse_wrong(path, meta[columns], right.all(axis=1), "a coordinate must be a whole number")
    return numbers.to_numpy().astype(np.int64)


def check_order(
    meta: pd.DataFrame, name: str, target: np.ndarray, labels: Path, *, official: bool
) -> None:
    """Raise ValueError unless the rows belong to `target`, the labels that a file holds.

    The official files themselves may disagree on a label.
    """
    if len(meta) != len(target):
        raise ValueError(
            f"{name} has {len(meta):,} rows for {len(target):,} patches; the files must be of one"
            " download"
        )
    values = meta["center_tumor_patch"].astype(str).str.strip().map(_LABELS)
    right = values.notna()
    _refuse_wrong(name, meta[["center_tumor_patch"]], right, "it must be True or False")
    differ = int((values.to_numpy() != target).sum())
    if differ and not official:
        raise ValueError(
            f"{name}: center_tumor_patch differs from the label of {differ:,} patches in"
            f" {labels.name}, so its rows belong to other patches, or a file is damaged; download"
            " both again with fetch_pcam"
        )


def is_official(path: Path, split: str) -> bool:
    """Return whether this is the meta file of a split as the archive has it, under any name."""
    return md5_of(path) == ARCHIVE_MD5[file_name(split, "meta.csv")]


def _refuse_wrong(name: str | Path, columns: pd.DataFrame, right: pd.Series, rule: str) -> None:
    wrong = columns[~right.to_numpy()]
    if len(wrong):
        shown = first_few(
            ", ".join(f"{column} {value!r}" for column, value in row.items())
            for row in wrong.astype(str).to_dict("records")
        )
        raise ValueError(
            f"{name} has {len(wrong):,} rows that cannot be used: {shown}; {rule}; download it"
            " again with fetch_pcam"
        )

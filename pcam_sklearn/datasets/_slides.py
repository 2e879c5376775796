"""The slides of Kaggle's training patches, found in the official files of PatchCamelyon."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from pcam_sklearn._hospitals import hospitals_of_slides
from pcam_sklearn.datasets._h5 import open_h5, read_blocks
from pcam_sklearn.datasets._ids import patch_digest
from pcam_sklearn.datasets._pcam_files import H5_MD5, SIZES

_META_COLUMNS = ["coord_y", "coord_x", "center_tumor_patch", "wsi"]


def read_meta(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read an official meta file: one row per patch, in the order of the patches."""
    try:
        meta = pd.read_csv(path, index_col=0)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a CSV file: {error}") from error
    if not set(_META_COLUMNS) <= set(meta):
        raise ValueError(f"{path} has the columns {list(meta)}; it must have {_META_COLUMNS}")
    if meta["wsi"].isna().any():
        raise ValueError(
            f"{path} has {int(meta['wsi'].isna().sum())} rows that name no slide (wsi);"
            " download it again with fetch_pcam"
        )
    return meta


def slides_from_official(
    h5: str | os.PathLike[str], meta: str | os.PathLike[str] | pd.DataFrame
) -> pd.DataFrame:
    """Find the slide of Kaggle's training patches, from the official training files.

    Kaggle's files come without slides, so a random split of them has the same slides on both sides.
    Their ids are the SHA-1 of the pixels, so the hashes of the official training patches tell the
    slide of each. Only the training split is accepted. The patches of the others are Kaggle's test
    set, and nothing about them may be given away.

    Parameters
    ----------
    h5 : path-like
        ``camelyonpatch_level_2_split_train_x.h5`` or ``.h5.gz``.
    meta : path-like or pandas.DataFrame
        ``camelyonpatch_level_2_split_train_meta.csv``, or that file as a frame with the column
        ``wsi`` and one row per patch.

    Returns
    -------
    pandas.DataFrame of shape (n_ids, 3)
        The columns ``id``, ``slide`` and ``hospital`` ("RUMC", "UMCU" or "unknown"), one row per
        id. Pass it to ``load_kaggle(folder, slides=...)``, or save it as ``slides.csv``.

    Raises
    ------
    ValueError
        If the files are of another split, damaged, or do not belong together.

    Warns
    -----
    UserWarning
        If the same pixels occur on several slides, as blank patches do. The first slide counts.

    See Also
    --------
    pcam_sklearn.datasets.fetch_pcam : Download the official files.

    Examples
    --------
    >>> from pcam_sklearn.datasets import slides_from_official
    >>> slides_from_official("camelyonpatch_level_2_split_test_x.h5", "m.csv")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: camelyonpatch_level_2_split_test_x.h5 is of the split 'test'; ...
    """
    _refuse_name(Path(h5))
    if not isinstance(meta, pd.DataFrame):
        _refuse_name(Path(meta))
        meta = read_meta(meta)
    slides = _read_training_slides(meta)
    with open_h5(Path(h5), "x") as (patches, md5):
        _refuse_content(Path(h5), len(patches), md5)
        if len(patches) != len(slides):
            raise ValueError(
                f"{h5} has {len(patches):,} patches and the meta data {len(slides):,} rows;"
                " pass the two files of one download"
            )
        ids = [patch_digest(patch).hex() for block in read_blocks(patches) for patch in block]
    # A patch may be on one slide several times. That is no reason to warn.
    table = pd.DataFrame({"id": ids, "slide": slides}).drop_duplicates(ignore_index=True)
    _warn_of_several_slides(table)
    table = table.drop_duplicates("id", ignore_index=True)
    return table.assign(hospital=hospitals_of_slides(table["slide"].to_numpy(dtype=str)))


def _refuse_name(path: Path) -> None:
    for split in ("valid", "test"):
        if f"split_{split}_" in path.name:
            raise ValueError(
                f"{path.name} is of the split {split!r}; its patches are Kaggle's test set,"
                " so pass the files of the split 'train'"
            )


def _refuse_content(path: Path, n: int, md5: str) -> None:
    refused = {sum_ for name, sum_ in H5_MD5.items() if "_train_" not in name}
    # The number alone is enough, because a file that was saved again has another MD5.
    if md5 in refused or n in {SIZES["valid"], SIZES["test"]}:
        raise ValueError(
            f"{path} holds the {n:,} patches of the split 'valid' or 'test', under another name;"
            " pass the file of the split 'train'"
        )


def _read_training_slides(meta: pd.DataFrame) -> np.ndarray:
    if "wsi" not in meta:
        raise ValueError(f"meta has the columns {list(meta)}; it must have 'wsi'")
    slides = meta["wsi"].to_numpy(dtype=str)
    foreign = sorted({str(slide) for slide in slides if "train" not in slide})
    if foreign:
        raise ValueError(
            f"meta names {len(foreign)} slides that are not training slides, {foreign[0]!r} first;"
            " pass only camelyon16_train_*, because the others are Kaggle's test set"
        )
    return slides


def _warn_of_several_slides(table: pd.DataFrame) -> None:
    n = int(table["id"][table["id"].duplicated()].nunique())
    if n:
        warnings.warn(
            f"{n} ids occur on more than one slide, as blank patches do; each counts for its first"
            " slide",
            stacklevel=3,
        )

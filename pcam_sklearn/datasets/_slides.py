"""The slides of Kaggle's training patches, found in the official files of PatchCamelyon."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from pcam_sklearn._files import expand_home
from pcam_sklearn._hospitals import hospitals_of_slides
from pcam_sklearn.datasets._h5 import Table, find_h5
from pcam_sklearn.datasets._ids import patch_digest
from pcam_sklearn.datasets._meta import check_order, is_official, read_meta, slides_of
from pcam_sklearn.datasets._official_h5 import open_patches, read_labels
from pcam_sklearn.datasets._pcam_files import H5_MD5, SIZES, file_name


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
        ``wsi`` and one row per patch, in the order of the patches. Its ``center_tumor_patch`` is
        compared with the labels in ``camelyonpatch_level_2_split_train_y.h5`` (or ``.h5.gz``)
        beside `h5`.

    Returns
    -------
    pandas.DataFrame of shape (n_ids, 3)
        The columns ``id``, ``slide`` and ``hospital`` ("RUMC", "UMCU" or "unknown"), one row per
        id. Pass it to ``load_kaggle(folder, slides=...)``, or save it as ``slides.csv``.

    Raises
    ------
    ValueError
        If the files are of another split, damaged, or do not belong together. If the patches are
        not uint8 of shape (n, 96, 96, 3).

    Warns
    -----
    UserWarning
        If the same pixels occur on several slides, as blank patches do. The first slide counts.
        If there are no labels to compare `meta` with, unless it is the official file.

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
    file = expand_home(h5)
    _refuse_name(file)
    slides = _read_training_slides(file, meta)
    with open_patches(file, "train") as patches:
        _refuse_content(patches)
        if len(patches) != len(slides):
            raise ValueError(
                f"{h5} has {len(patches):,} patches and the meta data {len(slides):,} rows;"
                " pass the two files of one download"
            )
        ids = [patch_digest(patch).hex() for block in patches.blocks() for patch in block]
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


def _refuse_content(patches: Table) -> None:
    refused = {sum_ for name, sum_ in H5_MD5.items() if "_train_" not in name}
    # The number alone is enough, because a file that was saved again has another MD5.
    if patches.md5 in refused or len(patches) in {SIZES["valid"], SIZES["test"]}:
        raise ValueError(
            f"{patches.path} holds the {len(patches):,} patches of the split 'valid' or 'test',"
            " under another name; pass the file of the split 'train'"
        )


def _read_training_slides(h5: Path, meta: str | os.PathLike[str] | pd.DataFrame) -> np.ndarray:
    """Return the slide of each row, or raise ValueError unless all are training slides."""
    path, name = None, "meta"
    if not isinstance(meta, pd.DataFrame):
        path, name = expand_home(meta), str(meta)
        _refuse_name(path)
        meta = read_meta(path)
    slides = slides_of(meta, name)
    foreign = sorted({str(slide) for slide in slides if "train" not in slide})
    if foreign:
        raise ValueError(
            f"{name} names {len(foreign)} slides that are not training slides, {foreign[0]!r} first"
            "; pass only camelyon16_train_*, because the others are Kaggle's test set"
        )
    _check_order(h5, meta, name, path)
    return slides


def _check_order(h5: Path, meta: pd.DataFrame, name: str, path: Path | None) -> None:
    """Compare the rows with the labels next to the patches, or warn if those are missing."""
    labels = find_h5(h5.parent, file_name("train", "y"))
    official = path is not None and is_official(path, "train")
    if labels is not None and "center_tumor_patch" in meta:
        check_order(meta, name, read_labels(labels, "train"), labels, official=official)
    elif not official:
        warnings.warn(
            f"nothing shows that the rows of {name} are in the order of the patches, because there"
            f" is no {file_name('train', 'y')}.h5 beside {h5.name}, or no column"
            " center_tumor_patch to compare it with",
            stacklevel=4,
        )


def _warn_of_several_slides(table: pd.DataFrame) -> None:
    n = int(table["id"][table["id"].duplicated()].nunique())
    if n:
        warnings.warn(
            f"{n} ids occur on more than one slide, as blank patches do; each counts for its first"
            " slide",
            stacklevel=3,
        )

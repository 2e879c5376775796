"""The official PatchCamelyon data, memory-mapped."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from pcam_sklearn._files import expand_home
from pcam_sklearn._hospitals import hospitals_of_slides
from pcam_sklearn.datasets._h5 import find_h5
from pcam_sklearn.datasets._meta import (
    check_order,
    coordinates_of,
    is_official,
    read_meta,
    slides_of,
)
from pcam_sklearn.datasets._npy import map_images, read_digests
from pcam_sklearn.datasets._official_h5 import read_labels
from pcam_sklearn.datasets._pcam_files import check_split, file_name

_DESCR = """\
PatchCamelyon (PCam), split {split!r}: {n:,} patches of 96 x 96 pixels (0.972 um each), cut from
H&E-stained sections of lymph nodes, Camelyon16, two hospitals. Target 1: the 32 x 32 pixels in
the center hold at least one pixel of tumour tissue. CC0.

B. S. Veeling, J. Linmans, J. Winkens, T. Cohen, M. Welling: Rotation Equivariant CNNs for Digital
Pathology, MICCAI 2018. B. Ehteshami Bejnordi et al.: JAMA 318(22), 2017.
"""


def load_pcam(
    folder: str | os.PathLike[str],
    split: str = "train",
    *,
    return_X_y: bool = False,
    verify: bool = False,
    progress: bool = True,
) -> Any:
    """Load a split of the official PatchCamelyon files, without reading it into memory.

    The first call reads the HDF5 file once, from front to back, and writes its patches into a
    ``.npy`` file beside it. Every further call maps that file into memory.

    Parameters
    ----------
    folder : path-like
        The folder of ``camelyonpatch_level_2_split_<split>_x.h5`` and ``..._y.h5`` (each as it is
        or as ``.h5.gz``) and ``..._meta.csv``. If the last one is missing, that is a warning.
    split : {"train", "valid", "test"}, default="train"
        The split: 262,144, 32,768 or 32,768 patches.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch.
    verify : bool, default=False
        Whether to check all patches against the checksums from when the ``.npy`` file was written,
        not only the first and last 256.
    progress : bool, default=True
        Whether to show progress bars on the standard error stream.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with the following attributes.

        images : numpy.memmap of shape (n_samples, 96, 96, 3), uint8
            The patches, RGB, read-only.
        target : ndarray of shape (n_samples,), int64
            0 or 1.
        ids : ndarray of shape (n_samples,), str
            In the training split the SHA-1 of the pixels: Kaggle's ids. In the others the number
            of the patch, as ``"valid_00000"``. Those are Kaggle's test set: its ids together with
            its target would give away the answers of the competition.
        groups : ndarray of shape (n_samples,), str, or None
            The slide (``wsi``) of each patch. None without a meta file.
        coordinates : ndarray of shape (n_samples, 2), int64, or None
            Place of the patch on its slide: ``coord_y, coord_x``, the row before the column as in
            the meta file. None without a meta file.
        hospital : ndarray of shape (n_samples,), str, or None
            "RUMC", "UMCU", or "unknown" for test slides. None without a meta file.
        DESCR : str
            The description of the data.

    (images, target) : tuple of ndarray
        If `return_X_y` is true.

    Raises
    ------
    FileNotFoundError
        If files are missing; the error names all of them.
    ValueError
        If `split` is unknown, or a file is damaged or does not belong to the others.

    Warns
    -----
    UserWarning
        If there is no meta file, or a ``.npy`` file is damaged or out of date and written again.

    See Also
    --------
    pcam_sklearn.datasets.fetch_pcam : Download the files.
    pcam_sklearn.datasets.load_kaggle : Load Kaggle's version of the data.

    Notes
    -----
    An HDF5 file with the official number of patches must have the official MD5. The ``.npy`` file
    is read back after it is written, and every patch compared by SHA-1. Only then it takes its
    name. A later call compares its size, its header, and the checksums of the first and last
    patches, or of all with ``verify=True``. If the HDF5 file is still there, packed or not, and is
    another one by name, size, time or inode, its content must have the MD5 of the first one. What
    differs is written again. After the first call you may delete the HDF5 file of the patches.

    Examples
    --------
    >>> from pcam_sklearn.datasets import load_pcam
    >>> pcam = load_pcam("pcam", split="valid")  # doctest: +SKIP
    >>> pcam.images.shape  # doctest: +SKIP
    (32768, 96, 96, 3)
    """
    root = expand_home(folder)
    labels = _find_labels(root, check_split(split))
    # Labels first: they are read in a moment, while the patches may take minutes.
    target = read_labels(labels, split)
    stem = file_name(split, "x")
    source = find_h5(root, stem)
    images = map_images(root, stem, source, split, verify=verify, progress=progress)
    if len(images) != len(target):
        patches = source.name if source else f"{stem}.npy"
        raise ValueError(
            f"{patches} in {root} has {len(images):,} patches and {labels.name} {len(target):,}"
            " labels; the two files must be of one download"
        )
    if return_X_y:
        return images, target
    return Bunch(
        images=images,
        target=target,
        ids=_make_ids(root, split, images, progress=progress),
        DESCR=_DESCR.format(split=split, n=len(images)),
        **_read_places(root, split, target, labels),
    )


def _find_labels(root: Path, split: str) -> Path:
    """Return the file of the labels, or raise FileNotFoundError that names all that is missing."""
    missing, labels = [], find_h5(root, file_name(split, "y"))
    # After the first call, the ``.npy`` file alone is enough.
    npy = root / file_name(split, "x.npy")
    if not npy.is_file() and not find_h5(root, file_name(split, "x")):
        missing.append(file_name(split, "x.h5.gz"))
    if labels is None:
        missing.append(file_name(split, "y.h5.gz"))
    if labels is None or missing:
        raise FileNotFoundError(
            f"{root} lacks {' and '.join(missing)} (packed, or unpacked as .h5); download with"
            f" fetch_pcam({str(root)!r}, splits=({split!r},))"
        )
    return labels


def _make_ids(root: Path, split: str, images: np.memmap, *, progress: bool) -> np.ndarray:
    if split != "train":
        return np.array([f"{split}_{i:05d}" for i in range(len(images))])
    digests = read_digests(root / file_name(split, "x.npy"), images, progress=progress)
    return np.array([digest.tobytes().hex() for digest in digests])


def _read_places(
    root: Path, split: str, target: np.ndarray, labels: Path
) -> dict[str, np.ndarray | None]:
    """Return the groups, coordinates and hospital of each patch, from the meta file."""
    path = root / file_name(split, "meta.csv")
    if not path.is_file():
        warnings.warn(
            f"there is no {path.name} in {root}: groups, coordinates and hospital are None, so"
            f" patches cannot be split by slide; fetch_pcam({str(root)!r}, splits=({split!r},))"
            " downloads it",
            stacklevel=3,
        )
        return {"groups": None, "coordinates": None, "hospital": None}
    meta = read_meta(path)
    check_order(meta, str(path), target, labels, official=is_official(path, split))
    groups = slides_of(meta, str(path))
    return {
        "groups": groups,
        "coordinates": coordinates_of(meta, path),
        "hospital": hospitals_of_slides(groups),
    }

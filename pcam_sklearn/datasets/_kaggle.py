"""Patches in the layout of Kaggle's competition "Histopathologic Cancer Detection"."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from pcam_sklearn._files import expand_home
from pcam_sklearn._messages import first_few
from pcam_sklearn._tables import is_missing, read_table, select_columns
from pcam_sklearn.datasets._patch_names import count_kinds, is_patch_name, list_names

_DESCR = """\
Patches in the layout of Kaggle's "Histopathologic Cancer Detection", subset {subset!r}:
{n:,} files, {labels}, {slides}.

Each patch is 96 x 96 pixels of an H&E-stained lymph node section; target 1 means tumour tissue in
the 32 x 32 pixels in the center. In Kaggle's own data, which is PatchCamelyon without its
duplicates (CC0), an id is the SHA-1 of the patch's RGB bytes.

B. S. Veeling, J. Linmans, J. Winkens, T. Cohen, M. Welling: Rotation Equivariant CNNs for Digital
Pathology, MICCAI 2018. B. Ehteshami Bejnordi et al.: JAMA 318(22), 2017.
"""


def load_kaggle(
    folder: str | os.PathLike[str],
    subset: str = "train",
    *,
    slides: pd.DataFrame | str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
) -> Any:
    r"""List the patches of a folder in Kaggle's layout, with labels and slides.

    The files are listed, not opened: `PatchReader` reads them, and `audit_patches` checks them.

    Parameters
    ----------
    folder : path-like
        The folder that holds ``train/<id>.tif`` and ``train_labels.csv`` (columns ``id,label``), or
        ``test/<id>.tif``, whichever the subset needs. It may hold ``slides.csv`` (columns
        ``id,slide``). The patches may be ``.png`` files instead of ``.tif``, but not both.
    subset : {"train", "test"}, default="train"
        The patches to list.
    slides : pandas.DataFrame or path-like, default=None
        The slide of each training patch, columns ``id,slide``, such as `slides_from_official`
        returns, or a CSV file of it. None looks for ``slides.csv`` in the folder.
    return_X_y : bool, default=False
        Whether to return ``(paths, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with the following attributes.

        paths : ndarray of shape (n_samples,), str
            The files, each as ``<folder>/<subset>/<id>.tif``.
        target : ndarray of shape (n_samples,), int64, or None
            0 or 1. None for "test".
        ids : ndarray of shape (n_samples,), str
            For "train" in the order of ``train_labels.csv``. For "test" the names of the files,
            sorted: a ``sample_submission.csv`` may list more than were downloaded.
        groups : ndarray of shape (n_samples,), str, or None
            The slide of each patch. None for "test", and where slides are unknown.
        DESCR : str
            The description of the data.

    (paths, target) : tuple of ndarray
        If `return_X_y` is true.

    Raises
    ------
    FileNotFoundError
        If a folder or ``train_labels.csv`` is missing, a folder holds no patches, or a labelled
        patch has no file.
    ValueError
        If `subset` is unknown, or `slides` are given with "test". If a table is no CSV file or
        lacks a column, an id occurs twice or has characters other than letters, digits, ``_`` and
        ``-``, a label is not 0 or 1, or a labelled id has no slide: none at all, or one that is
        empty, NaN, or a word such as "NA".

    Warns
    -----
    UserWarning
        If the slides of the training patches are unknown. If images are left out because they are
        not named ``<id>.tif`` or ``<id>.png``, or have no label. Hidden files never count.

    See Also
    --------
    pcam_sklearn.datasets.audit_patches : Check every row and every file of such a folder.
    pcam_sklearn.datasets.slides_from_official : Find the slides of Kaggle's training patches.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from pcam_sklearn.datasets import load_kaggle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "train").mkdir()
    ...     for patch in "ab":
    ...         Path(folder, "train", f"{patch}.tif").touch()
    ...     _ = Path(folder, "train_labels.csv").write_text("id,label\nb,1\na,0\n")
    ...     _ = Path(folder, "slides.csv").write_text("id,slide\na,s1\nb,s2\n")
    ...     data = load_kaggle(folder)
    >>> data.ids.tolist(), data.target.tolist(), data.groups.tolist()
    (['b', 'a'], [1, 0], ['s2', 's1'])
    """
    root = expand_home(folder)
    if subset not in ("train", "test"):
        raise ValueError(f"subset={subset!r} is unknown; pass 'train' or 'test'")
    if subset == "test" and slides is not None:
        raise ValueError("only training patches have slides; leave out slides with subset 'test'")
    files, extension = _list_patches(root / subset)
    target = groups = None
    if subset == "train":
        ids, target = _read_labels(root / "train_labels.csv")
        _check_present(ids, files, root / subset, extension)
        groups = _find_slides(root, slides, ids)
    else:
        ids = np.array(files, dtype=str)
    # As text, because 220,000 Path objects take seconds.
    start = os.path.join(root, subset, "")
    paths = np.array([f"{start}{identifier}{extension}" for identifier in ids], dtype=str)
    if return_X_y:
        return paths, target
    descr = _describe(subset, ids, target, groups)
    return Bunch(paths=paths, target=target, ids=ids, groups=groups, DESCR=descr)


def list_unlabelled(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and paths of all patches in a folder, in the order of the ids."""
    ids, ending = _list_patches(folder)
    paths = [os.path.join(folder, f"{id_}{ending}") for id_ in ids]
    return np.array(ids, dtype=str), np.array(paths, dtype=str)


def _list_patches(folder: Path) -> tuple[list[str], str]:
    """Return the ids of a folder's patches, sorted, and the ending of their names."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; pass the one that holds train/<id>.tif,"
            " train_labels.csv and test/<id>.tif, as Kaggle's archive unpacks"
        )
    names = list_names(folder)
    if not names.patches:
        n = len(names.misnamed) + len(names.others)
        raise FileNotFoundError(
            f"{folder} holds no patches: none of its {n:,} files is named <id>.tif or <id>.png"
        )
    if len(names.patches) > 1:
        raise ValueError(f"{folder} holds {count_kinds(names.patches)} files; leave one kind in it")
    if names.misnamed:
        warnings.warn(
            f"{folder} holds {len(names.misnamed):,} images that are left out, because they are not"
            f" named <id>.tif or <id>.png: {first_few(map(repr, names.misnamed))}; an id has"
            " letters, digits, _ and - only",
            stacklevel=3,
        )
    ((ending, ids),) = names.patches.items()
    return ids, ending


def _read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}; write the labels to it, with the columns id,label"
        )
    table = read_table(path, ["id", "label"])
    _check_not_empty(table, path)
    ids = table["id"].to_numpy(dtype=str)
    _check_ids(ids, path)
    # As numbers, because pandas may have written the labels as 0.0 and 1.0.
    labels = pd.to_numeric(table["label"], errors="coerce")
    wrong = table[~labels.isin([0, 1])]
    if len(wrong):
        listed = first_few(f"{label!r} of {id_}" for id_, label in wrong.itertuples(index=False))
        raise ValueError(f"{path}: {len(wrong):,} labels are not 0 or 1: {listed}; correct them")
    return ids, labels.to_numpy(dtype=np.int64)


def _find_slides(
    root: Path, slides: pd.DataFrame | str | os.PathLike[str] | None, ids: np.ndarray
) -> np.ndarray | None:
    if slides is not None:
        return read_slides(slides, ids)
    path = root / "slides.csv"
    if path.is_file():
        return read_slides(path, ids)
    warnings.warn(
        f"there is no {path}, so groups is None: a random split puts patches of one slide on"
        " both sides, which flatters the AUC by .03 to .065. slides_from_official(h5, meta)"
        " finds the slides; pass what it returns as slides=, or the CSV file of it as --slides to a"
        " command",
        stacklevel=3,
    )
    return None


def read_slides(source: pd.DataFrame | str | os.PathLike[str], ids: np.ndarray) -> np.ndarray:
    """Return the slide of each id, from a table with the columns id and slide or a CSV file."""
    if isinstance(source, pd.DataFrame):
        name, table = "slides", select_columns(source, "slides", ["id", "slide"])
    elif not isinstance(source, str | os.PathLike):
        raise TypeError(
            "slides must be a pandas.DataFrame with the columns id and slide, or the path of such "
            f"a CSV file; got a {type(source).__name__}"
        )
    else:
        name, table = str(source), read_table(expand_home(source), ["id", "slide"])
    _check_not_empty(table, name)
    table = table[~is_missing(table["slide"])].astype(str)
    _check_unique(table["id"], name)
    # The table may hold more patches than are labelled, and in another order.
    slides = table.set_index("id")["slide"].str.strip().reindex(ids)
    unknown = ids[slides.isna()]
    if len(unknown):
        raise ValueError(
            f"{name} has no slide for {len(unknown):,} of the {len(ids):,} labelled patches:"
            f" {first_few(unknown)}; add a row for each"
        )
    return slides.to_numpy(dtype=str)


def _check_not_empty(table: pd.DataFrame, name: str | Path) -> None:
    if table.empty:
        raise ValueError(f"{name} has no rows; it must have one for each labelled patch")


def _check_ids(ids: np.ndarray, source: Path) -> None:
    """Raise ValueError for ids that could lead out of the folder, or occur twice."""
    unsafe = [identifier for identifier in ids if not is_patch_name(str(identifier))]
    if unsafe:
        raise ValueError(
            f"{source} has {len(unsafe):,} ids that cannot be names of patches:"
            f" {first_few(map(repr, map(str, unsafe)))}; an id has letters, digits, _ and - only"
        )
    _check_unique(pd.Series(ids), source)


def _check_unique(ids: pd.Series, source: str | Path) -> None:
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise ValueError(
            f"{source} lists {len(repeated):,} ids more than once: {first_few(repeated)};"
            " keep one row of each"
        )


def _check_present(ids: np.ndarray, files: list[str], folder: Path, extension: str) -> None:
    """Raise FileNotFoundError if a labelled patch has no file; warn of patches without a label."""
    present = set(files)
    missing = [identifier for identifier in ids if identifier not in present]
    if missing:
        raise FileNotFoundError(
            f"{len(missing):,} of the {len(ids):,} labelled patches are not in {folder}:"
            f" {first_few(f'{identifier}{extension}' for identifier in missing)};"
            " unpack Kaggle's archive again, or remove their rows from train_labels.csv"
        )
    labelled = set(ids.tolist())
    unlisted = [identifier for identifier in files if identifier not in labelled]
    if unlisted:
        warnings.warn(
            f"{len(unlisted):,} of the {len(files):,} patches in {folder} are left out, because "
            f"train_labels.csv has no label for them: {first_few(unlisted)}",
            stacklevel=3,
        )


def _describe(
    subset: str, ids: np.ndarray, target: np.ndarray | None, groups: np.ndarray | None
) -> str:
    labels = "no labels" if target is None else f"{target.sum():,} of them positive"
    slides = "slides unknown" if groups is None else f"{len(set(groups.tolist())):,} slides"
    return _DESCR.format(subset=subset, n=len(ids), labels=labels, slides=slides)

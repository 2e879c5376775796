"""Patches in a folder by class, as many people keep them, or in a plain folder without labels."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from pcam_sklearn._files import expand_home
from pcam_sklearn._messages import first_few
from pcam_sklearn.datasets._kaggle import read_slides
from pcam_sklearn.datasets._patch_names import IMAGE_ENDINGS, is_image_name

_DESCR = """\
Images of the folder {name}: {n:,} files, {classes}, {slides}.
"""


def load_folder(
    folder: str | os.PathLike[str],
    *,
    class_names: list[str] | tuple[str, ...] | None = None,
    slides: pd.DataFrame | str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
) -> Any:
    r"""List the images of a folder, with the names of its subfolders as classes.

    Classes and order are those of ``keras.utils.image_dataset_from_directory``: subfolders sorted
    by name, and in each of them its images, then those of its subfolders. A folder that holds
    images itself is a plain folder, and its images have no labels. The files are listed, not
    opened: `PatchReader` reads them.

    Parameters
    ----------
    folder : path-like
        The folder that holds ``<class>/.../<name>.png`` or ``<name>.png``. Images end in .tif,
        .tiff, .png, .jpg, .jpeg, .jpe, .jfif, .bmp, .webp, .ppm, .pgm or .pnm, in small letters or
        capitals. Hidden files and folders, and files with other endings, are left out. A class may
        be a link to a folder; links to folders within it are left out.
    class_names : list of str, default=None
        The subfolders to take, in the order of the labels 0, 1 and so on. None takes all that hold
        an image, sorted: of "normal" and "tumor" the latter is 1.
    slides : pandas.DataFrame or path-like, default=None
        The slide of each image, columns ``id,slide``, or a CSV file of it. None looks for
        ``slides.csv`` in the folder.
    return_X_y : bool, default=False
        Whether to return ``(paths, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like, with the following attributes.

        paths : ndarray of shape (n_samples,), str
            The files.
        target : ndarray of shape (n_samples,), int64, or None
            The number of the class. None for a plain folder.
        target_names : list of str
            The names of the classes, by number. Empty for a plain folder.
        ids : ndarray of shape (n_samples,), str
            The path of each file within the folder, with ``/``: ``"tumor/7.png"``, or ``"7.png"``
            in a plain folder.
        groups : ndarray of shape (n_samples,), str, or None
            The slide of each image. None where slides are unknown.
        DESCR : str
            The description of the data.

    (paths, target) : tuple of ndarray
        If `return_X_y` is true.

    Raises
    ------
    FileNotFoundError
        If the folder or one of `class_names` does not exist, or holds no image.
    ValueError
        If the folder holds images beside subfolders with images, or one class alone. If the table
        of slides is no CSV file, lacks a column, or has no slide for an image.

    Warns
    -----
    UserWarning
        If the images have labels and their slides are unknown.

    See Also
    --------
    pcam_sklearn.datasets.load_kaggle : List a folder in Kaggle's layout.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from pcam_sklearn.datasets import load_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("tumor/7.png", "normal/7.png", "normal/8.jpg"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     _ = Path(folder, "slides.csv").write_text(
    ...         "id,slide\nnormal/7.png,s1\nnormal/8.jpg,s2\ntumor/7.png,s3\n")
    ...     data = load_folder(folder)
    >>> data.ids.tolist(), data.target.tolist(), data.target_names
    (['normal/7.png', 'normal/8.jpg', 'tumor/7.png'], [0, 0, 1], ['normal', 'tumor'])
    """
    root = expand_home(folder)
    names, classes = _list_images(root, class_names)
    ids = np.array([name for part in names for name in part], dtype=str)
    start = os.path.join(root, "")
    paths = np.array([start + name.replace("/", os.sep) for name in ids.tolist()], dtype=str)
    target = np.repeat(np.arange(len(names)), [len(part) for part in names]) if classes else None
    if return_X_y:
        return paths, target
    groups = _find_slides(root, slides, ids)
    if groups is None and classes:
        warnings.warn(
            f"the slides of the images in {root} are not known, so groups is None: a random split "
            "puts patches of one slide on both sides, which flatters the AUC by .03 to .065; pass "
            "slides=, or --slides to a command, or write "
            f"{root / 'slides.csv'}, with the columns id,slide",
            stacklevel=2,
        )
    return Bunch(
        paths=paths,
        target=target,
        target_names=classes,
        ids=ids,
        groups=groups,
        DESCR=_describe(root, classes, names, groups),
    )


def _list_images(
    root: Path, class_names: list[str] | tuple[str, ...] | None
) -> tuple[list[list[str]], list[str]]:
    """Return the names of images, one list for each class or a single one, and the classes."""
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}; pass one that holds images")
    plain, folders = list_entries(root)
    wanted = folders if class_names is None else _check_class_names(root, class_names, folders)
    found = {name: list(_walk(root, name)) for name in wanted}
    found = {name: images for name, images in found.items() if images or class_names is not None}
    if plain and found:
        raise ValueError(
            f"{root} holds {len(plain):,} images and the folders of images {first_few(found)}; "
            "move the images into the folder of their class, or remove them"
            if class_names is None
            else f"{root} holds {len(plain):,} images outside of its classes; remove them"
        )
    if not plain and not found:
        raise FileNotFoundError(
            f"{root} holds no images: neither it nor a folder in it holds a file that ends in "
            f"{', '.join(IMAGE_ENDINGS)}"
        )
    if len(found) == 1:
        raise ValueError(
            f"{root} holds the folder {next(iter(found))} alone, which is one class; "
            "pass that folder to have its images without labels, or add the other class"
        )
    return ([plain], []) if plain else (list(found.values()), list(found))


def _check_class_names(
    root: Path, class_names: list[str] | tuple[str, ...], folders: list[str]
) -> list[str]:
    names = [str(name) for name in class_names]
    missing = sorted(set(names) - set(folders))
    if missing or len(set(names)) < len(names):
        raise ValueError(
            f"class_names={names} must name each once some of the folders in {root}: "
            f"{first_few(folders) or 'there are none'}"
        )
    empty = [name for name in names if next(_walk(root, name), None) is None]
    if empty:
        raise FileNotFoundError(f"{root} holds no images in the folders {first_few(empty)}")
    return names


def list_entries(folder: Path, *, follow_links: bool = True) -> tuple[list[str], list[str]]:
    """Return the images in a folder and its subfolders, by name; nothing that is hidden.

    Links to folders count as subfolders with `follow_links`, and never as images.
    """
    with os.scandir(folder) as entries:
        seen = [(e.name, e.is_dir(), e.is_dir(follow_symlinks=follow_links)) for e in entries]
    images = sorted(name for name, is_folder, _ in seen if not is_folder and is_image_name(name))
    folders = sorted(name for name, _, counts in seen if counts and not name.startswith("."))
    return images, folders


def _walk(root: Path, name: str) -> Any:
    """Yield the images in a subfolder and in those below it, by path within the root."""
    # As in Keras. A link further down could lead back up.
    images, folders = list_entries(root / name, follow_links=False)
    yield from (f"{name}/{image}" for image in images)
    for folder in folders:
        yield from _walk(root, f"{name}/{folder}")


def _find_slides(
    root: Path, slides: pd.DataFrame | str | os.PathLike[str] | None, ids: np.ndarray
) -> np.ndarray | None:
    if slides is None and not (root / "slides.csv").is_file():
        return None
    return read_slides(root / "slides.csv" if slides is None else slides, ids)


def _describe(
    root: Path, classes: list[str], names: list[list[str]], groups: np.ndarray | None
) -> str:
    counts = [f"{len(part):,} {name}" for name, part in zip(classes, names, strict=False)]
    return _DESCR.format(
        name=root.resolve().name,
        n=sum(map(len, names)),
        classes=", ".join(counts) or "no labels",
        slides="slides unknown" if groups is None else f"{len(set(groups.tolist())):,} slides",
    )

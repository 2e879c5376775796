"""Names of patches in Kaggle's layout: one rule for loading and for the audit."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# Kaggle's own ids are 40 hexadecimal digits; these letters are safe in the name of any file.
_SAFE = re.compile(r"[0-9A-Za-z_-]+")
ENDINGS = (".tif", ".png")
IMAGE_ENDINGS = (
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".ppm", ".pgm",
    ".pnm",
)  # fmt: skip


class FolderNames(NamedTuple):
    """The names in a folder, each list sorted."""

    patches: Mapping[str, list[str]]  # by ending: the ids, which are names without their ending
    misnamed: list[str]  # images that are not named as patches are
    others: list[str]  # hidden files, as macOS' ._x.tif, files that are no images, and folders


def is_patch_name(text: object) -> bool:
    """Return whether text can be the id of a patch: letters, digits, _ and - only."""
    return isinstance(text, str) and _SAFE.fullmatch(text) is not None


def is_image_name(name: str) -> bool:
    """Return whether a file looks like an image by its name; hidden files never do."""
    return not name.startswith(".") and name.lower().endswith(IMAGE_ENDINGS)


def list_names(folder: Path) -> FolderNames:
    """Return the names in a folder by what they stand for."""
    patches: dict[str, list[str]] = {ending: [] for ending in ENDINGS}
    misnamed, others = [], []
    # `scandir` tells files from folders without a system call for each of 220,000 files.
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in names:
        stem, ending = os.path.splitext(name)
        if is_folder or not is_image_name(name):
            others.append(name)
        elif ending in ENDINGS and is_patch_name(stem):
            patches[ending].append(stem)
        else:
            misnamed.append(name)
    found = {ending: ids for ending, ids in patches.items() if ids}
    return FolderNames(found, misnamed, others)


def count_kinds(patches: Mapping[str, list[str]]) -> str:
    """Return the number of patches of each ending, as text."""
    return " and ".join(f"{len(ids):,} {ending}" for ending, ids in patches.items())

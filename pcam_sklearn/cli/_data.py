"""The patches that a command works on: Kaggle's layout, official files, or made on the spot."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pcam_sklearn._hospitals import hospital_of_slide
from pcam_sklearn.datasets import load_kaggle, load_pcam, make_patches

_SYNTHETIC, _KAGGLE, _OFFICIAL = "synthetic", "kaggle", "official"
_OFFICIAL_START = "camelyonpatch_level_2_split_"
_KAGGLE_NAMES = ("train", "test", "train_labels.csv")
_ALLOWED = (
    "pass a folder in Kaggle's layout (train/<id>.tif, train_labels.csv, test/<id>.tif), a folder "
    f"of official files ({_OFFICIAL_START}train_x.h5 and so on), or the word synthetic"
)
_NAMED = 5

# What the commands take where the user names no part of the data.
TO_LEARN = {_KAGGLE: "train", _OFFICIAL: "train"}
TO_MEASURE = {_KAGGLE: "train", _OFFICIAL: "test"}
TO_PREDICT = {_KAGGLE: "test", _OFFICIAL: "test"}


@dataclass(frozen=True)
class Patches:
    """Patches with what is known of each.

    Parameters
    ----------
    name : str
        What they are called where people read it; no path.
    X : ndarray of shape (n_samples,) or (n_samples, height, width, 3)
        Paths, or pixels; those of official files are a memory map.
    ids : ndarray of shape (n_samples,), str
        Names of the patches.
    target : ndarray of shape (n_samples,), int
        0 or 1; empty where labels are not known.
    groups, hospital : ndarray of shape (n_samples,), str, or None
        Slide and hospital, where they are known.
    """

    name: str
    X: np.ndarray
    ids: np.ndarray
    target: np.ndarray
    groups: np.ndarray | None
    hospital: np.ndarray | None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> "Patches":
        """Return some of the patches, by number or by mask."""
        columns = ("X", "ids", "target", "groups", "hospital")
        values = {name: getattr(self, name) for name in columns}
        known = {k: v for k, v in values.items() if v is not None and len(v)}
        taken: dict[str, Any] = {name: column[rows] for name, column in known.items()}
        return replace(self, **taken)

    def fewest_slides(self) -> int:
        """Return from how many slides the class comes that comes from fewer.

        Where slides are not known each patch counts as one.
        """
        slides = np.arange(len(self)) if self.groups is None else self.groups
        return min(len(np.unique(slides[self.target == label])) for label in (0, 1))

    def fit_parameters(self) -> dict[str, np.ndarray]:
        """Return what the pipeline's `fit` is told besides: the slides, to hold out whole ones."""
        return {} if self.groups is None else {"cnnclassifier__groups": self.groups}

    def describe(self) -> str:
        """Return their number and that of their slides."""
        slides = "" if self.groups is None else f" of {len(np.unique(self.groups)):,} slides"
        return f"{len(self):,} patches{slides}"


def load_patches(
    data: str,
    subset: str | None,
    slides: Path | None,
    random_state: int,
    *,
    default: Mapping[str, str],
    progress: bool,
) -> Patches:
    """Load patches from wherever they are.

    Parameters
    ----------
    data : str
        A folder in Kaggle's layout, a folder of official files, or "synthetic".
    subset : str or None
        Which part of the folder; None takes that of `default`.
    slides : Path or None
        The slides of Kaggle's training patches.
    random_state : int
        Fixes what is made.
    default : mapping
        `TO_LEARN`, `TO_MEASURE` or `TO_PREDICT`.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    Patches
        The patches.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are no such patches; the error names what was found.
    """
    kind = _kind_of(data)
    if kind != _KAGGLE and slides is not None:
        raise ValueError(f"--slides is for Kaggle's layout, and {data} has slides of its own")
    if kind == _SYNTHETIC:
        if subset is not None:
            raise ValueError(f"--subset {subset} is for folders; synthetic patches have no parts")
        return _make(random_state)
    part = subset or default[kind]
    name = f"{Path(data).resolve().name} ({part})"
    if kind == _KAGGLE:
        return _from_kaggle(name, load_kaggle(data, part, slides=slides))
    bunch = load_pcam(data, part, progress=progress)
    return Patches(name, bunch.images, bunch.ids, bunch.target, bunch.groups, bunch.hospital)


def with_labels(patches: Patches) -> Patches:
    """Return the patches, or raise where they have no labels."""
    if not len(patches.target):
        raise ValueError(
            f"{patches.name} has no labels, so nothing can be learned from or measured on it; "
            "pass --subset train"
        )
    return patches


def _kind_of(data: str) -> str:
    if data == _SYNTHETIC:
        return _SYNTHETIC
    if not os.path.isdir(data):
        raise FileNotFoundError(f"there is no folder {data}; {_ALLOWED}")
    names = sorted(os.listdir(data))
    kaggle = [name for name in names if name in _KAGGLE_NAMES]
    official = [name for name in names if name.startswith(_OFFICIAL_START)]
    if kaggle and official:
        raise ValueError(
            f"{data} holds {kaggle[0]}, as Kaggle's layout does, and the official file "
            f"{official[0]}; keep them in two folders"
        )
    if not kaggle and not official:
        found = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        raise ValueError(f"{data} holds {found or 'nothing'}; {_ALLOWED}")
    return _KAGGLE if kaggle else _OFFICIAL


def _make(random_state: int) -> Patches:
    bunch = make_patches(random_state=random_state)
    ids = np.array(
        [hashlib.sha1(image, usedforsecurity=False).hexdigest() for image in bunch.images]
    )
    name = f"synthetic patches, seed {random_state}"
    # Slides of another seed are other slides.
    slides = np.array([f"{slide}_of_seed_{random_state}" for slide in bunch.groups])
    return Patches(name, bunch.images, ids, bunch.target, slides, None)


def _from_kaggle(name: str, bunch: Any) -> Patches:
    hospital = None
    if bunch.groups is not None:
        hospital = np.array([hospital_of_slide(slide) for slide in bunch.groups])
        hospital = None if (hospital == "unknown").all() else hospital
    target = np.empty(0, dtype=np.int64) if bunch.target is None else bunch.target
    return Patches(name, bunch.paths, bunch.ids, target, bunch.groups, hospital)

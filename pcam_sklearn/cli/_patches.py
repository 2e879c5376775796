"""The patches that a command works on: Kaggle's layout, official files, or synthetic ones."""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pcam_sklearn._hospitals import hospitals_of_slides
from pcam_sklearn._messages import first_few
from pcam_sklearn._tables import read_table
from pcam_sklearn.datasets import load_kaggle, load_pcam, make_patches
from pcam_sklearn.datasets._ids import patch_digest
from pcam_sklearn.datasets._kaggle import list_unlabelled

_SYNTHETIC, _KAGGLE, _OFFICIAL = "synthetic", "kaggle", "official"
_OFFICIAL_START = "camelyonpatch_level_2_split_"
_KAGGLE_NAMES = ("train", "test", "train_labels.csv")
_ALLOWED = (
    "pass a folder in Kaggle's layout (train/<id>.tif, train_labels.csv, test/<id>.tif), a folder "
    f"of official files ({_OFFICIAL_START}train_x.h5 and so on), or the word synthetic"
)

# The part that each command takes by default. Kaggle's test patches have no labels to measure on.
TO_LEARN = {_KAGGLE: "train", _OFFICIAL: "train"}
TO_MEASURE = {_KAGGLE: "train", _OFFICIAL: "test"}
TO_PREDICT = {_KAGGLE: "test", _OFFICIAL: "test"}


@dataclass(frozen=True)
class Patches:
    """Patches with their ids, labels, slides and hospitals.

    `X` holds paths or pixels. `target` is empty where the labels are unknown; `groups`, the slides,
    and `hospital` are None where they are unknown. `name` holds no path: cards show it.
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
        """Return the patches of these rows: numbers or a mask."""
        columns = ("X", "ids", "target", "groups", "hospital")
        values = {name: getattr(self, name) for name in columns}
        # Unknown columns, None or empty, stay as they are.
        known = {k: v for k, v in values.items() if v is not None and len(v)}
        taken: dict[str, Any] = {name: column[rows] for name, column in known.items()}
        return replace(self, **taken)

    def without_pixels(self) -> "Patches":
        """Return the patches with ids in place of `X`, of which rows are cheap to take."""
        # To take rows of a memory map would copy gigabytes.
        return replace(self, X=self.ids)

    def rows_of(self, ids: np.ndarray | list[str]) -> np.ndarray:
        """Return the row of each id, or -1 where there is no such patch."""
        row_of = {id_: row for row, id_ in enumerate(self.ids.tolist())}
        return np.array([row_of.get(id_, -1) for id_ in ids])

    def fewest_slides(self) -> int:
        """Return the number of slides of the class that comes from fewer slides.

        Where slides are unknown, each patch counts as one.
        """
        slides = np.arange(len(self)) if self.groups is None else self.groups
        return min(len(np.unique(slides[self.target == label])) for label in (0, 1))

    def fit_parameters(self) -> dict[str, np.ndarray]:
        """Return the keyword arguments of the pipeline's `fit`: the slides, if they are known."""
        return {} if self.groups is None else {"cnnclassifier__groups": self.groups}

    def describe(self) -> str:
        """Return the number of patches and slides as text."""
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
    """Load the patches of a folder, or make synthetic ones from `random_state`.

    `default` is `TO_LEARN`, `TO_MEASURE` or `TO_PREDICT`. It names the part where `subset` is None.
    """
    kind = _find_kind(data)
    if kind != _KAGGLE and slides is not None:
        raise ValueError(
            f"--slides is for Kaggle's layout, but {data} brings its own slides; leave it out"
        )
    if kind == _SYNTHETIC:
        return _make_synthetic(subset, random_state)
    part = subset or default[kind]
    name = f"{Path(data).resolve().name} ({part})"
    # To predict takes no labels.
    if kind == _KAGGLE and default is TO_PREDICT and not _has_labels(data, part, slides):
        ids, paths = list_unlabelled(Path(data, part))
        return Patches(name, paths, ids, np.empty(0, dtype=np.int64), None, None)
    if kind == _KAGGLE:
        return _from_kaggle(name, load_kaggle(data, part, slides=slides))
    bunch = load_pcam(data, part, progress=progress)
    return Patches(name, bunch.images, bunch.ids, bunch.target, bunch.groups, bunch.hospital)


def _has_labels(data: str, part: str, slides: Path | None) -> bool:
    return slides is not None or part != "train" or Path(data, "train_labels.csv").exists()


def load_labelled_patches(data: str, *args: Any, **options: Any) -> Patches:
    """Load patches as `load_patches` does. Raise ValueError if they have no labels."""
    patches = load_patches(data, *args, **options)
    if not len(patches.target):
        raise ValueError(
            f"{patches.name} has no labels, so nothing can be learned from it or measured on it; "
            "pass --subset train"
        )
    return patches


def read_ids(path: Path) -> list[str]:
    """Read ids from a CSV table with the column id, or from a file with one id per line."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    # The first row tells which form it is; only a table has a header.
    if rows and "id" in rows[0]:
        return read_table(path, ["id"])["id"].tolist()
    if not rows or any(len(row) > 1 for row in rows):
        raise ValueError(f"{path} must hold one id per line, or a CSV table with the column id")
    return [row[0].strip() for row in rows if row[0].strip()]


def choose_patches(patches: Patches, ids: list[str]) -> Patches:
    """Return the patches with these ids, in this order."""
    rows = patches.rows_of(ids)
    missing = [id_ for id_, row in zip(ids, rows, strict=True) if row < 0]
    if missing:
        raise ValueError(
            f"{len(missing):,} of the {len(ids):,} ids are not in {patches.name}: "
            f"{first_few(missing)}; type ids without folder and ending, and name the part with "
            "--subset"
        )
    return patches.take(rows)


def _find_kind(data: str) -> str:
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
        raise ValueError(f"{data} holds {first_few(names) or 'nothing'}; {_ALLOWED}")
    return _KAGGLE if kaggle else _OFFICIAL


def _make_synthetic(subset: str | None, random_state: int) -> Patches:
    if subset is not None:
        raise ValueError(
            f"--subset {subset} is for folders, but synthetic patches have no parts; leave it out"
        )
    bunch = make_patches(random_state=random_state)
    # Like Kaggle's ids, so that a run recognizes these patches wherever they come from.
    ids = np.array([patch_digest(image).hex() for image in bunch.images])
    name = f"synthetic patches, seed {random_state}"
    # Every seed makes slides of the same names. These are different slides, so they get new names.
    slides = np.array([f"{slide}_of_seed_{random_state}" for slide in bunch.groups])
    return Patches(name, bunch.images, ids, bunch.target, slides, None)


def _from_kaggle(name: str, bunch: Any) -> Patches:
    target = np.empty(0, dtype=np.int64) if bunch.target is None else bunch.target
    hospital = known_hospitals(bunch.groups)
    return Patches(name, bunch.paths, bunch.ids, target, bunch.groups, hospital)


def known_hospitals(slides: np.ndarray | None) -> np.ndarray | None:
    """Return the hospital of each slide, or None if no name tells one."""
    if slides is None:
        return None
    hospitals = hospitals_of_slides(slides)
    return None if (hospitals == "unknown").all() else hospitals

"""The patches that a command works on: folders of images, official files, or synthetic ones."""

import csv
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from pcam_sklearn._hospitals import hospitals_of_slides
from pcam_sklearn._messages import first_few
from pcam_sklearn._reading._batches import in_batches
from pcam_sklearn._tables import read_table
from pcam_sklearn.cli._options import PARTS
from pcam_sklearn.datasets import load_folder, load_kaggle, load_pcam, make_patches
from pcam_sklearn.datasets._folder import list_entries
from pcam_sklearn.datasets._ids import patch_digest
from pcam_sklearn.datasets._kaggle import list_unlabelled
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

_SYNTHETIC, _KAGGLE, _OFFICIAL, _FOLDER = "synthetic", "kaggle", "official", "folder"
_OFFICIAL_START = "camelyonpatch_level_2_split_"
_KAGGLE_PARTS = ("train", "test")
_CHUNK = 1024
_ALLOWED = (
    "pass a folder in Kaggle's layout (train/<id>.tif, train_labels.csv, test/<id>.tif), a folder "
    f"of official files ({_OFFICIAL_START}train_x.h5 and so on), a folder with a subfolder of "
    "images for each class, a folder of images to predict, or the word synthetic"
)

# The part that each command takes by default. Kaggle's test patches have no labels to measure on.
TO_LEARN = {_KAGGLE: "train", _OFFICIAL: "train", _FOLDER: "train"}
TO_MEASURE = {_KAGGLE: "train", _OFFICIAL: "test", _FOLDER: "test"}
TO_PREDICT = {_KAGGLE: "test", _OFFICIAL: "test", _FOLDER: "test"}


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

    def digests(self) -> np.ndarray:
        """Return a text for the pixels of each patch, by which it is known under any name."""
        patches = PatchReader(in_memory=False).transform(self.X)
        batches = in_batches(patches, _CHUNK, patches.dtype)
        # Not SHA-1: Kaggle's ids of its test patches must not stand beside their labels in a run.
        return np.array([sha256(p.tobytes()).hexdigest()[:32] for batch in batches for p in batch])

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
    if kind in (_SYNTHETIC, _OFFICIAL) and slides is not None:
        raise ValueError(
            f"--slides is for folders of images, but {data} brings its own slides; leave it out"
        )
    if kind == _SYNTHETIC:
        return _make_synthetic(subset, random_state)
    part = subset or default[kind]
    if kind == _KAGGLE and part not in _KAGGLE_PARTS:
        raise ValueError(
            f"--subset {part} is for official files and folders by class, and {data} is in Kaggle's"
            " layout; pass --subset train or --subset test"
        )
    name = f"{Path(data).resolve().name} ({part})"
    # To predict takes no labels.
    if kind == _KAGGLE and default is TO_PREDICT and not _has_labels(data, part, slides):
        ids, paths = list_unlabelled(Path(data, part))
        return Patches(name, paths, ids, np.empty(0, dtype=np.int64), None, None)
    if kind == _FOLDER:
        return _from_folder(Path(data), subset, part, slides)
    if kind == _KAGGLE:
        return _from_files(name, load_kaggle(data, part, slides=slides))
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
            "pass --subset train, or a folder with a subfolder of images for each class"
        )
    return patches


def read_ids(path: Path) -> list[str]:
    """Read ids from a CSV table with the column id, or from a file with one id per line."""
    fault = f"{path} must hold one id per line, or a CSV table with the column id"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{fault}: {error}") from error
    # The first row tells which form it is; only a table has a header.
    if rows and "id" in rows[0]:
        ids = read_table(path, ["id"])["id"].tolist()
    elif any(len(row) > 1 for row in rows):
        raise ValueError(fault)
    else:
        ids = [row[0].strip() for row in rows if row[0].strip()]
    if not ids:
        raise ValueError(f"{fault}, and holds no id")
    return ids


def choose_patches(patches: Patches, ids: list[str]) -> Patches:
    """Return the patches with these ids, in this order."""
    rows = patches.rows_of(ids)
    missing = [id_ for id_, row in zip(ids, rows, strict=True) if row < 0]
    if missing:
        raise ValueError(
            f"{len(missing):,} of the {len(ids):,} ids are not in {patches.name}: "
            f"{first_few(missing)}; its ids are such as {first_few(patches.ids, 2)}, and --subset "
            "names another part"
        )
    return patches.take(rows)


def is_kaggle_folder(data: str) -> bool:
    """Return whether DATA is a folder in Kaggle's layout, and not a word or another folder."""
    return _find_kind(data) == _KAGGLE


def _find_kind(data: str) -> str:
    if data == _SYNTHETIC:
        return _SYNTHETIC
    if not os.path.isdir(data):
        raise FileNotFoundError(f"there is no folder {data}; {_ALLOWED}")
    names = sorted(os.listdir(data))
    parts = [name for name in PARTS if os.path.isdir(os.path.join(data, name))]
    kaggle = [name for name in (*parts, "train_labels.csv") if name in names and name != "valid"]
    official = [name for name in names if name.startswith(_OFFICIAL_START)]
    if kaggle and official:
        raise ValueError(
            f"{data} holds {kaggle[0]}, as Kaggle's layout does, and the official file "
            f"{official[0]}; keep them in two folders"
        )
    if official:
        return _OFFICIAL
    # In Kaggle's layout the parts hold images, by class they hold folders.
    by_class = any(list_entries(Path(data, part))[1] for part in parts)
    if kaggle and ("train_labels.csv" in names or not by_class):
        return _KAGGLE
    if not any(list_entries(Path(data))):
        raise ValueError(f"{data} holds {first_few(names) or 'nothing'}; {_ALLOWED}")
    return _FOLDER


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


def _from_folder(data: Path, subset: str | None, part: str, slides: Path | None) -> Patches:
    """Load images by class or without labels, of a part where there are parts."""
    parts = [name for name in PARTS if (data / name).is_dir()]
    if subset is not None and subset not in parts:
        raise FileNotFoundError(
            f"{data} has no folder {subset}; pass --subset with one of {', '.join(parts)}"
            if parts
            else f"--subset {subset} is for folders with train/ or test/ in them; leave it out"
        )
    if parts and part not in parts:
        raise FileNotFoundError(f"{data} has no folder {part}; pass --subset {parts[0]}")
    folder = data / part if parts else data
    bunch = load_folder(folder, slides=slides)
    name = f"{data.resolve().name} ({part})" if parts else data.resolve().name
    if bunch.target is not None:
        _check_two_classes(folder, bunch.target_names)
    return _from_files(name, bunch)


def _check_two_classes(folder: Path, classes: list[str]) -> None:
    if len(classes) != 2:
        raise ValueError(
            f"{folder} holds {len(classes)} classes, {first_few(classes)}; two can be told apart, "
            "so keep two folders, such as 0 and 1"
        )
    if classes != ["0", "1"]:
        warnings.warn(
            f"in {folder} the images of {classes[1]!r} are taken for tumour, label 1, and those of "
            f"{classes[0]!r} are not; if it is the other way round, call the folders 0 and 1",
            stacklevel=2,
        )


def _from_files(name: str, bunch: Any) -> Patches:
    _warn_of_size(name, bunch.paths[:1])
    target = np.empty(0, dtype=np.int64) if bunch.target is None else bunch.target
    hospital = known_hospitals(bunch.groups)
    return Patches(name, bunch.paths, bunch.ids, target, bunch.groups, hospital)


def _warn_of_size(name: str, first: np.ndarray) -> None:
    try:
        height, width = PatchReader().transform(first).shape[1:3]
    except ValueError:
        return  # When all files are read, the error names every one that is damaged.
    side = CenterCropNormalizer().input_size
    if (height, width) != (side, side):
        warnings.warn(
            f"the images of {name} have {width} x {height} pixels and are resized to {side} x "
            f"{side}, or to the input_size of the pipeline; a patch of PatchCamelyon is 93 um wide,"
            " so crop images that show a wider piece of tissue",
            stacklevel=2,
        )


def known_hospitals(slides: np.ndarray | None) -> np.ndarray | None:
    """Return the hospital of each slide, or None if no name tells one."""
    if slides is None:
        return None
    hospitals = hospitals_of_slides(slides)
    return None if (hospitals == "unknown").all() else hospitals

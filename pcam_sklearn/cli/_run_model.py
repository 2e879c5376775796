"""The model of a run folder, or of a file, and what the folder tells about it."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from pcam_sklearn._estimators import knows_its_slides, slides_trained_on
from pcam_sklearn._tables import read_table
from pcam_sklearn.cli._manifest import MANIFEST_FILE, check_files, read_manifest
from pcam_sklearn.cli._patches import Patches
from pcam_sklearn.cli._run_folder import (
    CONFIG_FILE,
    EVALUATION_FILE,
    MODEL_FILE,
    PIXELS,
    PREDICTIONS_FILE,
    SPLIT_FILE,
    THRESHOLD_SLIDES,
)
from pcam_sklearn.datasets._ids import is_id
from pcam_sklearn.metrics import OperatingPoint

_READ = (MODEL_FILE, CONFIG_FILE, EVALUATION_FILE, SPLIT_FILE, PREDICTIONS_FILE)
_NO_MODELS = (".csv", ".json", ".txt", ".md", ".html", ".tif", ".png", ".h5", ".npy", ".zip")
_PARTS = ("training", "threshold", "test")
_STAINS = {"pinker", "bluer"}
_TEXT, _NUMBER, _NOTHING = (str,), (int, float), (type(None),)
_EVALUATION = {
    "name": _TEXT,
    "data_sha256": _TEXT,
    "random_state": (int,),
    "rounds": (int, *_NOTHING),
    "operating_point": (dict, *_NOTHING),
    "split": _TEXT,
    "training_data": (dict,),
}
# JSON has no infinity, the threshold that no score reaches. It is written as null.
_OPERATING_POINT = {
    "threshold": (*_NUMBER, *_NOTHING),
    "sensitivity": _NUMBER,
    "specificity": _NUMBER,
    "criterion": _TEXT,
}
_OPTIONS = {
    "data": _TEXT,
    "subset": (*_TEXT, *_NOTHING),
    "slides": (*_TEXT, *_NOTHING),
    "random_state": (int,),
}


@dataclass(frozen=True)
class Model:
    """A fitted classifier and its run folder, which is None for a model saved by itself.

    `metadata` is what the file of the model says about it.
    """

    estimator: Any
    folder: Path | None
    metadata: Mapping[str, Any]

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """The content of ``evaluation.json``; empty without a run folder."""
        return {} if self.folder is None else read_evaluation(self.folder)

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The frozen threshold, or None."""
        known = self.metadata if self.folder is None else self.evaluation
        return operating_point_from_facts(known.get("operating_point"))

    def knows(self, patches: Patches) -> bool:
        """Return True if the model tells which of these patches took part in its run."""
        return self.folder is not None or self.knows_slides(patches)

    def knows_slides(self, patches: Patches) -> bool:
        """Return True if the model tells which of the slides of these patches did."""
        if patches.groups is None or not knows_its_slides(self.estimator):
            return False
        if self.folder is None:
            return True
        # An unknown slide is written as an empty field.
        return bool((self._used["slide"] != "").all())

    def find_used(self, patches: Patches) -> tuple[np.ndarray, np.ndarray]:
        """Return two masks: patches that took part in the run, and patches whose slide did.

        Patches are known by their pixels, or by Kaggle's ids, slides by their names. The held-out
        patches did not take part. Without a run folder only the slides are known.
        """
        of_patches = of_slides = np.zeros(len(patches), dtype=bool)
        if self.folder is not None:
            # Runs of version 0.1.0 recorded ids alone.
            known = (self._used[PIXELS] != "").all()
            ids = self._used["id"][self._used["id"].map(is_id) | (not known)]
            of_patches = np.isin(patches.ids, ids)
            if known:
                of_patches |= np.isin(patches.digests(), self._used[PIXELS])
        if patches.groups is not None:
            of_slides = np.isin(patches.groups, self._used_slides)
        return of_patches, of_slides

    @cached_property
    def _used(self) -> pd.DataFrame:
        """The patches that took part in the run, with their slides; there is a run folder."""
        split = _read_split(cast(Path, self.folder))
        return split[split["part"] != "test"]

    @cached_property
    def _used_slides(self) -> list[str]:
        """The slides that the model learned from or its threshold was chosen on."""
        slides = slides_trained_on(self.estimator)
        known = [] if slides is None else [str(slide) for slide in slides]
        if self.folder is None:
            chosen_on = self.metadata.get(THRESHOLD_SLIDES) or []
            if not isinstance(chosen_on, list) or not all(isinstance(s, str) for s in chosen_on):
                raise ValueError(
                    f"the model file says {THRESHOLD_SLIDES}={chosen_on!r:.100}, and must say a "
                    "list of names; save it again with what train writes there, or without"
                )
            return [*known, *chosen_on]
        # The network may have begun with weights of other slides.
        return [*filter(None, self._used["slide"].unique()), *known]


def load_model(path: Path) -> Model:
    """Load a fitted classifier from a run folder, a model file, an ONNX file, or any joblib file.

    The model file in a run folder stands for the folder. Only a joblib file can run code, and a
    warning says so.
    """
    folder = find_run(path)
    file = path if folder is None else folder / MODEL_FILE
    kind = file.suffix.lower()
    if kind == Path(MODEL_FILE).suffix:
        from pcam_sklearn import persistence

        estimator, metadata = persistence.load_model(file), persistence.read_metadata(file)
    elif kind == ".onnx":
        from pcam_sklearn.export import make_onnx_pipeline

        estimator = make_onnx_pipeline(file)
        metadata = estimator[-1].metadata_
    elif kind in _NO_MODELS:
        raise ValueError(
            f"{file} is no model, as its ending says; pass a run folder, a .pcam file, an .onnx "
            "file, or a file of joblib"
        )
    else:
        estimator, metadata = _load_joblib(file), {}
    classes = getattr(estimator, "classes_", ())
    if len(classes) == 2 and not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"{file} holds a {type(estimator).__name__} that gives labels and no probabilities; "
            "if its VotingClassifier counts labels, type set_params(voting='soft'), and save it "
            "again"
        )
    if len(classes) != 2:
        raise ValueError(
            f"{file} holds a {type(estimator).__name__}, not a fitted classifier of two classes; "
            "pass a file that pcam_sklearn.persistence.save_model(pipeline, path) wrote"
        )
    _warn_of_names(file, list(classes))
    return Model(estimator, folder, metadata)


def _warn_of_names(file: Path, classes: list[Any]) -> None:
    """Warn of labels that are words, whose order in the alphabet says nothing about tumour."""
    if any(isinstance(label, str) for label in classes) and classes != ["0", "1"]:
        warnings.warn(
            f"{file} tells {str(classes[0])!r} from {str(classes[1])!r}, and the probability of "
            f"{str(classes[1])!r} is taken for that of tumour, label 1; if it is the other way "
            "round, train on the labels 0 and 1",
            stacklevel=3,
        )


def find_run(path: Path) -> Path | None:
    """Return the run folder that a path stands for, or None for a model saved by itself.

    A run folder must be whole: ValueError names the first file that is not as the run wrote it.
    """
    if path.is_dir():
        folder = path
    elif path.name == MODEL_FILE and _is_run(path.parent):
        folder = path.parent
    else:
        return None
    check_files(folder, _READ)
    # A manifest may be rewritten to match. So what is read is checked as well, and at once: a
    # command must not fail after it has written its output.
    read_evaluation(folder)
    _read_split(folder)
    return folder


def _is_run(folder: Path) -> bool:
    """Return whether a folder holds more of a run than its model, or once did."""
    others = set(_READ) - {MODEL_FILE}
    if any((folder / name).exists() for name in others):
        return True
    return (folder / MANIFEST_FILE).exists() and bool(others & set(read_manifest(folder)))


def _load_joblib(file: Path) -> Any:
    import joblib

    warnings.warn(
        f"loading {file} runs the code in it, so load only what you trust; "
        "pcam_sklearn.persistence.save_model writes a .pcam file, which runs none",
        stacklevel=2,
    )
    try:
        return joblib.load(file)
    except OSError:
        raise
    except Exception as error:  # Unpickling other content can raise any exception.
        raise ValueError(
            f"{file} cannot be loaded as a model: it is no .pcam file, and as one saved with "
            f"joblib it is damaged: {type(error).__name__}: {error}"
        ) from error


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Return the content of ``evaluation.json``."""
    path = folder / EVALUATION_FILE
    facts = _check_types(_read_json(path), _EVALUATION, str(path))
    if facts["operating_point"] is not None:
        _check_types(facts["operating_point"], _OPERATING_POINT, f"operating_point in {path}")
    _check_types(
        facts["training_data"],
        dict.fromkeys(facts["training_data"], _TEXT),
        f"training_data in {path}",
    )
    return facts


def read_options(folder: Path) -> dict[str, Any]:
    """Return the options of a run by which its patches are found again."""
    path = folder / CONFIG_FILE
    options = _check_types(_read_json(path), {"options": (dict,)}, str(path))["options"]
    return _check_types(options, _OPTIONS, f"options in {path}")


def read_predictions(folder: Path) -> pd.DataFrame:
    """Return id, slide, label, probability and stain of the held-out patches of a run.

    The stain is "" where it is not known, as in runs that did not record it.
    """
    path = folder / PREDICTIONS_FILE
    table = read_table(path, ["id", "slide", "label", "probability"], optional=("stain",))
    try:
        table["label"] = table["label"].to_numpy(dtype=str).astype(int)
        # NumPy reads the number that was written; pandas' own parser may miss the last digit.
        table["probability"] = table["probability"].to_numpy(dtype=str).astype(float)
    except ValueError as error:
        raise ValueError(f"{path} holds a value that is no number: {error}") from error
    if (
        not len(table)
        or not (table["label"].isin([0, 1]) & table["probability"].between(0, 1)).all()
    ):
        raise ValueError(f"{path} must hold labels 0 and 1 and probabilities from 0 to 1")
    if not (stains := set(table["stain"])) <= _STAINS and stains != {""}:
        raise ValueError(f"{path} must hold the stains pinker and bluer, or none, and no other")
    return table


def _read_split(folder: Path) -> pd.DataFrame:
    path = folder / SPLIT_FILE
    split = read_table(path, ["id", "slide", "part"], optional=(PIXELS,))
    if set(split["part"]) != set(_PARTS):
        raise ValueError(f"{path} must name the parts {', '.join(_PARTS)}, and no other")
    return split


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _check_types(values: Any, types: Mapping[str, tuple[type, ...]], name: str) -> dict[str, Any]:
    """Return the values of a JSON object, or raise ValueError in which it is called `name`."""
    found = values if isinstance(values, dict) else {}
    for key, allowed in types.items():
        # To Python a bool is an int.
        if key not in found or isinstance(found[key], bool) or not isinstance(found[key], allowed):
            raise ValueError(
                f"{name} is damaged: {key!r} is {found.get(key, 'missing')!r}; it must be "
                + " or ".join("null" if kind is type(None) else kind.__name__ for kind in allowed)
            )
    return found


def operating_point_from_facts(facts: Mapping[str, Any] | None) -> OperatingPoint | None:
    """Return the operating point that was written to ``evaluation.json``, or None."""
    if facts is None:
        return None
    values = {field.name: facts[field.name] for field in fields(OperatingPoint)}
    if values["threshold"] is None:
        values["threshold"] = np.inf
    return OperatingPoint(**values)

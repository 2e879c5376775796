"""A run folder: whole or not there, and what can be read from it."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pcam_sklearn._files import flush_to_disk
from pcam_sklearn.cli._data import Patches
from pcam_sklearn.cli._keras import import_keras
from pcam_sklearn.cli._measure import point_from_facts
from pcam_sklearn.metrics import OperatingPoint

MODEL_FILE, CONFIG_FILE, EVALUATION_FILE = "model.joblib", "config.json", "evaluation.json"
SPLIT_FILE, PREDICTIONS_FILE = "split.csv", "predictions.csv"
_MARKS = (MODEL_FILE, CONFIG_FILE, EVALUATION_FILE, SPLIT_FILE)


def check_new(folder: Path, *, overwrite: bool) -> None:
    """Raise if a run folder cannot be written there, before hours are spent on it.

    Parameters
    ----------
    folder : Path
        The folder to be.
    overwrite : bool
        Whether it may replace a run folder.

    Raises
    ------
    FileNotFoundError
        If the folder above it does not exist.
    FileExistsError
        If it exists and is not to be replaced, or is no run folder.
    """
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise FileNotFoundError(f"there is no folder {parent}; create it first")
    if not folder.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{folder} exists; pass another --output, or --overwrite")
    if any(folder.iterdir()) and not is_run_folder(folder):
        raise FileExistsError(
            f"{folder} is no run folder, and is not overwritten; pass another --output"
        )


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder holds what `train` and `tune` write."""
    return all((folder / name).is_file() for name in _MARKS)


@contextmanager
def new_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a folder to write to, which takes the final name once the block ends without an error.

    Parameters
    ----------
    folder : Path
        The final name.
    overwrite : bool
        Whether it may replace a run folder.

    Yields
    ------
    Path
        A folder beside the final one; on any error it is removed.

    Raises
    ------
    FileNotFoundError, FileExistsError
        As `check_new`.
    """
    check_new(folder, overwrite=overwrite)
    final = Path(os.path.realpath(folder))
    temporary = final.with_name(f".{secrets.token_hex(4)}-{final.name}")
    temporary.mkdir()
    try:
        yield temporary
        for path in temporary.iterdir():
            flush_to_disk(path)
        check_new(folder, overwrite=overwrite)  # It may have come up meanwhile.
        _replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(temporary: Path, final: Path) -> None:
    if not final.exists():
        temporary.rename(final)
        return
    old = temporary.with_name(f"{temporary.name}-old")
    final.rename(old)
    try:
        temporary.rename(final)
    except BaseException:
        old.rename(final)
        raise
    shutil.rmtree(old)


@dataclass(frozen=True)
class Model:
    """A fitted model, and the run folder that it comes from.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    folder : Path or None
        The run folder; None for a model alone.
    """

    estimator: Any
    folder: Path | None

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """What the run's ``evaluation.json`` says; empty for a model alone."""
        if self.folder is None:
            return {}
        return json.loads((self.folder / EVALUATION_FILE).read_text(encoding="utf-8"))

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The threshold that was frozen, None for a model alone."""
        return point_from_facts(self.evaluation.get("operating_point"))

    @cached_property
    def _used(self) -> pd.DataFrame:
        """The patches that the model has learned from, or its threshold was chosen on."""
        if self.folder is None:
            return pd.DataFrame({"id": [], "slide": []})
        split = pd.read_csv(self.folder / SPLIT_FILE, dtype=str, keep_default_na=False)
        return split[split["part"] != "test"]

    def has_used(self, patches: Patches) -> tuple[np.ndarray, np.ndarray]:
        """Tell which patches took part in the run, and which are of a slide that did.

        Parameters
        ----------
        patches : Patches
            Of any data.

        Returns
        -------
        itself, its_slide : ndarray of shape (n_samples,), bool
            By id, which is the SHA-1 of the pixels where they are Kaggle's; and by the name of the
            slide. Of a model alone at most the slides are known.
        """
        itself = np.isin(patches.ids, self._used["id"].to_numpy(dtype=str))
        if patches.groups is None:
            return itself, np.zeros(len(patches), dtype=bool)
        return itself, np.isin(patches.groups, self._used_slides())

    def _used_slides(self) -> list[str]:
        if self.folder is not None:
            return list(filter(None, self._used["slide"].unique()))
        classifier = self.estimator[-1] if isinstance(self.estimator, Pipeline) else self.estimator
        told = getattr(classifier, "groups_", None)
        return [] if told is None else list(told)


def load_model(path: Path) -> Model:
    """Load a model from a run folder or a joblib file; loading runs code that is in it.

    Parameters
    ----------
    path : Path
        The folder, the ``model.joblib`` in it, or any joblib file.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ValueError
        If there is no fitted classifier of two classes.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not is_run_folder(path):
        missing = [name for name in _MARKS if not (path / name).is_file()]
        raise ValueError(f"{path} is no run folder: it lacks {', '.join(missing)}")
    file = folder / MODEL_FILE if path.is_dir() else path
    estimator = _load(file)
    if len(getattr(estimator, "classes_", ())) != 2 or not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"{file} holds a {type(estimator).__name__}, and a fitted classifier of two classes "
            "is wanted, as joblib.dump(pipeline, path) writes it"
        )
    belongs = file.name == MODEL_FILE and is_run_folder(folder)
    return Model(estimator, folder if belongs else None)


def _load(file: Path) -> Any:
    import_keras()
    try:
        return joblib.load(file)
    except OSError:
        raise
    except Exception as error:  # Unpickling what is no pickle raises anything.
        raise ValueError(
            f"{file} cannot be loaded as a model saved with joblib: {type(error).__name__}: {error}"
        ) from error

"""A run folder: what it holds, and the model that is read from it."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from pcam_sklearn._estimators import slides_trained_on
from pcam_sklearn._files import atomic_folder
from pcam_sklearn.cli._output import to_json
from pcam_sklearn.cli._patches import Patches
from pcam_sklearn.metrics import OperatingPoint

if TYPE_CHECKING:
    from pcam_sklearn.cli._training_run import Run

MODEL_FILE, CONFIG_FILE, EVALUATION_FILE = "model.joblib", "config.json", "evaluation.json"
SPLIT_FILE, PREDICTIONS_FILE = "split.csv", "predictions.csv"
_REQUIRED = (MODEL_FILE, CONFIG_FILE, EVALUATION_FILE, SPLIT_FILE)


def new_run_folder(folder: Path, *, overwrite: bool) -> AbstractContextManager[Path]:
    """Return a context with a folder for a run, which takes its name if all goes well."""
    return atomic_folder(folder, partial(check_replaceable, folder, overwrite=overwrite))


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Raise FileExistsError unless a run may be written to `folder`.

    `overwrite` allows to replace a run folder, and never a folder that holds anything else.
    """
    if not folder.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{folder} exists; pass another --output, or --overwrite")
    if any(folder.iterdir()) and not is_run_folder(folder):
        raise FileExistsError(
            f"{folder} is not a run folder, so it is not overwritten; pass another --output"
        )


def is_run_folder(folder: Path) -> bool:
    """Return whether a folder holds the files that `train` and `tune` write."""
    return all((folder / name).is_file() for name in _REQUIRED)


def write_run(folder: Path, run: "Run", config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the files of a run, and return the content of ``evaluation.json``."""
    facts = run.facts()
    joblib.dump(run.pipeline, folder / MODEL_FILE)
    for name, values in ((EVALUATION_FILE, facts), (CONFIG_FILE, config)):
        (folder / name).write_text(to_json(values) + "\n", encoding="utf-8")
    _write_tables(folder, run)
    card = run.card()
    (folder / "card.html").write_text(card.to_html(), encoding="utf-8")
    (folder / "card.md").write_text(card.to_markdown(), encoding="utf-8")
    for picture in card.pictures:
        (folder / f"{picture.name}.png").write_bytes(picture.png)
    return facts


def _write_tables(folder: Path, run: "Run") -> None:
    history = pd.DataFrame(run.pipeline[-1].history_)
    history.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    history.to_csv(folder / "history.csv")
    # Unknown slides become empty fields, so that the tables always have the same columns.
    slide = "" if run.patches.groups is None else run.patches.groups
    table = pd.DataFrame({"id": run.patches.ids, "slide": slide})
    table.assign(part=run.split.parts()).to_csv(folder / SPLIT_FILE, index=False)
    predictions = table.iloc[run.split.test].assign(
        label=run.evaluation.positive.astype(int), probability=run.evaluation.y_prob
    )
    predictions.to_csv(folder / PREDICTIONS_FILE, index=False)


def read_table_of_run(path: Path) -> pd.DataFrame:
    """Read a table of a run folder as text, so that ids such as 007 or NA stay as they are."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@dataclass(frozen=True)
class Model:
    """A fitted classifier and its run folder, which is None for a model saved by itself."""

    estimator: Any
    folder: Path | None

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """The content of ``evaluation.json``; empty without a run folder."""
        if self.folder is None:
            return {}
        return json.loads((self.folder / EVALUATION_FILE).read_text(encoding="utf-8"))

    @property
    def operating_point(self) -> OperatingPoint | None:
        """The frozen threshold; None without a run folder."""
        return operating_point_from_facts(self.evaluation.get("operating_point"))

    def find_used(self, patches: Patches) -> tuple[np.ndarray, np.ndarray]:
        """Return two masks: patches that took part in the run, and patches whose slide did.

        Patches are known by their ids, slides by their names. The held-out patches did not take
        part. Without a run folder only the slides are known.
        """
        ids, slides = self._used
        if patches.groups is None:
            return np.isin(patches.ids, ids), np.zeros(len(patches), dtype=bool)
        return np.isin(patches.ids, ids), np.isin(patches.groups, slides)

    @cached_property
    def _used(self) -> tuple[list[str], list[str]]:
        """The ids and slides that the model learned from or its threshold was chosen on."""
        if self.folder is None:
            slides = slides_trained_on(self.estimator)
            return [], [] if slides is None else list(slides)
        split = read_table_of_run(self.folder / SPLIT_FILE)
        used = split[split["part"] != "test"]
        # An unknown slide is written as an empty field.
        return used["id"].tolist(), list(filter(None, used["slide"].unique()))


def operating_point_from_facts(facts: Mapping[str, Any] | None) -> OperatingPoint | None:
    """Return the operating point that was written to ``evaluation.json``, or None."""
    if facts is None:
        return None
    values = dict(facts)
    # JSON has no infinity, the threshold that no score reaches. It is written as null.
    if values["threshold"] is None:
        values["threshold"] = np.inf
    return OperatingPoint(**values)


def load_model(path: Path) -> Model:
    """Load a fitted classifier from a run folder, or from any joblib file.

    Loading runs code in the file. The ``model.joblib`` of a run folder stands for the folder.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not is_run_folder(path):
        missing = [name for name in _REQUIRED if not (path / name).is_file()]
        raise ValueError(f"{path} is not a run folder: it lacks {', '.join(missing)}")
    file = folder / MODEL_FILE if path.is_dir() else path
    estimator = _load_joblib(file)
    if len(getattr(estimator, "classes_", ())) != 2 or not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"{file} holds a {type(estimator).__name__}, not a fitted classifier of two classes; "
            "pass a file that joblib.dump(pipeline, path) wrote"
        )
    belongs_to_run = file.name == MODEL_FILE and is_run_folder(folder)
    return Model(estimator, folder if belongs_to_run else None)


def _load_joblib(file: Path) -> Any:
    try:
        return joblib.load(file)
    except OSError:
        raise
    except Exception as error:  # Unpickling other content can raise any exception.
        raise ValueError(
            f"{file} cannot be loaded as a model saved with joblib: {type(error).__name__}: {error}"
        ) from error

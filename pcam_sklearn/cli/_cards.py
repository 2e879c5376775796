"""Model cards: of a run, read again from its folder, or of a model on other patches."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pcam_sklearn._hospitals import hospital_of_slide
from pcam_sklearn.cli._data import TO_LEARN, Patches, load_patches
from pcam_sklearn.cli._measure import measure
from pcam_sklearn.cli._run_folder import CONFIG_FILE, PREDICTIONS_FILE, Model, load_model
from pcam_sklearn.cli._shared import Output
from pcam_sklearn.report import Evaluation, ModelCard, model_card


def card_of_run(path: Path, title: str | None, rounds: int | None, out: Output) -> ModelCard:
    """Write the card of a run anew, from its folder.

    Parameters
    ----------
    path : Path
        The run folder.
    title : str or None
        What the model is called.
    rounds : int or None
        Rounds of the bootstrap; None takes those of the run.
    out : Output
        Is told if the patches are not where they were.

    Returns
    -------
    ModelCard
        The card; without the most wrong patches where they cannot be read any more.

    Raises
    ------
    ValueError
        If there is no run folder.
    """
    model = load_model(path)
    if model.folder is None:
        raise ValueError(
            f"{path} is a model alone, and what it does is not known; pass DATA to measure it on"
        )
    predictions = pd.read_csv(
        model.folder / PREDICTIONS_FILE,
        dtype=str,
        keep_default_na=False,
    )
    X = _read_patches(model.folder, predictions["id"].to_numpy(dtype=str), out)
    return model_card(
        model.estimator,
        _measured_again(model, predictions, rounds),
        data=model.evaluation["training_data"],
        split=model.evaluation["split"],
        X=X,
        **_titled(title),
    )


def card_on_data(
    model: Model, patches: Patches, evaluation: Evaluation, overlap: str | None, title: str | None
) -> ModelCard:
    """Write the card of a model, measured on other patches.

    Parameters
    ----------
    model : Model
        The model.
    patches : Patches
        What it was measured on.
    evaluation : Evaluation
        What was measured.
    overlap : str or None
        What to say of patches that took part in training.
    title : str or None
        What the model is called.

    Returns
    -------
    ModelCard
        The card.
    """
    if model.folder is None:
        split = "Not known: the model came without the record of its training."
    else:
        split = overlap or "No patch evaluated, and none of their slides, took part in the run."
    return model_card(
        model.estimator,
        evaluation,
        data=model.evaluation.get("training_data"),
        split=split,
        X=patches.X,
        **_titled(title),
    )


def _measured_again(model: Model, predictions: pd.DataFrame, rounds: int | None) -> Evaluation:
    facts = model.evaluation
    slides = predictions["slide"].to_numpy(dtype=str)
    groups = None if (slides == "").all() else slides
    hospital = None if groups is None else np.array([hospital_of_slide(s) for s in slides])
    patches = Patches(
        name=facts["name"],
        X=np.empty(0),
        ids=predictions["id"].to_numpy(dtype=str),
        target=predictions["label"].to_numpy(dtype=int),
        groups=groups,
        hospital=None if hospital is None or (hospital == "unknown").all() else hospital,
    )
    settings = {"n_rounds": rounds or facts["rounds"], "random_state": facts["random_state"]}
    return measure(
        patches,
        predictions["probability"].to_numpy(dtype=str).astype(float),
        model.operating_point,
        data_sha256=facts["data_sha256"],
        **{name: value for name, value in settings.items() if value is not None},
    )


def _read_patches(folder: Path, ids: np.ndarray, out: Output) -> Any:
    """Return the patches that were held out, or None where they are no longer to be found."""
    options = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["options"]
    where = {name: options[name] for name in ("data", "subset", "slides", "random_state")}
    slides = None if where["slides"] is None else Path(where.pop("slides"))
    try:
        found = load_patches(**{**where, "slides": slides}, default=TO_LEARN, progress=out.progress)
    except (OSError, ValueError) as error:
        out.warn(f"the card shows no patches, as they cannot be read again: {error}")
        return None
    row_of = {id_: row for row, id_ in enumerate(found.ids.tolist())}
    if not all(id_ in row_of for id_ in ids):
        out.warn(f"the card shows no patches, as {found.name} no longer holds those of the run")
        return None
    return found.X[[row_of[id_] for id_ in ids]]


def _titled(title: str | None) -> dict[str, str]:
    return {} if title is None else {"title": title}

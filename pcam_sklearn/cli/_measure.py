"""Predict with a progress bar, measure, and say what was measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from pcam_sklearn.cli._data import Patches
from pcam_sklearn.metrics import OperatingPoint
from pcam_sklearn.report import Evaluation, evaluate_predictions, hash_patches

_CHUNK = 1024  # A multiple of the classifier's batch: the batches are those of one call.


def tumour_probabilities(model: Any, X: np.ndarray, what: str, *, progress: bool) -> np.ndarray:
    """Predict patches, a piece at a time.

    Parameters
    ----------
    model : classifier
        Fitted, of two classes.
    X : ndarray
        Paths or patches.
    what : str
        What stands before the progress bar.
    progress : bool
        Whether to show one.

    Returns
    -------
    probabilities : ndarray of shape (n_samples,)
        Of the model's second class.
    """
    probabilities = np.empty(len(X))
    with tqdm(total=len(X), desc=what, unit="patch", disable=not progress) as bar:
        for start in range(0, len(X), _CHUNK):
            piece = X[start : start + _CHUNK]
            probabilities[start : start + len(piece)] = model.predict_proba(piece)[:, 1]
            bar.update(len(piece))
    return probabilities


def measure(
    patches: Patches, probabilities: np.ndarray, point: OperatingPoint | None, **settings: Any
) -> Evaluation:
    """Measure probabilities, over slides where there are enough of them.

    Parameters
    ----------
    patches : Patches
        With labels.
    probabilities : ndarray of shape (n_samples,)
        Of tumour.
    point : OperatingPoint or None
        The frozen threshold.
    **settings : dict
        For `evaluate_predictions`.

    Returns
    -------
    Evaluation
        Without slides if either class comes from one slide: nothing then shows how slides vary.
    """
    groups = patches.groups if slides_suffice(patches) else None
    settings.setdefault("name", patches.name)
    if "data_sha256" not in settings:
        settings["data_sha256"] = hash_patches(patches.X)
    return evaluate_predictions(
        patches.target,
        probabilities,
        groups,
        hospital=None if groups is None else patches.hospital,
        operating_point=point,
        pos_label=1,
        **settings,
    )


def slides_suffice(patches: Patches) -> bool:
    """Return whether both classes come from two slides or more."""
    return patches.groups is not None and patches.fewest_slides() >= 2


def evaluation_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as numbers and text for JSON.

    Parameters
    ----------
    evaluation : Evaluation
        What was measured.

    Returns
    -------
    dict
        ``metrics`` holds estimate, low and high of each.
    """
    groups, result = evaluation.groups, evaluation.operating_result
    facts: dict[str, Any] = {
        "name": evaluation.name,
        "patches": len(evaluation.positive),
        "positive": evaluation.positive.sum(),
        "slides": None if groups is None else len(np.unique(groups)),
        "metrics": {_key(name): dict(row) for name, row in evaluation.metrics_table().iterrows()},
        "confidence": evaluation.auc.confidence,
        "intervals_over": "patches" if groups is None else "slides",
        "rounds": None if groups is None else evaluation.n_rounds,
        "random_state": evaluation.random_state,
        "data_sha256": evaluation.data_sha256,
        "operating_point": None,
        "counts": None,
    }
    if evaluation.operating_point is not None and result is not None:
        facts["operating_point"] = vars(evaluation.operating_point)
        facts["counts"] = {name: getattr(result, name) for name in ("tp", "fn", "tn", "fp")}
    return facts


def point_from_facts(facts: Mapping[str, Any] | None) -> OperatingPoint | None:
    """Return the operating point that `evaluation_facts` wrote down, or None."""
    if facts is None:
        return None
    values = dict(facts)
    if values["threshold"] is None:  # What no score reaches: JSON has no infinity.
        values["threshold"] = np.inf
    return OperatingPoint(**values)


def evaluation_text(evaluation: Evaluation, *, by_slide: bool = False) -> str:
    """Return an evaluation as a table to read.

    Parameters
    ----------
    evaluation : Evaluation
        What was measured.
    by_slide : bool, default=False
        Whether to add the table of slides.

    Returns
    -------
    str
        Lines.
    """
    n, groups = len(evaluation.positive), evaluation.groups
    slides = "" if groups is None else f" of {len(np.unique(groups)):,} slides"
    share = evaluation.positive.mean()
    lines = [f"{evaluation.name}: {n:,} patches{slides}, {share:.1%} positive", ""]
    lines += [*_metric_lines(evaluation), "", _how(evaluation)]
    if evaluation.operating_point is not None:
        point = evaluation.operating_point
        lines.append(
            f"Threshold {point.threshold:.4g}, chosen for {point.criterion} on other patches."
        )
    tables = [evaluation.hospital_table(), evaluation.slide_table() if by_slide else None]
    for table in tables:
        if table is not None:
            lines += ["", table.to_string(float_format="{:.3f}".format, na_rep="-")]
    return "\n".join(lines)


def _metric_lines(evaluation: Evaluation) -> list[str]:
    table = evaluation.metrics_table()
    width = max(map(len, table.index))
    lines = [f"{'':{width}}  estimate  {100 * evaluation.auc.confidence:g} % interval"]
    for name, row in table.iterrows():
        interval = "-" if np.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
        lines.append(f"{name:{width}}  {row['estimate']:8.3f}  {interval}")
    return lines


def _how(evaluation: Evaluation) -> str:
    if evaluation.groups is None:
        return "The intervals take patches as independent: too narrow by far."
    return f"The intervals resample slides, {evaluation.n_rounds:,} rounds."


def _key(name: object) -> str:
    return str(name).lower().replace(" ", "_").replace("-", "_")

"""Measure predictions, and present the measurements as text and as JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pcam_sklearn.cli._output import Output
from pcam_sklearn.cli._patches import TO_MEASURE, Patches, load_labelled_patches
from pcam_sklearn.cli._probabilities import predict_tumour
from pcam_sklearn.cli._run_model import Model
from pcam_sklearn.metrics import OperatingPoint
from pcam_sklearn.report import (
    Evaluation,
    evaluate_predictions,
    hash_patches,
    stain_of_slides,
)


def load_evaluation_patches(
    model: Model, data: str, options: Mapping[str, Any], *, unseen: bool, out: Output
) -> tuple[Patches, dict[str, int]]:
    """Return labelled patches and how many of them took part in the run.

    Warn about those that did, or leave them out if `unseen`.
    """
    patches = load_labelled_patches(data, **options, default=TO_MEASURE, progress=out.progress)
    if unseen and not model.knows(patches):
        raise ValueError(
            "--unseen cannot be met: the model does not tell all slides that it learned from, or "
            "the data name none; pass --slides, or the folder of the run"
        )
    if unseen and not model.knows_slides(patches):
        out.warn(
            "the slides of the run, or of the data, are not known: the patches of the run are left "
            "out, and others of the same slides may stay; pass --slides if you know them."
        )
    patch_used, slide_used = model.find_used(patches)
    slides = 0 if patches.groups is None else len(np.unique(patches.groups[slide_used]))
    used = {"patches": int(patch_used.sum()), "slides": slides}
    if unseen:
        return _leave_out(patches, patch_used | slide_used, out), used
    if (overlap := describe_overlap(used, len(patches))) is not None:
        out.warn(f"{overlap} Pass --unseen to leave them out.")
    return patches, used


def _leave_out(patches: Patches, used: np.ndarray, out: Output) -> Patches:
    if used.all():
        raise ValueError(
            f"all {len(patches):,} patches, or their slides, took part in the run that made the "
            "model; pass other data, or leave out --unseen"
        )
    out.note(f"{int(used.sum()):,} patches left out, as they or their slides took part in the run")
    return patches.take(~used)


def describe_overlap(used: Mapping[str, int], n_patches: int) -> str | None:
    """Return a warning about patches that took part in the run, or None if none did."""
    if not any(used.values()):
        return None
    return (
        f"{used['patches']:,} of the {n_patches:,} patches evaluated, and {used['slides']:,} "
        "slides by their names, took part in the run that made the model: figures on them are too "
        "good."
    )


def evaluate_model(
    model: Model, patches: Patches, rounds: int | None, random_state: int, out: Output
) -> Evaluation:
    """Predict the patches and measure the predictions."""
    if patches.groups is not None and not _has_enough_slides(patches):
        out.warn(
            f"{patches.describe()} have a class that comes from one slide: the intervals take "
            "patches as independent, and are too narrow by far"
        )
    prob = predict_tumour(model.estimator, patches.X, "evaluate", progress=out.progress)
    out.step("measuring")
    point = model.operating_point
    return measure(patches, prob, point, rounds=rounds, random_state=random_state)


def measure(
    patches: Patches,
    probabilities: np.ndarray,
    point: OperatingPoint | None,
    *,
    rounds: int | None = None,
    name: str | None = None,
    data_sha256: str | None = None,
    **settings: Any,
) -> Evaluation:
    """Measure probabilities at the frozen threshold, with intervals over slides.

    If a class comes from one slide, the intervals are over patches: one slide shows no spread.
    The colour groups of the slides are read from the pixels, unless `settings` holds `stain`.
    """
    groups = patches.groups if _has_enough_slides(patches) else None
    # None leaves the number of rounds to the package.
    if rounds is not None:
        settings["n_rounds"] = rounds
    if "stain" not in settings and groups is not None:
        settings["stain"] = stain_of_slides(patches.X, groups)
    return evaluate_predictions(
        patches.target,
        probabilities,
        groups,
        hospital=None if groups is None else patches.hospital,
        operating_point=point,
        pos_label=1,
        name=name or patches.name,
        data_sha256=data_sha256 or hash_patches(patches.X),
        **settings,
    )


def _has_enough_slides(patches: Patches) -> bool:
    return patches.groups is not None and patches.fewest_slides() >= 2


def evaluation_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as numbers and text for JSON."""
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
        "by_hospital": _rows(evaluation.hospital_table()),
        "by_stain": _rows(evaluation.stain_table()),
        "operating_point": None,
        "counts": None,
    }
    if evaluation.operating_point is not None and result is not None:
        facts["operating_point"] = vars(evaluation.operating_point)
        facts["counts"] = {name: getattr(result, name) for name in ("tp", "fn", "tn", "fp")}
    return facts


def _rows(table: pd.DataFrame | None) -> list[dict[Any, Any]] | None:
    return None if table is None else table.reset_index().to_dict("records")


def _key(name: object) -> str:
    return str(name).lower().replace(" ", "_").replace("-", "_")


def evaluation_text(evaluation: Evaluation, *, by_slide: bool = False) -> str:
    """Return an evaluation as text: a summary, metrics, and tables by hospital, stain and slide."""
    n, groups = len(evaluation.positive), evaluation.groups
    slides = "" if groups is None else f" of {len(np.unique(groups)):,} slides"
    share = evaluation.positive.mean()
    lines = [f"{evaluation.name}: {n:,} patches{slides}, {share:.1%} positive", ""]
    # Estimates first: a table by slide can be hundreds of lines long.
    lines += [*_metric_lines(evaluation), "", _describe_intervals(evaluation)]
    if (point := evaluation.operating_point) is not None:
        lines.append(f"Threshold {point.threshold:.4g}, chosen beforehand for {point.criterion}.")
    stains = evaluation.stain_table()
    lines += [*_table_lines(evaluation.hospital_table()), *_table_lines(stains)]
    if stains is not None:
        lines.append("A slide is pinker if the mean blue of its patches lies below their mean red.")
    if by_slide:
        lines += _table_lines(evaluation.slide_table())
    return "\n".join(lines)


def _table_lines(table: pd.DataFrame | None) -> list[str]:
    if table is None:
        return []
    return ["", table.to_string(float_format="{:.3f}".format, na_rep="-")]


def _metric_lines(evaluation: Evaluation) -> list[str]:
    table = evaluation.metrics_table()
    width = max(map(len, table.index))
    lines = [f"{'':{width}}  estimate  {100 * evaluation.auc.confidence:g} % interval"]
    for name, row in table.iterrows():
        interval = "-" if np.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
        lines.append(f"{name:{width}}  {row['estimate']:8.3f}  {interval}")
    return lines


def _describe_intervals(evaluation: Evaluation) -> str:
    if evaluation.groups is None:
        return "The intervals take patches as independent: they are too narrow by far."
    return f"The intervals resample slides, {evaluation.n_rounds:,} rounds."

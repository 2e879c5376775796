"""A training run: learn, choose the threshold on other patches, report on others again, write."""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pcam_sklearn.cli._data import Patches
from pcam_sklearn.cli._measure import evaluation_facts, measure, tumour_probabilities
from pcam_sklearn.cli._run_folder import (
    CONFIG_FILE,
    EVALUATION_FILE,
    MODEL_FILE,
    PREDICTIONS_FILE,
    SPLIT_FILE,
)
from pcam_sklearn.cli._shared import to_json
from pcam_sklearn.cli._split import Split
from pcam_sklearn.metrics import choose_operating_point
from pcam_sklearn.report import Evaluation, ModelCard, hash_patches, model_card


@dataclass(frozen=True)
class Run:
    """A fitted pipeline and what was measured.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted on the training part.
    patches : Patches
        All of them.
    split : Split
        Their parts.
    evaluation : Evaluation
        On the test part, at the threshold chosen on the threshold part.
    """

    pipeline: Pipeline
    patches: Patches
    split: Split
    evaluation: Evaluation

    def facts(self) -> dict[str, Any]:
        """Return what ``evaluation.json`` holds."""
        return {
            **evaluation_facts(self.evaluation),
            "split": self.split.text,
            "training_data": self.training_data,
        }

    @cached_property
    def training_data(self) -> dict[str, str]:
        """What the card says of the training data."""
        part = self.patches.take(self.split.training)
        slides = "not known" if part.groups is None else f"{len(np.unique(part.groups)):,}"
        return {
            "Source": self.patches.name,
            "Patches learned from": f"{len(part):,}",
            "Positive": f"{part.target.sum():,} ({part.target.mean():.1%})",
            "Slides": slides,
            "SHA-256 of the pixels of all parts": hash_patches(self.patches.X),
        }

    def card(self) -> ModelCard:
        """Return the model card."""
        return model_card(
            self.pipeline,
            self.evaluation,
            data=self.training_data,
            split=self.split.text,
            X=self.patches.X[self.split.test],
        )


def run_training(
    pipeline: Pipeline,
    patches: Patches,
    split: Split,
    criterion: Mapping[str, float],
    *,
    progress: bool,
    **settings: Any,
) -> Run:
    """Learn on one part, choose the threshold on the second, measure on the third.

    Parameters
    ----------
    pipeline : Pipeline
        Unfitted; it is fitted.
    patches : Patches
        With labels.
    split : Split
        Their parts.
    criterion : mapping
        What the threshold is chosen for: ``{"specificity": 0.95}`` or ``{"sensitivity": 0.9}``.
    progress : bool
        Whether to show progress, on the standard error stream.
    **settings : dict
        For `evaluate_predictions`.

    Returns
    -------
    Run
        The fitted pipeline and what was measured.
    """
    _fit(pipeline, patches, split.training, progress=progress)
    threshold, test = patches.take(split.threshold), patches.take(split.test)
    chosen = tumour_probabilities(pipeline, threshold.X, "threshold", progress=progress)
    point = choose_operating_point(threshold.target, chosen, pos_label=1, **criterion)
    probabilities = tumour_probabilities(pipeline, test.X, "held out", progress=progress)
    name = f"held-out part of {patches.name}"
    evaluation = measure(test, probabilities, point, name=name, **settings)
    return Run(pipeline, patches, split, evaluation)


def _fit(pipeline: Pipeline, patches: Patches, rows: np.ndarray, *, progress: bool) -> None:
    shown = "cnnclassifier__verbose"
    before = pipeline.get_params()[shown]
    if progress and not before:
        # On a screen one line that is rewritten; in a file or pipe a line an epoch.
        pipeline.set_params(**{shown: 1 if sys.stderr.isatty() else 2})
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Results alone go to stdout.
            if isinstance(patches.X, np.memmap):
                # Rows of weight 0 take no part, and none has to be copied out of the map.
                weight = np.isin(np.arange(len(patches)), rows).astype(float)
                given = {**patches.fit_parameters(), "cnnclassifier__sample_weight": weight}
                pipeline.fit(patches.X, patches.target, **given)
            else:
                part = patches.take(rows)
                pipeline.fit(part.X, part.target, **part.fit_parameters())
    finally:
        pipeline.set_params(**{shown: before})


def write_run(folder: Path, run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    """Write all that a run folder holds, but for a search.

    Parameters
    ----------
    folder : Path
        An empty folder.
    run : Run
        The run.
    config : mapping
        What reproduces it.

    Returns
    -------
    dict
        What ``evaluation.json`` holds.
    """
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


def _write_tables(folder: Path, run: Run) -> None:
    history = pd.DataFrame(run.pipeline[-1].history_)
    history.index = pd.RangeIndex(1, len(history) + 1, name="epoch")
    history.to_csv(folder / "history.csv")
    slide = "" if run.patches.groups is None else run.patches.groups
    everything = pd.DataFrame({"id": run.patches.ids, "slide": slide})
    parts = everything.assign(part=run.split.part_of_each())
    parts.to_csv(folder / SPLIT_FILE, index=False)
    predictions = everything.iloc[run.split.test].assign(
        label=run.evaluation.positive.astype(int), probability=run.evaluation.y_prob
    )
    predictions.to_csv(folder / PREDICTIONS_FILE, index=False)

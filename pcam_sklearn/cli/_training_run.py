"""A training run, as `train` and `tune` share it: hold out, fit, freeze the threshold, measure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
from sklearn.pipeline import Pipeline

from pcam_sklearn import __version__
from pcam_sklearn.cli._fits import fit_pipeline
from pcam_sklearn.cli._measure import evaluation_facts, evaluation_text, measure
from pcam_sklearn.cli._options import RECORDED
from pcam_sklearn.cli._output import Output
from pcam_sklearn.cli._parameters import (
    build_pipeline,
    parse_augment,
    parse_operating_point,
    parse_settings,
    to_json_values,
)
from pcam_sklearn.cli._patches import TO_LEARN, Patches, load_labelled_patches
from pcam_sklearn.cli._probabilities import predict_tumour
from pcam_sklearn.cli._run_folder import THRESHOLD_SLIDES, new_run_folder, write_run
from pcam_sklearn.metrics import OperatingPoint, choose_operating_point
from pcam_sklearn.model_selection import hold_out
from pcam_sklearn.report import Evaluation, ModelCard, hash_patches, model_card

_HASH = "SHA-256 of the pixels of all parts"

# Searches on some rows, sets the best parameters on the pipeline, and returns the entry of
# config.json.
Search = Callable[[Path, Pipeline, Patches, np.ndarray], dict[str, Any]]

_BY_PATCH = (
    "At random by patch, since the slides are not known: patches of one slide are on both sides, "
    "which flatters the area under the ROC curve by .03 to .065."
)


@dataclass(frozen=True)
class Split:
    """The rows to learn from, to choose the threshold on, and to report on, and their summary."""

    training: np.ndarray
    threshold: np.ndarray
    test: np.ndarray
    text: str

    def parts(self) -> np.ndarray:
        """Return "training", "threshold" or "test" for each row."""
        parts = np.empty(len(self.training) + len(self.threshold) + len(self.test), dtype="U9")
        for name in ("training", "threshold", "test"):
            parts[getattr(self, name)] = name
        return parts


@dataclass(frozen=True)
class Run:
    """A pipeline fitted on the training part, and its evaluation on the test part."""

    pipeline: Pipeline
    patches: Patches
    split: Split
    evaluation: Evaluation

    def facts(self) -> dict[str, Any]:
        """Return the content of ``evaluation.json``."""
        return {
            **evaluation_facts(self.evaluation),
            "split": self.split.text,
            "training_data": self.training_data,
        }

    @cached_property
    def training_data(self) -> dict[str, str]:
        """The rows about the training data in the model card."""
        part = self.patches.without_pixels().take(self.split.training)
        slides = "not known" if part.groups is None else f"{len(np.unique(part.groups)):,}"
        return {
            "Source": self.patches.name,
            "Patches learned from": f"{len(part):,}",
            "Positive": f"{part.target.sum():,} ({part.target.mean():.1%})",
            "Slides": slides,
            _HASH: hash_patches(self.patches.X),
        }

    def metadata(self) -> dict[str, Any]:
        """Return the facts that the model file holds about the model."""
        slides = self.patches.groups
        chosen_on = None if slides is None else sorted(set(slides[self.split.threshold].tolist()))
        return {
            "evaluation": self.evaluation,
            "data": self.training_data,
            "data_sha256": self.training_data[_HASH],
            "split": self.split.text,
            THRESHOLD_SLIDES: chosen_on,
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


def make_run(
    context: click.Context,
    *,
    output: Path,
    overwrite: bool,
    out: Output,
    recorded: Mapping[str, Any] | None = None,
    resume: bool = False,
    search: Search | None = None,
    **options: Any,
) -> None:
    """Do a whole run and write its folder. `recorded` holds the parameters of an earlier run."""
    criterion = parse_operating_point(options["operating_point"])
    with new_run_folder(output, overwrite=overwrite, out=out) as run:
        # The pipeline comes first: a mistyped parameter is found before many files are read.
        given = _given_parameters(context, options, recorded)
        pipeline = build_pipeline(given, parse_settings(options["settings"]), recorded)
        config = _config(context, options, pipeline)
        folder = run.resume(config) if resume else run.start()
        with run.checkpoint(config, resume=resume) as checkpoint:
            patches, split = _load_and_split(options, out)
            if search:
                config |= search(folder, pipeline, patches, split.training)
                config |= _config(context, options, pipeline)
            kept = None if search else checkpoint  # A search could not go on at its end.
            rows = split.training
            fit_pipeline(pipeline, patches, rows, progress=out.progress, checkpoint=kept)
            run.has_trained = kept is not None
            point = _choose_threshold(pipeline, patches.take(split.threshold), criterion, out)
            evaluation = _evaluate(pipeline, patches.take(split.test), point, options, out)
            out.step("drawing the card and writing the run")
            facts = write_run(folder, Run(pipeline, patches, split, evaluation), config)
    card = output / "card.html"
    text = f"{evaluation_text(evaluation)}\n\nWritten to {output}\nModel card: {card}"
    out.result(text, {"output": output, "card": card, **facts})


def _load_and_split(options: Mapping[str, Any], out: Output) -> tuple[Patches, Split]:
    source = {name: options[name] for name in ("data", "subset", "slides", "random_state")}
    out.step(f"reading {options['data']}")
    patches = load_labelled_patches(**source, default=TO_LEARN, progress=out.progress)
    fractions = options["test_fraction"], options["threshold_fraction"]
    split = split_patches(patches, *fractions, options["random_state"])
    # A split by patch flatters the results, so --quiet does not hide it.
    (out.note if patches.groups is not None else out.warn)(split.text)
    return patches, split


def _given_parameters(
    context: click.Context, options: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the options that are parameters of the pipeline, if the user gave them."""
    names = ("network", "crop_size", "epochs", "batch_size")
    given = {name: options[name] for name in names if options[name] is not None}
    if options["augment"] is not None:
        given["augment"] = parse_augment(options["augment"])
    # The default of --random-state must not override the seed of a recorded pipeline.
    source = context.get_parameter_source("random_state")
    if recorded is None or source is click.core.ParameterSource.COMMANDLINE:
        given["random_state"] = options["random_state"]
    return given


def _config(
    context: click.Context, options: Mapping[str, Any], pipeline: Pipeline
) -> dict[str, Any]:
    """Return the content of ``config.json``, which reproduces the run from any folder."""
    recorded = {name: options[name] for name in RECORDED}
    if recorded["data"] != "synthetic":
        recorded["data"] = Path(recorded["data"]).absolute()
    if recorded["slides"] is not None:
        recorded["slides"] = recorded["slides"].absolute()
    return {
        "command": context.info_name,
        "pcam_sklearn": __version__,
        "options": recorded,
        "parameters": to_json_values(pipeline),
    }


def split_patches(
    patches: Patches, test_fraction: float, threshold_fraction: float, random_state: int
) -> Split:
    """Split the patches in three, by slide where the slides are known.

    Both fractions are shares of all patches.
    """
    if test_fraction + threshold_fraction >= 1:
        raise ValueError(
            f"--test-fraction {test_fraction:g} and --threshold-fraction {threshold_fraction:g} "
            "leave no patches to learn from; pass smaller ones"
        )
    patches, everything = patches.without_pixels(), np.arange(len(patches))
    # An interval over slides needs two slides of each class in the test part.
    rest, test = _hold_out(patches, everything, "test", test_fraction, random_state, 2)
    # A share of all patches is a larger share of those that are left.
    share = threshold_fraction / (1 - test_fraction)
    training, threshold = _hold_out(patches, rest, "threshold", share, random_state, 1)
    return Split(training, threshold, test, _describe_split(patches, training, threshold, test))


def _hold_out(
    patches: Patches, rows: np.ndarray, part: str, fraction: float, random_state: int, least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that stay and the rows held out, each class from `least` slides or more."""
    y, groups = patches.target[rows], patches.groups
    slides = None if groups is None else groups[rows]
    try:
        sides = hold_out(y, slides, fraction, random_state=random_state, min_slides=least)
        # Without slides each patch counts as one, which `hold_out` does not check.
        if min(patches.take(rows[side]).fewest_slides() for side in sides) < least:
            raise ValueError("A class has too few patches; pass more patches.")
    except ValueError as error:
        raise ValueError(
            f"{patches.take(rows).describe()} cannot be split into a {part} part and the rest: "
            f"{error} Or pass another --{part}-fraction."
        ) from error
    return rows[sides[0]], rows[sides[1]]


def _describe_split(patches: Patches, *parts: np.ndarray) -> str:
    rule = _BY_PATCH if patches.groups is None else "By slide: no slide is in two parts."
    sizes = [patches.take(rows).describe() for rows in parts]
    return (
        f"{rule} {sizes[0]} to learn from, {sizes[1]} to choose the threshold on, {sizes[2]} held "
        "out to report on."
    )


def _choose_threshold(
    pipeline: Pipeline, patches: Patches, criterion: Mapping[str, float], out: Output
) -> OperatingPoint:
    # On patches that the fit has not seen: scores of training patches are too good.
    scores = predict_tumour(pipeline, patches.X, "threshold", progress=out.progress)
    point = choose_operating_point(patches.target, scores, pos_label=1, **criterion)
    if point.threshold == np.inf:
        out.warn(
            f"no threshold calls a patch tumour and reaches {point.criterion} on the "
            f"{len(patches):,} patches to choose it on, so the model calls none; pass a larger "
            "--threshold-fraction, more epochs, or --operating-point sensitivity=0.9"
        )
    return point


def _evaluate(
    pipeline: Pipeline,
    patches: Patches,
    point: OperatingPoint,
    options: Mapping[str, Any],
    out: Output,
) -> Evaluation:
    probabilities = predict_tumour(pipeline, patches.X, "held out", progress=out.progress)
    settings = {name: options[name] for name in ("rounds", "random_state")}
    name = f"held-out part of {patches.name}"
    out.step("measuring")
    return measure(patches, probabilities, point, name=name, **settings)

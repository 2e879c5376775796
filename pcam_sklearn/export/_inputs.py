"""The input of a fitted estimator, and its rule for labels."""

from typing import Any, NamedTuple

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._values import as_python
from pcam_sklearn.export._graph import THRESHOLDS, inner, members
from pcam_sklearn.persistence._thresholds import positive_label
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader


class Input(NamedTuple):
    """The patches that an estimator takes.

    `reader_crop_size` is that of its PatchReader, and `resizes` says whether it takes patches of
    any size and resizes them to `shape`.
    """

    shape: tuple[int, int, int]
    reader_crop_size: int | None
    resizes: bool


def find_input(estimator: Any) -> Input:
    """Return the input of an estimator, or raise ModelFileError if its members disagree."""
    found = sorted(set(_inputs(estimator)), key=str)
    if len(found) != 1:
        raise ModelFileError(
            "one graph takes one kind of patches, and the members take "
            + " and ".join(
                f"{i.shape} behind PatchReader(crop_size={i.reader_crop_size})" for i in found
            )
            + "; fit them with the same input_size of CenterCropNormalizer"
        )
    return found[0]


def _inputs(estimator: Any) -> list[Input]:
    estimator = inner(estimator)
    if isinstance(estimator, Pipeline):
        return _inputs_of_pipeline(estimator)
    if held := members(estimator):
        return [found for member in held for found in _inputs(member)]
    if not hasattr(estimator, "X_shape_"):
        raise ModelFileError(
            f"a {type(estimator).__name__} is no classifier of patches; export a fitted pipeline "
            "that ends in a CNNClassifier"
        )
    height, width, channels = map(int, estimator.X_shape_[1:])
    return [Input((height, width, channels), None, False)]


def _inputs_of_pipeline(pipeline: Pipeline) -> list[Input]:
    crop_size = None
    for _, step in pipeline.steps[:-1]:
        if isinstance(step, PatchReader):
            crop_size = None if step.crop_size is None else int(step.crop_size)
        elif isinstance(step, CenterCropNormalizer):
            side = int(step.input_size)  # It may be one of NumPy's, which a file does not hold.
            return [Input((side, side, 3), crop_size, True)]
    return [found._replace(reader_crop_size=crop_size) for found in _inputs(pipeline[-1])]


def find_threshold(estimator: Any) -> tuple[float | None, Any]:
    """Return the probability from which on a label is predicted, and that label.

    None stands for an estimator that predicts the more probable label.
    """
    while not isinstance(estimator, THRESHOLDS):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return None, None
    if isinstance(estimator, TunedThresholdClassifierCV):
        return float(estimator.best_threshold_), as_python(positive_label(estimator))
    threshold = 0.5 if estimator.threshold == "auto" else float(estimator.threshold)
    above = estimator.classes_[1] if estimator.pos_label is None else estimator.pos_label
    return threshold, as_python(above)

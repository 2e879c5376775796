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
    found = sorted({i._replace(resizes=False) for i in _inputs(estimator)}, key=str)
    if len(found) != 1:
        raise ModelFileError(
            "one graph takes one kind of patches, and the members take "
            + " and ".join(
                f"{i.shape} behind PatchReader(crop_size={i.reader_crop_size})" for i in found
            )
            + "; fit them with the same input_size of CenterCropNormalizer"
        )
    # Where one member takes no other size, neither does the whole.
    return found[0]._replace(resizes=all(i.resizes for i in _inputs(estimator)))


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
    steps = [step for _, step in pipeline.steps]
    crops = [isinstance(step, CenterCropNormalizer) for step in steps]
    end = crops.index(True) if any(crops) else len(steps) - 1
    if any(crops):
        side = int(steps[end].input_size)  # It may be one of NumPy's, which a file does not hold.
        found = [Input((side, side, 3), None, True)]
    else:
        found = _inputs(steps[end])
    readers = [step for step in steps[:end] if isinstance(step, PatchReader)]
    if not readers:
        return found
    # The first one opens the files, and others get pixels.
    size = readers[0].crop_size
    return [i._replace(reader_crop_size=None if size is None else int(size)) for i in found]


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

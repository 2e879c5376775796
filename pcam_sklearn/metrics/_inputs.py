"""Checks of labels, scores, weights and slides, shared by all metrics."""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from pcam_sklearn._masked import refuse_masked
from pcam_sklearn._messages import first_few
from pcam_sklearn.metrics._types import BoolArray, FloatArray, IntArray

ROUNDING = 1e-6  # A mean of probabilities of 32 bits may lie so far above 1.


def check_scores(
    y_true: ArrayLike,
    y_score: ArrayLike,
    pos_label: Any = None,
    *,
    both_classes: bool = True,
    score_name: str = "y_score",
) -> tuple[BoolArray, FloatArray]:
    """Return a mask of the positive patches, and the scores as float64."""
    positive = check_labels(y_true, pos_label, both_classes=both_classes)
    score = check_numbers(y_score, score_name)
    check_length(score, len(positive), score_name)
    return positive, score


def check_probabilities(
    y_true: ArrayLike, y_prob: ArrayLike, pos_label: Any = None, *, both_classes: bool = False
) -> tuple[BoolArray, FloatArray]:
    """Return a mask of the positive patches, and their probabilities, checked to lie in [0, 1]."""
    positive, prob = check_scores(
        y_true, y_prob, pos_label, both_classes=both_classes, score_name="y_prob"
    )
    outside = (prob < -ROUNDING) | (prob > 1 + ROUNDING)
    if outside.any():
        first = int(np.argmax(outside))
        raise ValueError(
            f"y_prob[{first}] is {prob[first]:.9g}, and probabilities lie in [0, 1]; "
            "type predict_proba(X)[:, 1], not decision scores or logits"
        )
    return positive, np.clip(prob, 0, 1)


def check_labels(y_true: ArrayLike, pos_label: Any = None, *, both_classes: bool) -> BoolArray:
    """Return a mask of the positive labels; a `pos_label` of None means the larger label."""
    codes, labels = _factorize(y_true, "y_true")
    # As the labels: plain True and 1 instead of NumPy's.
    pos_label = pos_label.item() if isinstance(pos_label, np.generic) else pos_label
    if len(labels) > 2:
        shown = first_few(map(repr, labels))
        raise ValueError(f"y_true has {len(labels)} labels ({shown}), and 2 are allowed")
    if len(labels) == 1 and both_classes:
        raise ValueError(
            f"y_true holds only the label {labels[0]!r} ({len(codes)} patches), and both classes "
            "are needed; pass patches of both, or measure slides of one class with slide_table"
        )
    if pos_label is None:
        pos_label = _larger_label(labels)
    elif pos_label not in labels and (len(labels) == 2 or _differ_in_kind(pos_label, labels[0])):
        raise ValueError(f"pos_label={pos_label!r} is not in y_true; type one of {labels}")
    # Comparing the labels, at most two, keeps strings and objects as fast as numbers.
    return np.array([label == pos_label for label in labels], dtype=bool)[codes]


def check_groups(
    groups: ArrayLike | None, n_samples: int, name: str = "groups", *, of: str = "y_true"
) -> tuple[IntArray, list[Any]]:
    """Return the number of each patch's slide (or hospital), and the names of all of them.

    `of` names what has `n_samples` entries.
    """
    if groups is None:
        raise ValueError(
            f"{name} is None, and must hold one entry per patch, shape (n_samples,); type "
            f"{name}=bunch.{name}, as the data set gives it"
        )
    codes, names = _factorize(groups, name)
    check_length(codes, n_samples, name, of=of)
    return codes, names


def check_weights(sample_weight: ArrayLike | None, n_samples: int) -> FloatArray:
    """Return the weight of every patch; None means 1 for each."""
    if sample_weight is None:
        return np.ones(n_samples)
    weight = check_numbers(sample_weight, "sample_weight")
    check_length(weight, n_samples, "sample_weight")
    if (weight < 0).any() or not weight.any():
        raise ValueError(
            f"sample_weight lies between {weight.min():g} and {weight.max():g}, and must not be "
            "negative and not all zero; pass weights above 0, and 0 for patches to leave out"
        )
    return weight


def check_fraction(value: float, name: str, *, open_interval: bool = False) -> float:
    """Return the value, or raise ValueError unless it lies in [0, 1], or in (0, 1)."""
    check_scalar(value, name, Real)
    if not (0 < value < 1 if open_interval else 0 <= value <= 1):
        allowed = "between 0 and 1, ends excluded" if open_interval else "between 0 and 1"
        raise ValueError(f"{name}={value!r} must lie {allowed}; type for example {name}=0.95")
    return float(value)


def check_length(values: NDArray[Any], n_samples: int, name: str, *, of: str = "y_true") -> None:
    """Raise ValueError unless an array is as long as y_true, or what `of` names."""
    if len(values) != n_samples:
        lengths = f"{name} has {len(values)} entries and {of} has {n_samples}"
        raise ValueError(f"{lengths}; pass one per patch, in the same order")


def check_numbers(values: ArrayLike, name: str) -> FloatArray:
    """Return finite numbers of shape (n_samples,) as float64."""
    refuse_masked(values, f"values of {name}")
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(
            f"{name} has shape {array.shape}, and must have shape (n_samples,); for the output "
            "of predict_proba type predict_proba(X)[:, 1]"
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} has dtype {array.dtype}, and must hold real numbers; for scores type "
            "predict_proba(X)[:, 1], not predict(X)"
        )
    numbers = array.astype(np.float64)
    broken = ~np.isfinite(numbers)
    if broken.any():
        first = int(np.argmax(broken))
        raise ValueError(
            f"{name} has {broken.sum()} values that are not finite, the first one "
            f"{name}[{first}] = {numbers[first]}; every patch needs a finite number: replace the "
            "value or drop the patch"
        )
    return numbers


def _factorize(values: ArrayLike, name: str) -> tuple[IntArray, list[Any]]:
    """Return the place of every value among the sorted distinct values, and these."""
    refuse_masked(values, f"values of {name}")
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(
            f"{name} has shape {array.shape}, and must have shape (n_samples,) with at least one "
            f"sample; a column of shape (n_samples, 1) fits after {name}.ravel()"
        )
    # Unlike np.unique, pandas takes objects and marks every kind of missing value with -1.
    codes, names = pd.factorize(array, sort=True)
    # As an array, a list of text spells a missing value "nan".
    listed = isinstance(values, list | tuple)
    missing = pd.isna(np.array(values, dtype=object)) if listed else codes < 0
    if missing.any():
        raise ValueError(
            f"{name} has {missing.sum()} missing values, the first one {name}"
            f"[{int(np.argmax(missing))}]; every patch needs one: fill it in or drop the patch"
        )
    # Python's own types read better in messages than np.int64(1) and np.str_('tumour').
    return codes, np.asarray(names).tolist()


def _differ_in_kind(label: Any, other: Any) -> bool:
    """Return True unless both are text, or both are numbers."""
    both = (label, other)
    if all(isinstance(part, Real) for part in both):
        return label != label  # NaN
    return not all(isinstance(part, str) for part in both)


def _larger_label(labels: list[Any]) -> Any:
    if len(labels) == 2:
        return labels[1]
    # Labels of 0 and 1 tell the positive class even where only one of them occurs.
    if labels[0] in (0, 1):
        return 1
    raise ValueError(
        f"y_true holds only the label {labels[0]!r}, so the positive label is unknown; "
        f"type pos_label={labels[0]!r} or the name of the other label"
    )

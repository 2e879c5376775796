"""Checks of what a classifier trains on and of what it gives; none changes its input."""

from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from pcam_sklearn._masked import refuse_masked
from pcam_sklearn._messages import first_few


def convert_labels(y: Any) -> np.ndarray:
    """Return y as a 1-D array of at most two classes."""
    if y is None:
        raise ValueError("This classifier requires y to be passed, but the target y is None.")
    refuse_masked(y, "labels")
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    kind = type_of_target(y, input_name="y")
    if kind != "binary":
        raise ValueError(
            f"Only binary classification is supported. The type of the target is {kind}; "
            f"pass labels of two classes, got {_listed(np.unique(y))}."
        )
    return y


def encode_labels(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the place of each label in the two sorted `classes`, 0 or 1."""
    require_two_classes(classes)
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y holds the labels {_listed(unknown)}, but the classes are {_listed(classes)}; "
            "fit a clone of the classifier to train on other classes, and name all of them in "
            "classes= of partial_fit."
        )
    return np.searchsorted(classes, y)


def require_two_classes(classes: np.ndarray) -> None:
    """Raise ValueError unless there are two classes."""
    if len(classes) != 2:
        held = "one class alone" if len(classes) == 1 else f"{len(classes)} classes"
        raise ValueError(
            f"A classifier needs two classes, but the patches of nonzero weight hold {held}, "
            f"{_listed(classes)}; pass patches of both (partial_fit takes them as classes=...)."
        )


def convert_weights(
    codes: np.ndarray, classes: np.ndarray, sample_weight: Any, class_weight: Any
) -> np.ndarray | None:
    """Return the product of both kinds of weights as float32, or None where neither is given."""
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(codes))
    if sample_weight is not None:
        refuse_masked(sample_weight, "weights")
        if not np.asarray(sample_weight).ndim:
            raise ValueError(f"sample_weight is {sample_weight!r}, and must have 1 dimension.")
        weights = _non_negative(sample_weight, "sample_weight")
    if weights.shape != codes.shape:
        raise ValueError(
            f"sample_weight.shape == {weights.shape}, expected {codes.shape}: one weight per patch."
        )
    if class_weight is not None:
        # As in scikit-learn, "balanced" counts each patch by its own weight.
        totals = np.bincount(codes, weights, minlength=2)
        weights = weights * _weights_of_classes(totals, classes, class_weight)[codes]
    if not weights.any() or weights.max() > np.finfo(np.float32).max:
        raise ValueError(
            "Weights must not be zero for all patches, and finite in single precision; "
            f"sample_weight and class_weight give {weights.min():g} to {weights.max():g}."
        )
    return weights.astype(np.float32)


def checked_probabilities(output: np.ndarray) -> np.ndarray:
    """Return a network's output in [0, 1], or raise ValueError for NaN, or values outside."""
    n_nan = int(np.isnan(output).any(axis=1).sum())
    if n_nan:
        raise ValueError(
            f"The network gives NaN for {n_nan:,} of {len(output):,} patches, as after a training "
            "that diverged; fit it again with a smaller learning_rate, or with "
            "dtype_policy='float32'."
        )
    rounding = 1e-6
    wrong = output[(output < -rounding) | (output > 1 + rounding)]
    if len(wrong):
        raise ValueError(
            f"The network gives {wrong[0]:g}, which is no probability; it must end in one, for "
            "instance Dense(1, activation='sigmoid')."
        )
    return np.clip(output, 0, 1)  # A mean of 32 bits may be off by its last digit.


def _non_negative(values: Any, name: str) -> np.ndarray:
    return check_array(
        values, dtype=np.float64, ensure_2d=False, ensure_non_negative=True, input_name=name
    )


def _weights_of_classes(totals: np.ndarray, classes: np.ndarray, class_weight: Any) -> np.ndarray:
    """Return the weight of each class; as in scikit-learn, a class not named has weight 1."""
    labels = classes.tolist()
    if isinstance(class_weight, str) and class_weight == "balanced":
        share = totals * len(totals) / totals.sum()
        return np.divide(1, share, out=np.zeros_like(share), where=share > 0)
    if not isinstance(class_weight, dict):
        raise ValueError(
            "class_weight must be a dict {label: weight}, 'balanced' or None, got "
            f"{class_weight!r}."
        )
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise ValueError(f"class_weight names {unknown}, but the classes are {labels}.")
    return _non_negative([class_weight.get(label, 1.0) for label in labels], "class_weight")


def _listed(labels: np.ndarray) -> str:
    return f"[{first_few(map(repr, labels.tolist()))}]"

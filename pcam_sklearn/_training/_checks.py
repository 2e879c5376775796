"""Checks of what a classifier is trained on; each raises, and none changes its input."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target


def check_labels(y: Any) -> np.ndarray:
    """Return y as a 1-D array of at most two classes.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.

    Returns
    -------
    y : ndarray of shape (n_samples,)
        The labels.

    Raises
    ------
    ValueError
        If y is None, not 1-D, continuous, incomplete, or of more than two classes.
    """
    if y is None:
        raise ValueError("This classifier requires y to be passed, but the target y is None.")
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
    """Return each label's place in `classes`, 0 or 1.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
    classes : ndarray
        The sorted labels there are.

    Returns
    -------
    codes : ndarray of shape (n_samples,)
        int.

    Raises
    ------
    ValueError
        If there are not two classes, or y holds another label.
    """
    check_two(classes)
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y holds the labels {_listed(unknown)}, but the classes are {_listed(classes)}; "
            "fit a clone of the classifier to train on other classes."
        )
    return np.searchsorted(classes, y)


def check_two(classes: np.ndarray) -> None:
    """Raise if there are not two classes.

    Parameters
    ----------
    classes : ndarray
        The labels there are.

    Raises
    ------
    ValueError
        If there are fewer or more than two.
    """
    if len(classes) != 2:
        held = "one class alone" if len(classes) == 1 else f"{len(classes)} classes"
        raise ValueError(
            f"A classifier needs two classes, but the patches of nonzero weight hold {held}, "
            f"{_listed(classes)}; pass patches of both (partial_fit takes them as classes=...)."
        )


def check_weights(
    codes: np.ndarray, classes: np.ndarray, sample_weight: Any, class_weight: Any
) -> np.ndarray | None:
    """Return the product of both kinds of weights, or None where there are none.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Each label's place in `classes`.
    classes : ndarray of shape (2,)
        The labels there are.
    sample_weight : array-like of shape (n_samples,) or None
        Weights of the patches.
    class_weight : dict, "balanced" or None
        Weights of the classes.

    Returns
    -------
    weights : ndarray of shape (n_samples,) or None
        float32, a new array.

    Raises
    ------
    ValueError
        If the weights have another shape, are negative, not finite, or all 0; if `class_weight`
        is none of the above or names a label that there is not.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(codes))
    if sample_weight is not None:
        weights = _non_negative(sample_weight, "sample_weight")
    if weights.shape != codes.shape:
        raise ValueError(
            f"sample_weight.shape == {weights.shape}, expected {codes.shape}: one weight a patch."
        )
    if class_weight is not None:
        totals = np.bincount(codes, weights, minlength=2)
        weights = weights * _weights_of_classes(totals, classes, class_weight)[codes]
    if not weights.any() or weights.max() > np.finfo(np.float32).max:
        raise ValueError(
            "Weights must not be zero for all patches, and finite in single precision; "
            f"sample_weight and class_weight give {weights.min():g} to {weights.max():g}."
        )
    return weights.astype(np.float32)


def _non_negative(values: Any, name: str) -> np.ndarray:
    return check_array(
        values, dtype=np.float64, ensure_2d=False, ensure_non_negative=True, input_name=name
    )


def _weights_of_classes(totals: np.ndarray, classes: np.ndarray, class_weight: Any) -> np.ndarray:
    """Return the weight of each class; as in scikit-learn, one that is not named weighs 1."""
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
    values = labels.tolist()
    return f"{values[:5]}" if len(values) <= 5 else f"{values[:5]} and {len(values) - 5} more"


def check_groups(groups: Any) -> np.ndarray | None:
    """Return the slide of each patch as a 1-D array, or None where they are not known.

    Parameters
    ----------
    groups : array-like of shape (n_samples,), or None
        The slides.

    Returns
    -------
    groups : ndarray of shape (n_samples,) or None
        The slides.

    Raises
    ------
    ValueError
        If there is not one slide a patch, or one is None or NaN.
    """
    if groups is None:
        return None
    slides = np.asarray(groups)
    if slides.ndim != 1:
        raise ValueError(
            f"groups must hold one slide for each patch, in 1-D; got shape {slides.shape}."
        )
    unknown = int(pd.isna(slides).sum())
    if unknown:
        raise ValueError(
            f"groups has no slide for {unknown} of {len(slides)} patches; give each its slide, a "
            "slide of its own if it is not known, or pass no groups."
        )
    return slides


def check_probabilities(output: np.ndarray) -> None:
    """Raise if a network's output is none.

    Parameters
    ----------
    output : ndarray
        What it gave; NaN, of a training that diverged, is left to be seen.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1].
    """
    rounding = 1e-6
    wrong = output[(output < -rounding) | (output > 1 + rounding)]
    if len(wrong):
        raise ValueError(
            f"The network gives {wrong[0]:g}, which is no probability; it must end in one, for "
            "instance Dense(1, activation='sigmoid')."
        )

"""Checks of what a classifier is trained on; each raises, and none changes its input."""

from typing import Any

import numpy as np
from sklearn.utils import check_array, column_or_1d, compute_sample_weight
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
    if len(classes) != 2:
        raise ValueError(
            f"A classifier needs two classes, but y holds one class alone, {_listed(classes)}; pass "
            "patches of both classes (partial_fit takes them all as classes=...)."
        )
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y holds the labels {_listed(unknown)}, but the classes are {_listed(classes)}; "
            "fit a clone of the classifier to train on other classes."
        )
    return np.searchsorted(classes, y)


def check_weights(y: np.ndarray, sample_weight: Any, class_weight: Any) -> np.ndarray | None:
    """Return the product of both kinds of weights, or None where there are none.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
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
        If the weights have another shape, are negative, not finite, or all 0.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = compute_sample_weight(class_weight, y)
    if sample_weight is not None:
        sample_weight = check_array(
            sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
        )
        if sample_weight.shape != y.shape:
            raise ValueError(
                f"sample_weight.shape == {sample_weight.shape}, expected {y.shape}: "
                "one weight a patch."
            )
        weights = weights * sample_weight
    if weights.min() < 0 or not weights.any():
        raise ValueError(
            "Weights must be at least zero and not zero for all patches; sample_weight and "
            f"class_weight give {weights.min():g} to {weights.max():g}."
        )
    return weights.astype(np.float32)


def _listed(labels: np.ndarray) -> str:
    values = labels.tolist()
    return f"{values[:5]}" if len(values) <= 5 else f"{values[:5]} and {len(values) - 5} more"

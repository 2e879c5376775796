"""Checks of what a classifier is trained on; each raises, and none changes its input."""

from typing import Any

import numpy as np
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
    if len(classes) != 2:
        raise ValueError(
            f"A classifier needs two classes with patches of nonzero weight, got the classes "
            f"{_listed(classes)}; pass patches of both (partial_fit takes them as classes=...)."
        )
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y holds the labels {_listed(unknown)}, but the classes are {_listed(classes)}; "
            "fit a clone of the classifier to train on other classes."
        )
    return np.searchsorted(classes, y)


def check_weights(
    y: np.ndarray, classes: np.ndarray, sample_weight: Any, class_weight: Any
) -> np.ndarray | None:
    """Return the product of both kinds of weights, or None where there are none.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels.
    classes : ndarray
        The sorted labels there are.
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
    weights = np.ones(len(y)) if sample_weight is None else _one_a_patch(sample_weight, y)
    if class_weight is not None:
        weights = weights * _weights_of_labels(y, classes, weights, class_weight)
    if weights.min() < 0 or not weights.any() or weights.max() > np.finfo(np.float32).max:
        raise ValueError(
            "Weights must be at least zero, not zero for all patches, and finite in single "
            f"precision; sample_weight and class_weight give {weights.min():g} to "
            f"{weights.max():g}."
        )
    return weights.astype(np.float32)


def _one_a_patch(sample_weight: Any, y: np.ndarray) -> np.ndarray:
    weights = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weights.shape != y.shape:
        raise ValueError(
            f"sample_weight.shape == {weights.shape}, expected {y.shape}: one weight a patch."
        )
    return weights


def _weights_of_labels(
    y: np.ndarray, classes: np.ndarray, weights: np.ndarray, class_weight: Any
) -> np.ndarray:
    """Return the class weight of each label; as in scikit-learn, an unnamed class weighs 1."""
    codes, labels = np.searchsorted(classes, y), classes.tolist()
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(codes, weights, minlength=len(classes))
        return (totals.sum() / (len(classes) * np.maximum(totals, np.finfo(float).tiny)))[codes]
    if not isinstance(class_weight, dict):
        raise ValueError(
            "class_weight must be a dict {label: weight}, 'balanced' or None, got "
            f"{class_weight!r}."
        )
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise ValueError(f"class_weight names {unknown}, but the classes are {labels}.")
    values = [class_weight.get(label, 1.0) for label in labels]
    return check_array(values, dtype=np.float64, ensure_2d=False, input_name="class_weight")[codes]


def _listed(labels: np.ndarray) -> str:
    values = labels.tolist()
    return f"{values[:5]}" if len(values) <= 5 else f"{values[:5]} and {len(values) - 5} more"

"""Sensitivity and specificity at thresholds, and predictive values."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve

from pcam_sklearn.metrics._inputs import check_fraction, check_scores, check_weights
from pcam_sklearn.metrics._types import BoolArray, FloatArray

# Rates are quotients in floating point: 1 - 9/10 is a little less than 0.1.
ROUNDING = 1e-12


class PredictiveValues(NamedTuple):
    """The probability of the class that the test's answer names.

    Attributes
    ----------
    ppv, npv : float or ndarray
        Positive and negative predictive value; nan if the test never gives that answer.
    """

    ppv: Any
    npv: Any


def sensitivity_at_specificity(
    y_true: ArrayLike,
    y_score: ArrayLike,
    specificity: float = 0.95,
    *,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Compute the highest sensitivity of all thresholds with at least this specificity.

    Parameters
    ----------
    y_true, y_score : array-like of shape (n_samples,)
        Two classes, as numbers, booleans or strings; scores that grow with the positive one.
    specificity : float, default=0.95
        Lowest specificity allowed, in [0, 1].
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each patch; None gives every patch the same weight.
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    float
        The sensitivity, in [0, 1]. It is optimistic, because the threshold is chosen on the same
        patches; for an honest figure choose it on others with :func:`choose_operating_point`.

    Raises
    ------
    ValueError
        If there is one class, a value is missing, lengths differ, or `specificity` is no share.

    Examples
    --------
    >>> from pcam_sklearn.metrics import sensitivity_at_specificity
    >>> sensitivity_at_specificity([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], specificity=0.5)
    1.0
    """
    rates = _best_rates(y_true, y_score, "specificity", specificity, sample_weight, pos_label)
    return rates[0]


def specificity_at_sensitivity(
    y_true: ArrayLike,
    y_score: ArrayLike,
    sensitivity: float = 0.9,
    *,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Compute the highest specificity of all thresholds with at least this sensitivity.

    Parameters
    ----------
    y_true, y_score : array-like of shape (n_samples,)
        As in :func:`sensitivity_at_specificity`.
    sensitivity : float, default=0.9
        Lowest sensitivity allowed, in [0, 1].
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each patch; None gives every patch the same weight.
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    float
        The specificity, in [0, 1], as optimistic as :func:`sensitivity_at_specificity`.

    Raises
    ------
    ValueError
        If there is one class, a value is missing, lengths differ, or `sensitivity` is no share.

    Examples
    --------
    >>> from pcam_sklearn.metrics import specificity_at_sensitivity
    >>> specificity_at_sensitivity([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], sensitivity=0.9)
    0.5
    """
    rates = _best_rates(y_true, y_score, "sensitivity", sensitivity, sample_weight, pos_label)
    return rates[1]


def predictive_values(
    sensitivity: ArrayLike, specificity: ArrayLike, prevalence: ArrayLike
) -> PredictiveValues:
    """Compute positive and negative predictive value at a stated prevalence.

    Those who build a data set choose its share of positives: PCam's is about one half. Pass the
    prevalence of the place where the test will be used.

    Parameters
    ----------
    sensitivity, specificity, prevalence : float or array-like
        Rates of the test, and the share of positives, in [0, 1]; arrays broadcast.

    Returns
    -------
    PredictiveValues
        Floats, or arrays of the broadcast shape; nan if the test never gives that answer.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1].

    References
    ----------
    Altman, Bland (1994), Diagnostic tests 2: predictive values, BMJ 309:102.

    Examples
    --------
    >>> from pcam_sklearn.metrics import predictive_values
    >>> ppv, npv = predictive_values(231 / 258, 54 / 86, 0.25)  # Altman and Bland's liver scan
    >>> print(f"{ppv:.2f} {npv:.2f}")
    0.45 0.95
    """
    rates = {"sensitivity": sensitivity, "specificity": specificity, "prevalence": prevalence}
    sens, spec, prev = (_check_rates(value, name) for name, value in rates.items())
    ppv = _share(sens * prev, (1 - spec) * (1 - prev))
    return PredictiveValues(ppv, npv=_share(spec * (1 - prev), (1 - sens) * prev))


def _best_rates(
    y_true: ArrayLike, y_score: ArrayLike, name: str, target: float, weight: Any, pos_label: Any
) -> tuple[float, float]:
    positive, score = check_scores(y_true, y_score, pos_label)
    weight = check_weights(weight, len(score))
    return best_threshold(positive, score, weight, name, check_fraction(target, name))[1]


def best_threshold(
    positive: BoolArray, score: FloatArray, weight: FloatArray, name: str, target: float
) -> tuple[float, tuple[float, float]]:
    """Return the best threshold at which the rate `name` is on target, and both its rates."""
    if not (weight[positive].any() and weight[~positive].any()):
        raise ValueError("sample_weight is zero for a whole class; pass weights for both classes")
    # Dropped points lie between the kept ones, and one of them may be the best threshold.
    fpr, tpr, thresholds = roc_curve(positive, score, sample_weight=weight, drop_intermediate=False)
    if name == "specificity":
        # Among thresholds of the same sensitivity, the first has the highest specificity.
        last = np.searchsorted(fpr, 1 - target + ROUNDING, side="right") - 1
        index = np.searchsorted(tpr, tpr[last], side="left")
    else:
        # Among thresholds of the same specificity, the last has the highest sensitivity.
        first = np.searchsorted(tpr, target - ROUNDING, side="left")
        index = np.searchsorted(fpr, fpr[first], side="right") - 1
    return float(thresholds[index]), (float(tpr[index]), float(1 - fpr[index]))


def _check_rates(value: ArrayLike, name: str) -> FloatArray:
    rates = np.asarray(value, dtype=np.float64)
    if not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(f"{name}={value!r} must lie between 0 and 1; for 90 % type {name}=0.9")
    return rates


def _share(part: FloatArray, rest: FloatArray) -> Any:
    """Return the share of a part in the whole, nan where the whole is zero."""
    whole = part + rest
    share = np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)
    return float(share) if share.ndim == 0 else share

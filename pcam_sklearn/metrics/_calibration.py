"""The distance between predicted probabilities and observed shares."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from pcam_sklearn.metrics._inputs import check_probabilities, check_weights
from pcam_sklearn.metrics._types import FloatArray


def expected_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: Literal["uniform", "quantile"] = "uniform",
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Measure the expected calibration error (ECE) of the positive class's probability.

    Patches are binned by their probability. The error is the mean over patches of the distance
    between a bin's mean probability and its share of positives. It sums up the curve of
    scikit-learn's ``CalibrationDisplay``; see also its ``brier_score_loss`` and ``log_loss``.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Two classes, as numbers, booleans or strings; one class alone is allowed.
    y_prob : array-like of shape (n_samples,)
        Probability of the positive class, in [0, 1].
    n_bins : int, default=15
        Number of bins, at least 1.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal numbers of patches (unweighted).
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each patch; None gives every patch the same weight.
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    float
        The error, in [0, 1]; 0 is best. Even for perfect probabilities it grows with the number
        of bins and shrinks with the number of patches: compare it at equal numbers only.

    Raises
    ------
    ValueError
        If a probability is outside [0, 1] or missing, lengths differ, or the strategy is unknown.

    References
    ----------
    Naeini, Cooper, Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian
    binning, AAAI. Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks,
    ICML: 15 bins. They bin the predicted class's probability, this function the positive class's.

    Examples
    --------
    >>> from pcam_sklearn.metrics import expected_calibration_error
    >>> print(f"{expected_calibration_error([0, 0, 1, 1], [0.1, 0.1, 0.6, 0.6]):.2f}")
    0.25
    """
    positive, prob = check_probabilities(y_true, y_prob, pos_label)
    weight = check_weights(sample_weight, len(prob))
    edges = _inner_edges(prob, n_bins, strategy)
    bins = np.searchsorted(edges, prob)
    # A bin's mean probability less its share of positives, times its weight, is one sum.
    gaps = np.bincount(bins, weights=weight * (prob - positive), minlength=n_bins)
    return float(np.abs(gaps).sum() / weight.sum())


def _inner_edges(prob: FloatArray, n_bins: int, strategy: str) -> FloatArray:
    check_scalar(n_bins, "n_bins", Integral)
    if n_bins < 1:
        raise ValueError(f"n_bins={n_bins} must be at least 1; type n_bins=15")
    # 0 and 1 are no edges: a probability of exactly 0 would otherwise get a bin of its own.
    parts = np.linspace(0, 1, n_bins + 1)[1:-1]
    if strategy == "uniform":
        return parts
    if strategy == "quantile":
        return np.quantile(prob, parts)
    allowed = "strategy='uniform' or strategy='quantile'"
    raise ValueError(f"strategy={strategy!r} is unknown; type {allowed}")

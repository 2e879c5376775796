"""The ROC curve with a band that respects slides."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pcam_sklearn.metrics._bootstrap import count_slides, draw_slides
from pcam_sklearn.metrics._inputs import check_fraction, check_scores
from pcam_sklearn.metrics._interval import fewest_effective_slides, resampling_interval
from pcam_sklearn.metrics._types import BoolArray, FloatArray, RandomState


@dataclass(frozen=True)
class RocBand:
    """A ROC curve on a grid of false positive rates, with its band.

    Attributes
    ----------
    fpr, tpr : ndarray of shape (n_points,)
        The curve of all patches.
    low, high : ndarray of shape (n_points,)
        The band: an interval of each true positive rate. Both ends rise, as the curve does.
    confidence : float
        Confidence level of each of these intervals, in (0, 1).
    """

    fpr: FloatArray
    tpr: FloatArray
    low: FloatArray
    high: FloatArray
    confidence: float


def roc_band(
    y_true: ArrayLike,
    y_score: ArrayLike,
    groups: ArrayLike,
    *,
    fpr: ArrayLike | None = None,
    n_rounds: int = 1000,
    confidence: float = 0.95,
    random_state: RandomState = None,
    pos_label: Any = None,
) -> RocBand:
    """Compute the ROC curve, with a pointwise band from resampled slides.

    At ``fpr=[0.05]`` it is the interval of the sensitivity at 95 % specificity, with a new
    threshold in every round.

    Parameters
    ----------
    y_true, y_score, groups : array-like of shape (n_samples,)
        As in :func:`auc_cluster_bootstrap`.
    fpr : array-like of shape (n_points,), default=None
        Increasing false positive rates, in [0, 1]; None takes 201 equally spaced ones.
    n_rounds : int, default=1000
        Number of rounds, at least 100.
    confidence : float, default=0.95
        Confidence level of the interval at each false positive rate, in (0, 1).
    random_state : int, Generator, RandomState or None, default=None
        As in :func:`auc_cluster_bootstrap`.
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    RocBand
        The curve, linear between its steps as ``RocCurveDisplay`` draws it, and its band, by the
        method of :func:`auc_cluster_bootstrap` at each rate. The true curve rises, so a lower end
        also bounds all larger rates, and an upper end all smaller ones.

    Raises
    ------
    ValueError
        As in :func:`auc_cluster_bootstrap`, and if a rate lies outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.metrics import roc_band
    >>> rng = np.random.default_rng(0)
    >>> y, slide = rng.random(1200) < 0.4, np.repeat(np.arange(30), 40)
    >>> score = 2 * y + rng.normal(size=1200)
    >>> band = roc_band(y, score, slide, fpr=[0.05, 0.5], random_state=0)
    >>> print(band.tpr.round(2), band.low.round(2), band.high.round(2))
    [0.58 0.98] [0.52 0.94] [0.63 0.99]
    """
    confidence = check_fraction(confidence, "confidence", open_interval=True)
    grid = _check_grid(np.linspace(0, 1, 201) if fpr is None else fpr)
    positive, score = check_scores(y_true, y_score, pos_label)
    codes, n_positive, n_negative = count_slides(positive, groups)
    order = np.argsort(-score, kind="stable")
    curve, slide = _Curve(positive[order], score[order]), codes[order]
    tpr = curve.at(grid, np.ones(len(score)))
    drawn = draw_slides(n_positive, n_negative, n_rounds, random_state)
    rounds = np.stack([curve.at(grid, counts[slide]) for counts in drawn])
    n_effective = fewest_effective_slides(n_positive, n_negative)
    ends = resampling_interval(tpr, rounds, n_effective, confidence, 0.5 / n_positive.sum())
    return RocBand(grid, tpr, *_rising(grid, *ends), confidence)


def _rising(grid: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the band, made to rise with the false positive rate."""
    # Every curve ends in (1, 1): there is nothing to estimate.
    low, high = np.where(grid == 1, 1.0, low), np.where(grid == 1, 1.0, high)
    # Where all positives are found, the rounds do not vary and the interval is as wide as the
    # number of slides allows. A smaller rate has already shown that most positives are found.
    return np.maximum.accumulate(low), np.minimum.accumulate(high[::-1])[::-1]


class _Curve:
    """The ROC curve of patches sorted by falling score, for any weights of the patches."""

    def __init__(self, positive: BoolArray, score: FloatArray) -> None:
        self.positive = positive
        # A threshold cannot part equal scores, so the curve has a vertex after the last of each.
        self.last_of_ties = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)

    def at(self, grid: FloatArray, weight: FloatArray) -> FloatArray:
        """Return the true positive rates at these false positive rates."""
        both = np.cumsum(weight)[self.last_of_ties]
        true = np.cumsum(weight * self.positive)[self.last_of_ties]
        tpr = np.concatenate([[0.0], true / true[-1]])
        fpr = np.concatenate([[0.0], (both - true) / (both - true)[-1]])
        # Where the curve rises vertically, its upper end counts, hence the last vertex there.
        left = np.searchsorted(fpr, grid, side="right") - 1
        right = np.minimum(left + 1, len(fpr) - 1)
        width = fpr[right] - fpr[left]
        share = np.divide(grid - fpr[left], width, out=np.zeros_like(grid), where=width > 0)
        return tpr[left] + share * (tpr[right] - tpr[left])


def _check_grid(fpr: ArrayLike) -> FloatArray:
    grid = np.atleast_1d(np.asarray(fpr, dtype=np.float64))
    if grid.ndim != 1 or len(grid) == 0 or not ((grid >= 0) & (grid <= 1)).all():
        raise ValueError(
            f"fpr={fpr!r} must hold rates between 0 and 1 in one dimension; type for example "
            "fpr=[0.05, 0.1]"
        )
    if (np.diff(grid) < 0).any():
        raise ValueError(f"fpr={fpr!r} must increase; type fpr=sorted(...)")
    return grid

"""Confidence intervals that keep their promise with few slides of unequal size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from pcam_sklearn.metrics._types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate : float
        The metric of all patches.
    low, high : float
        Ends of the interval.
    confidence : float
        Probability with which such intervals cover the true value, in (0, 1).

    Examples
    --------
    >>> from pcam_sklearn.metrics import Interval
    >>> print(Interval(0.9134, 0.8712, 0.9427))
    0.913 (95 % CI 0.871 to 0.943)
    """

    estimate: float
    low: float
    high: float
    confidence: float = 0.95

    def __str__(self) -> str:
        """Return the interval as a table shows it."""
        level = f"{100 * self.confidence:g} % CI"
        return f"{self.estimate:.3f} ({level} {self.low:.3f} to {self.high:.3f})"


def effective_slides(n_patches: ArrayLike) -> float:
    """Return Kish's number of equal slides that say as much as these unequal ones."""
    sizes = np.asarray(n_patches, dtype=np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def fewest_effective_slides(n_positive: FloatArray, n_negative: FloatArray) -> float:
    """Return the effective number of slides of the class where it is smaller."""
    return min(effective_slides(n_positive), effective_slides(n_negative))


def count_by_slide(
    positive: BoolArray, codes: IntArray, n_slides: int
) -> tuple[FloatArray, FloatArray]:
    """Return the numbers of positive and negative patches per slide."""
    n_positive, n_negative = (np.bincount(codes, m, n_slides) for m in (positive, ~positive))
    return n_positive.astype(np.float64), n_negative.astype(np.float64)


def check_slides_per_class(n_positive: FloatArray, n_negative: FloatArray) -> None:
    """Raise ValueError unless both classes come from two or more slides."""
    for name, counts in (("positive", n_positive), ("negative", n_negative)):
        if (slides := int((counts > 0).sum())) < 2:
            raise ValueError(
                f"{name} patches come from {slides} of {len(counts)} slides, and at least 2 are "
                "needed to see how slides differ; add slides, or report the estimate alone"
            )


def resampling_interval(
    estimate: ArrayLike, rounds: ArrayLike, n_effective: float, confidence: float, step: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the intervals that the notes of `auc_cluster_bootstrap` describe."""
    value = np.atleast_1d(np.asarray(estimate, dtype=np.float64))
    draws = np.asarray(rounds, dtype=np.float64).reshape(-1, len(value))
    # The logit of 0 or 1 is infinite, so both are moved inside by the finest step of the value.
    center = special.logit(np.clip(value, step, 1 - step))
    spread = special.logit(np.clip(draws, step, 1 - step)).std(axis=0, ddof=1)
    half = student_width(n_effective, confidence) * spread
    low, high = special.expit(center - half), special.expit(center + half)
    # Rounds of an estimate of 0 or 1 never vary; Clopper and Pearson's limit needs no spread.
    edge = ((1 - confidence) / 2) ** (1 / n_effective)
    low = np.where(value >= 1, edge, np.where(value <= 0, 0.0, low))
    high = np.where(value <= 0, 1 - edge, np.where(value >= 1, 1.0, high))
    # An estimate nearer than `step` to 0 or 1 was moved too, and must lie in its interval again.
    return np.minimum(low, value), np.maximum(high, value)


def logit_interval(
    estimate: float, rounds: FloatArray, n_effective: float, confidence: float, step: float
) -> Interval:
    """Return one value in [0, 1] with the interval that `resampling_interval` gives it."""
    low, high = resampling_interval(estimate, rounds, n_effective, confidence, step)
    return Interval(float(estimate), float(low[0]), float(high[0]), confidence)


def student_width(n_effective: float, confidence: float) -> float:
    """Return the number of standard deviations on either side of the estimate."""
    freedom = n_effective - 1
    quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    # A class that lies almost wholly on one slide would make this infinite, and infinity times a
    # spread of zero is nan.
    return float(min(quantile * np.sqrt(n_effective / freedom), 1e6))

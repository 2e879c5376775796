"""Confidence intervals that stay honest with few slides of unequal size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from pcam_sklearn.metrics._inputs import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate : float
        The metric on the patches as they are.
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
        """Return the interval as it stands in a table."""
        level = f"{100 * self.confidence:g} % CI"
        return f"{self.estimate:.3f} ({level} {self.low:.3f} to {self.high:.3f})"


def effective_slides(n_patches: ArrayLike) -> float:
    """Return how many slides of equal size weigh as much as these (Kish)."""
    sizes = np.asarray(n_patches, dtype=np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def count_by_slide(
    positive: BoolArray, codes: IntArray, n_slides: int
) -> tuple[FloatArray, FloatArray]:
    """Return the number of positive and of negative patches of every slide."""
    n_positive = np.bincount(codes[positive], minlength=n_slides).astype(np.float64)
    n_negative = np.bincount(codes[~positive], minlength=n_slides).astype(np.float64)
    return n_positive, n_negative


def check_slides_per_class(n_positive: FloatArray, n_negative: FloatArray) -> None:
    """Raise where a class lives on one slide: nothing then shows how slides vary."""
    for name, counts in (("positive", n_positive), ("negative", n_negative)):
        if (slides := int((counts > 0).sum())) < 2:
            raise ValueError(
                f"{name} patches come from {slides} of {len(counts)} slides, and at least 2 are "
                "needed to see how slides differ; add slides, or report the estimate alone"
            )


def resampling_interval(
    estimate: ArrayLike, rounds: ArrayLike, n_effective: float, confidence: float, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of an interval for values of [0, 1], from their bootstrap rounds.

    On the logit scale the estimate plus and minus Student's t times the rounds' standard
    deviation, widened by sqrt(k / (k - 1)), with k - 1 degrees of freedom for `n_effective` k.
    Values of 0 and 1 count as `step` inside of them. An estimate of 0 or 1 gets the exact
    binomial limits of k trials, since rounds that never vary cannot tell anything.
    """
    value = np.atleast_1d(np.asarray(estimate, dtype=np.float64))
    draws = np.asarray(rounds, dtype=np.float64).reshape(-1, len(value))
    center = special.logit(np.clip(value, step, 1 - step))
    spread = special.logit(np.clip(draws, step, 1 - step)).std(axis=0, ddof=1)
    half = student_width(n_effective, confidence) * spread
    low, high = special.expit(center - half), special.expit(center + half)
    edge = ((1 - confidence) / 2) ** (1 / n_effective)
    low = np.where(value >= 1, edge, np.where(value <= 0, 0.0, low))
    high = np.where(value <= 0, 1 - edge, np.where(value >= 1, 1.0, high))
    # An estimate that is nearer than `step` to 0 or 1 was moved away from it.
    return np.minimum(low, value), np.maximum(high, value)


def student_width(n_effective: float, confidence: float) -> float:
    """Return the number of standard deviations on either side of the estimate."""
    freedom = n_effective - 1
    quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    # A class that lives almost wholly on one slide would give infinity, and infinity times a
    # spread of zero is no number.
    return float(min(quantile * np.sqrt(n_effective / freedom), 1e6))

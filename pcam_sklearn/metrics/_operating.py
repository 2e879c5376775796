"""Operating points: a threshold chosen on one set and frozen for another."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pcam_sklearn.metrics._bootstrap import count_slides, draw_slides
from pcam_sklearn.metrics._inputs import check_fraction, check_numbers, check_scores
from pcam_sklearn.metrics._interval import (
    Interval,
    count_by_slide,
    effective_slides,
    logit_interval,
)
from pcam_sklearn.metrics._thresholds import PredictiveValues, best_threshold, predictive_values
from pcam_sklearn.metrics._types import BoolArray, FloatArray, RandomState


@dataclass(frozen=True)
class OperatingResult:
    """The rates and counts of a frozen operating point on a set of patches.

    Attributes
    ----------
    sensitivity, specificity : Interval
        Shares of positive patches called positive, and of negative patches called negative.
    tp, fn, tn, fp : int
        Numbers of true positive, false negative, true negative and false positive patches.
    """

    sensitivity: Interval
    specificity: Interval
    tp: int
    fn: int
    tn: int
    fp: int

    def predictive_values(self, prevalence: float) -> PredictiveValues:
        """Return PPV and NPV at a stated prevalence.

        Parameters
        ----------
        prevalence : float or array-like of float
            Share of positive patches where the test will be used, in [0, 1].

        Returns
        -------
        values : PredictiveValues
            As :func:`predictive_values` returns them.
        """
        return predictive_values(self.sensitivity.estimate, self.specificity.estimate, prevalence)


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, the criterion it was chosen for, and the rates it reached there.

    Attributes
    ----------
    threshold : float
        Lowest score that is called positive; infinite if even the highest one misses the criterion.
    sensitivity, specificity : float
        Optimistic rates, of the patches that chose the threshold; `evaluate` measures others.
    criterion : str
        The criterion that the threshold meets, such as ``"specificity >= 0.95"``.

    Examples
    --------
    >>> from pcam_sklearn.metrics import choose_operating_point
    >>> point = choose_operating_point([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], specificity=1.0)
    >>> point
    OperatingPoint(threshold=0.8, sensitivity=0.5, specificity=1.0, criterion='specificity >= 1')
    >>> print(point.evaluate([0, 1, 1, 0, 1], [0.2, 0.9, 0.85, 0.3, 0.4]).sensitivity)
    0.667 (95 % CI 0.208 to 0.939)
    """

    threshold: float
    sensitivity: float
    specificity: float
    criterion: str

    def predict(self, y_score: ArrayLike) -> BoolArray:
        """Return which patches are called positive.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,)
            Scores that grow with the positive class.

        Returns
        -------
        positive : ndarray of shape (n_samples,), bool
            True where the score is at least the threshold.
        """
        return check_numbers(y_score, "y_score") >= self.threshold

    def evaluate(
        self,
        y_true: ArrayLike,
        y_score: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        n_rounds: int = 2000,
        confidence: float = 0.95,
        random_state: RandomState = None,
        pos_label: Any = None,
    ) -> OperatingResult:
        """Measure the frozen threshold on other patches.

        Parameters
        ----------
        y_true, y_score : array-like of shape (n_samples,)
            As in :func:`choose_operating_point`; scores on the scale of those chosen from.
        groups : array-like of shape (n_samples,), default=None
            The slide of each patch, for intervals from resampled slides. Without groups they are
            Wilson's, for independent patches: too narrow if patches share slides.
        n_rounds : int, default=2000
            Number of rounds, at least 100. Only used with groups.
        confidence : float, default=0.95
            Confidence level, in (0, 1).
        random_state : int, Generator, RandomState or None, default=None
            Seed of the draws. Only used with groups.
        pos_label : object, default=None
            The positive label; None takes the larger of the two sorted labels.

        Returns
        -------
        OperatingResult
            Rates with their intervals, which take the threshold as certain, and the four counts.

        Raises
        ------
        ValueError
            If there is one class only, a value is missing, lengths differ, or slides are too few.
        """
        confidence = check_fraction(confidence, "confidence", open_interval=True)
        positive, score = check_scores(y_true, y_score, pos_label)
        correct = self.predict(score) == positive
        if groups is None:
            rates = [_wilson(correct[mask], confidence) for mask in (positive, ~positive)]
        else:
            draws = {"n_rounds": n_rounds, "random_state": random_state}
            rates = _clustered_rates(positive, correct, groups, confidence, **draws)
        tp, tn = int((correct & positive).sum()), int((correct & ~positive).sum())
        fn, fp = int(positive.sum()) - tp, int((~positive).sum()) - tn
        return OperatingResult(rates[0], rates[1], tp, fn, tn, fp)


def choose_operating_point(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    specificity: float | None = None,
    sensitivity: float | None = None,
    pos_label: Any = None,
) -> OperatingPoint:
    """Choose a threshold on some slides, to freeze it and measure it on others.

    Parameters
    ----------
    y_true, y_score : array-like of shape (n_samples,)
        Two classes, as numbers, booleans or strings; scores that grow with the positive one.
    specificity, sensitivity : float, default=None
        Lowest rate allowed, in [0, 1]; pass one of the two. The threshold that keeps it and has
        the highest other rate is chosen.
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    OperatingPoint
        The threshold; its `evaluate` measures it on another set.

    Raises
    ------
    ValueError
        If not one criterion is given, there is one class, a value is missing, or lengths differ.

    Examples
    --------
    >>> from pcam_sklearn.metrics import choose_operating_point
    >>> choose_operating_point([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], sensitivity=0.9).threshold
    0.35
    """
    criteria = {"specificity": specificity, "sensitivity": sensitivity}
    given = [(name, value) for name, value in criteria.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            f"got specificity={specificity} and sensitivity={sensitivity}, and exactly one is "
            "needed; type specificity=0.95 or sensitivity=0.9"
        )
    positive, score = check_scores(y_true, y_score, pos_label)
    name, value = given[0]
    target = check_fraction(value, name)
    threshold, rates = best_threshold(positive, score, np.ones(len(score)), name, target)
    return OperatingPoint(threshold, *rates, criterion=f"{name} >= {target:g}")


def _wilson(correct: BoolArray, confidence: float) -> Interval:
    counted = stats.binomtest(int(correct.sum()), len(correct))
    ends = counted.proportion_ci(confidence, method="wilson")
    return Interval(float(correct.mean()), float(ends.low), float(ends.high), confidence)


def _clustered_rates(
    positive: BoolArray, correct: BoolArray, groups: ArrayLike, confidence: float, **draws: Any
) -> list[Interval]:
    """Return sensitivity and specificity with intervals, both from the same drawn slides."""
    codes, n_positive, n_negative = count_slides(positive, groups)
    totals = n_positive, n_negative
    # Counts per slide are all that a rate needs, so no round has to touch the patches again.
    hits = count_by_slide(positive[correct], codes[correct], len(n_positive))
    drawn = draw_slides(n_positive, n_negative, **draws)
    return [_rate(hit, total, drawn, confidence) for hit, total in zip(hits, totals, strict=True)]


def _rate(hit: FloatArray, total: FloatArray, drawn: FloatArray, confidence: float) -> Interval:
    rounds, n_patches = (drawn @ hit) / (drawn @ total), total.sum()
    # Only slides with patches of this class carry the rate, hence their own effective number.
    n_effective = effective_slides(total)
    # Half a patch: the distance from 0 or 1 that a rate of so many patches cannot resolve.
    return logit_interval(hit.sum() / n_patches, rounds, n_effective, confidence, 0.5 / n_patches)

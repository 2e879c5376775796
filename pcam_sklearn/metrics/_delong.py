"""DeLong's interval and test for the area under the ROC curve."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pcam_sklearn.metrics._inputs import check_fraction, check_groups, check_scores
from pcam_sklearn.metrics._interval import Interval, check_slides_per_class, count_by_slide
from pcam_sklearn.metrics._types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class DeLongTest:
    """Two areas under the ROC curve, compared on the same patches.

    Attributes
    ----------
    auc_a, auc_b : float
        The two areas.
    difference : Interval
        ``auc_a - auc_b`` with its interval.
    statistic : float
        The difference, divided by its standard error.
    pvalue : float
        Two-sided p value of the hypothesis that the areas are equal.
    df : float
        Degrees of freedom of the statistic: infinite without groups, which makes it normal.
    """

    auc_a: float
    auc_b: float
    difference: Interval
    statistic: float
    pvalue: float
    df: float


def auc_delong(
    y_true: ArrayLike, y_score: ArrayLike, *, confidence: float = 0.95, pos_label: Any = None
) -> Interval:
    """Measure the area under the ROC curve, with DeLong's interval.

    It assumes independent patches and is several times too narrow if patches share slides: then
    report that of :func:`auc_cluster_bootstrap`.

    Parameters
    ----------
    y_true, y_score : array-like of shape (n_samples,)
        Two classes, as numbers, booleans or strings; scores that grow with the positive one.
    confidence : float, default=0.95
        Confidence level, in (0, 1).
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    Interval
        The area and its interval, cut at 0 and 1. For perfectly separated classes the interval
        is a point, because the variance is estimated as zero; this does not mean certainty.

    Raises
    ------
    ValueError
        If a class has fewer than two patches, a value is missing, or lengths differ.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44:837. Sun, Xu (2014), Fast implementation
    of DeLong's algorithm, IEEE Signal Processing Letters 21:1389: by ranks, in n log n, as here.

    Examples
    --------
    >>> from pcam_sklearn.metrics import auc_delong
    >>> print(auc_delong([0, 0, 0, 1, 1, 1], [0.1, 0.4, 0.35, 0.8, 0.3, 0.9]))
    0.778 (95 % CI 0.291 to 1.000)
    """
    check_fraction(confidence, "confidence", open_interval=True)
    positive, score = check_scores(y_true, y_score, pos_label)
    areas, covariance = _covariance(positive, score[None], np.arange(len(score)))
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(covariance[0, 0])
    low, high = np.clip([areas[0] - half, areas[0] + half], 0, 1)
    return Interval(float(areas[0]), float(low), float(high), confidence)


def delong_test(
    y_true: ArrayLike,
    y_score_a: ArrayLike,
    y_score_b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    pos_label: Any = None,
) -> DeLongTest:
    """Compare the areas under the ROC curve of two models on the same patches.

    Parameters
    ----------
    y_true, y_score_a, y_score_b : array-like of shape (n_samples,)
        Labels as in :func:`auc_delong`, and scores of the two models for the same patches.
    groups : array-like of shape (n_samples,), default=None
        The slide of each patch. With groups, the variance is Obuchowski's for clustered data, and
        the statistic is Student's, with one degree of freedom less than the class with fewer
        slides has. Without groups, patches count as independent (DeLong): if they share slides,
        two equal models come out "significantly" different every second time.
    confidence : float, default=0.95
        Confidence level of the difference's interval, in (0, 1).
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    DeLongTest
        Both areas, their difference with its interval, statistic and p value.

    Raises
    ------
    ValueError
        If a class has fewer than two patches or slides, a value is missing, or lengths differ.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44:837; Obuchowski (1997), Biometrics 53:567.

    Examples
    --------
    >>> from pcam_sklearn.metrics import delong_test
    >>> a, b = [0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9], [0.3, 0.1, 0.6, 0.7, 0.2, 0.5, 0.8, 0.4]
    >>> result = delong_test([0, 0, 0, 0, 1, 1, 1, 1], a, b)
    >>> print(f"{result.auc_a:.4f} - {result.auc_b:.4f}, p = {result.pvalue:.3f}")
    0.9375 - 0.5625, p = 0.066
    """
    check_fraction(confidence, "confidence", open_interval=True)
    positive, score_a = check_scores(y_true, y_score_a, pos_label, score_name="y_score_a")
    _, score_b = check_scores(y_true, y_score_b, pos_label, score_name="y_score_b")
    codes, df = _clusters(positive, groups)
    areas, covariance = _covariance(positive, np.stack([score_a, score_b]), codes)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    # For two models that agree, rounding can leave a variance a little below zero.
    error = float(np.sqrt(max(float(variance), 0.0)))
    return _test_difference(areas, error, df, confidence)


def _test_difference(areas: FloatArray, error: float, df: float, confidence: float) -> DeLongTest:
    """Test two areas for equality, given the standard error of their difference."""
    auc_a, auc_b = map(float, areas)
    difference = auc_a - auc_b
    # A difference without an error is certain, so equality has no chance left.
    certain = 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
    statistic = difference / error if error else certain
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    low, high = max(difference - half, -1.0), min(difference + half, 1.0)
    interval = Interval(difference, low, high, confidence)
    pvalue = float(2 * stats.t.sf(abs(statistic), df))
    return DeLongTest(auc_a, auc_b, interval, statistic, pvalue, df)


def _clusters(positive: BoolArray, groups: ArrayLike | None) -> tuple[IntArray, float]:
    """Return the cluster of every patch and the degrees of freedom."""
    if groups is None:
        # Student's t with infinitely many degrees of freedom is the normal distribution.
        return np.arange(len(positive)), np.inf
    codes, names = check_groups(groups, len(positive))
    counts = count_by_slide(positive, codes, len(names))
    check_slides_per_class(*counts)
    return codes, float(min((count > 0).sum() for count in counts) - 1)


def _covariance(
    positive: BoolArray, scores: FloatArray, codes: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return areas and Obuchowski's covariance; with one cluster per patch it is DeLong's."""
    n_clusters = int(codes.max()) + 1
    counts = count_by_slide(positive, codes, n_clusters)
    _check_two_per_class(*counts)
    placed = [_placements(positive, score) for score in scores]
    areas = np.array([of_positives.mean() for of_positives, _ in placed])
    covariance = np.zeros((len(areas), len(areas)))
    sums = []
    for side, mask, count in zip((0, 1), (positive, ~positive), counts, strict=True):
        excess = np.stack([values[side] for values in placed]) - areas[:, None]
        shares = excess / mask.sum()
        by_cluster = np.stack([np.bincount(codes[mask], row, n_clusters) for row in shares])
        n_slides = int((count > 0).sum())
        # This factor makes a mean of n squared deviations an unbiased variance.
        covariance += n_slides / (n_slides - 1) * by_cluster @ by_cluster.T
        sums.append(by_cluster)
    # A slide's positives and negatives vary together; with one patch per cluster this is zero.
    cross = sums[0] @ sums[1].T
    return areas, covariance + n_clusters / (n_clusters - 1) * (cross + cross.T)


def _placements(positive: BoolArray, score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the share of negatives below each positive, and of positives above each negative."""
    # A rank among all less the rank within the own class counts the other class; ties count half.
    ranks = stats.rankdata(score)
    n_positive = int(positive.sum())
    n_negative = len(score) - n_positive
    of_positives = (ranks[positive] - stats.rankdata(score[positive])) / n_negative
    of_negatives = 1 - (ranks[~positive] - stats.rankdata(score[~positive])) / n_positive
    return of_positives, of_negatives


def _check_two_per_class(n_positive: FloatArray, n_negative: FloatArray) -> None:
    for name, count in (("positive", n_positive.sum()), ("negative", n_negative.sum())):
        if count < 2:
            raise ValueError(
                f"there is {count:.0f} {name} patch, and a variance needs at least 2; pass more "
                "patches, or report only the area, by roc_auc_score"
            )

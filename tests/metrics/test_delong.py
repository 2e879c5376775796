"""DeLong's interval and test, against exact fractions and published figures."""

from fractions import Fraction
from math import sqrt
from statistics import mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score
from support.work import lines_run, peak_bytes

from pcam_sklearn.metrics import auc_delong, delong_test

# Hanley, McNeil (1982), The meaning and use of the area under a ROC curve, Radiology 143:29,
# table I: CT images of 58 normal and 51 abnormal patients, rated from 1 to 5.
RATINGS_OF_NORMAL = (33, 6, 6, 11, 2)
RATINGS_OF_ABNORMAL = (3, 2, 2, 11, 33)

# DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44:837: patients with ovarian cancer; albumin,
# total protein, Krebs-Goplerud score (here 10 minus it), and whether surgery helped.
# fmt: off
ALBUMIN = [3.0, 3.2, 3.9, 2.8, 3.2, 0.9, 2.5, 1.6, 3.8, 3.7, 3.2, 3.8, 4.1, 3.6, 4.3, 3.6, 2.3,
    4.2, 4.0, 3.5, 3.8, 3.0, 4.5, 3.7, 3.1, 4.1, 4.3, 4.3, 3.2, 2.6, 3.3, 1.7, 3.7, 3.3, 4.2, 3.5,
    2.9, 2.1, 2.8, 4.0, 3.3, 3.7, 3.6]
PROTEIN = [5.8, 6.3, 6.8, 4.8, 5.8, 4.0, 5.7, 5.6, 5.7, 6.7, 5.4, 6.6, 6.6, 5.7, 7.0, 6.7, 4.4,
    7.6, 6.6, 5.8, 6.8, 4.7, 7.4, 7.4, 6.6, 8.2, 7.0, 6.5, 5.1, 4.7, 6.8, 4.0, 6.1, 6.3, 7.7, 6.2,
    5.7, 4.8, 6.2, 7.0, 5.7, 6.9, 6.6]
KREBS_GOPLERUD = [10, 5, 3, 6, 3, 5, 8, 5, 5, 6, 4, 6, 5, 5, 4, 4, 6, 4, 6, 6, 7, 8, 5, 5, 6, 6,
    5, 4, 5, 6, 6, 7, 5, 7, 6, 5, 9, 7, 8, 7, 6, 5, 5]
HELPED = [0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1,
    1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1]
# fmt: on


TESTS = [ALBUMIN, PROTEIN, [10 - value for value in KREBS_GOPLERUD]]


def exact_placements(y, score):
    """Share of the other class that every patch is rightly above or below, ties half."""

    def won(high, low):
        return Fraction(int(high > low)) + Fraction(int(high == low), 2)

    positive = [value for value, label in zip(score, y, strict=True) if label]
    negative = [value for value, label in zip(score, y, strict=True) if not label]
    return [
        sum(won(value, other) for other in negative) / len(negative)
        if label
        else sum(won(other, value) for other in positive) / len(positive)
        for value, label in zip(score, y, strict=True)
    ]


def exact_covariance(y, scores, clusters):
    """Areas and Obuchowski's covariance, in fractions and with every pair of patches in turn."""
    y, clusters = [bool(label) for label in y], list(clusters)
    names = sorted(set(clusters))
    placed = [exact_placements(y, score) for score in scores]
    areas = [mean(v for v, label in zip(values, y, strict=True) if label) for values in placed]

    def excess(model, label, name):
        rows = [i for i in range(len(y)) if y[i] == label and clusters[i] == name]
        return sum((placed[model][i] - areas[model] for i in rows), Fraction(0)) / y.count(label)

    def covariance(k, m):
        total = Fraction(0)
        for one in (True, False):
            for other in (True, False):
                n = len({c for c, label in zip(clusters, y, strict=True) if label == one})
                n = n if one == other else len(names)
                products = sum(excess(k, one, name) * excess(m, other, name) for name in names)
                total += Fraction(n, n - 1) * products
        return total

    models = range(len(scores))
    return areas, [[covariance(k, m) for m in models] for k in models]


def delong_variance_by_pairs(y, score):
    """DeLong's variance by placement values from the full matrix of pairs."""
    positive, negative = score[y == 1][:, None], score[y == 0][None]
    won = (positive > negative) + 0.5 * (positive == negative)
    of_positive, of_negative = won.mean(axis=1), won.mean(axis=0)
    variance = of_positive.var(ddof=1) / len(of_positive)
    return won.mean(), variance + of_negative.var(ddof=1) / len(of_negative)


def expand(counts):
    return np.repeat(np.arange(1, 6), counts)


two_models = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)),
    min_size=6,
    max_size=20,
).filter(
    lambda rows: all(
        len({slide for label, *_, slide in rows if label == wanted}) >= 2
        for wanted in (True, False)
    )
)


def test_the_interval_of_hanley_and_mcneils_ratings_is_the_published_one():
    score = np.concatenate([expand(RATINGS_OF_NORMAL), expand(RATINGS_OF_ABNORMAL)])
    y = np.repeat([0, 1], [58, 51])
    result = auc_delong(y, score)
    # Area: the paper's; interval: Stata's manual, entry roctab, which uses DeLong's method.
    assert result.estimate == pytest.approx(0.893, abs=5e-4)
    assert (result.low, result.high) == pytest.approx((0.83295, 0.95339), abs=5e-6)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_interval_of_the_ovarian_data_agrees_with_exact_fractions(column):
    y, score = HELPED, TESTS[column]
    areas, covariance = exact_covariance(y, [score], range(len(y)))
    half = norm.ppf(0.975) * sqrt(covariance[0][0])
    result = auc_delong(y, score)
    assert result.estimate == pytest.approx(float(areas[0]), abs=1e-12)
    assert result.low == pytest.approx(float(areas[0]) - half, abs=1e-12)
    assert result.high == pytest.approx(float(areas[0]) + half, abs=1e-12)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(two_models)
def test_the_test_agrees_with_exact_fractions_with_and_without_groups(rows):
    y, a, b, slide = (list(column) for column in zip(*rows, strict=True))
    for groups, clusters in ((None, range(len(y))), (slide, slide)):
        areas, covariance = exact_covariance(y, [a, b], clusters)
        variance = max(float(covariance[0][0] + covariance[1][1] - 2 * covariance[0][1]), 0.0)
        result = delong_test(y, a, b, groups=groups)
        error = (result.difference.high - result.difference.estimate) / student.ppf(
            0.975, result.df
        )
        assert result.auc_a == pytest.approx(float(areas[0]), abs=1e-12)
        assert result.auc_b == pytest.approx(float(areas[1]), abs=1e-12)
        if abs(result.difference.high) < 1:
            assert error**2 == pytest.approx(variance, abs=1e-12)


def test_the_variance_agrees_with_all_pairs_to_ten_digits_on_thousands_of_tied_scores():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    score = (y + rng.normal(size=3000)).round(1)
    area, variance = delong_variance_by_pairs(y, score)
    result = auc_delong(y, score)
    half = norm.ppf(0.975) * np.sqrt(variance)
    assert result.estimate == pytest.approx(area, abs=1e-10)
    assert result.high - result.estimate == pytest.approx(half, abs=1e-10)


def test_the_area_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    y, score = rng.integers(0, 2, 500), rng.normal(size=500).round(1)
    assert auc_delong(y, score).estimate == pytest.approx(roc_auc_score(y, score), abs=1e-14)


def test_kaggles_220025_scores_take_no_line_per_score_and_no_matrix_of_pairs():
    rng = np.random.default_rng(0)
    y = rng.random(220_025) < 0.405
    score = (y + rng.normal(size=220_025)).astype(np.float32)
    lines = lines_run(lambda: auc_delong(y, score))
    assert lines == lines_run(lambda: auc_delong(y[:1000], score[:1000]))
    assert peak_bytes(lambda: auc_delong(y, score)) < 20 * 8 * 220_025


def test_a_higher_confidence_widens_the_interval():
    y, score = HELPED, ALBUMIN
    narrow, wide = (auc_delong(y, score, confidence=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_interval_ends_within_0_and_1():
    result = auc_delong([0, 0, 0, 1, 1], [0.1, 0.2, 0.5, 0.4, 0.9], confidence=0.999)
    assert 0 <= result.low < result.estimate < result.high == 1


def test_a_model_compared_with_itself_differs_by_nothing():
    result = delong_test(HELPED, ALBUMIN, ALBUMIN)
    assert (result.statistic, result.pvalue) == (0.0, 1.0)


def test_exchanging_the_models_only_turns_the_sign():
    y, a, b = HELPED, ALBUMIN, PROTEIN
    one, other = delong_test(y, a, b), delong_test(y, b, a)
    assert one.statistic == pytest.approx(-other.statistic)
    assert one.pvalue == pytest.approx(other.pvalue)


def test_perfect_against_perfectly_wrong_has_no_chance_of_equality():
    result = delong_test([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1])
    assert (result.statistic, result.pvalue) == (np.inf, 0.0)


def test_groups_of_one_patch_each_give_delongs_variance():
    y, a, b = HELPED, ALBUMIN, PROTEIN
    grouped = delong_test(y, a, b, groups=np.arange(len(y)))
    assert grouped.statistic == pytest.approx(delong_test(y, a, b).statistic)


def test_the_rarer_class_gives_the_degrees_of_freedom():
    y, slide = [1, 0, 1, 0, 1, 0, 0, 0], list("aabbccde")
    result = delong_test(y, range(8), [3, 1, 4, 1, 5, 9, 2, 6], groups=slide)
    assert result.df == 2  # tumour on three slides
    assert result.pvalue == pytest.approx(2 * student.sf(abs(result.statistic), 2))


@pytest.mark.slow
def test_with_slide_effects_only_the_grouped_test_keeps_its_level():
    rng = np.random.default_rng(0)
    slide = np.repeat(np.arange(30), 30)
    rejected = {"patches": 0, "slides": 0}
    for _ in range(200):
        y = (rng.random(900) < 0.5) & (slide % 2 == 0)
        a, b = (2 * y + rng.normal(size=900) + rng.normal(size=30)[slide] for _ in range(2))
        rejected["patches"] += delong_test(y, a, b).pvalue < 0.05
        rejected["slides"] += delong_test(y, a, b, groups=slide).pvalue < 0.05
    assert rejected["patches"] > 80  # of 200, where 10 are right
    assert rejected["slides"] <= 20


def test_a_single_positive_patch_is_an_error_that_says_what_is_needed():
    with pytest.raises(ValueError, match=r"1 positive patch.*at least 2"):
        auc_delong([0, 0, 1], [0.1, 0.2, 0.3])


def test_positives_of_a_single_slide_are_an_error_with_groups():
    with pytest.raises(ValueError, match="positive patches come from 1 of 2 slides"):
        delong_test([0, 1, 0, 1], [1, 2, 3, 4], [1, 2, 4, 3], groups=["b", "a", "b", "a"])


def test_an_error_names_the_model_whose_scores_are_broken():
    with pytest.raises(ValueError, match=r"y_score_b\[1\] = nan"):
        delong_test([0, 1, 0, 1], [1, 2, 3, 4], [1, np.nan, 4, 3])


def test_a_confidence_in_percent_is_an_error_with_the_right_form():
    with pytest.raises(ValueError, match=r"confidence=95.*confidence=0\.95"):
        auc_delong([0, 1, 0, 1], [1, 2, 3, 4], confidence=95)

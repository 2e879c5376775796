"""Operating points, sensitivity, specificity and predictive values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import confusion_matrix

from pcam_sklearn.metrics import (
    OperatingPoint,
    choose_operating_point,
    cluster_bootstrap,
    predictive_values,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)

labelled = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=30).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def rates_at(y, score, threshold):
    """Return sensitivity and specificity by counting."""
    called = [value >= threshold for value in score]
    positives = [c for c, label in zip(called, y, strict=True) if label]
    negatives = [not c for c, label in zip(called, y, strict=True) if not label]
    return sum(positives) / len(positives), sum(negatives) / len(negatives)


def best_by_trial(y, score, *, specificity=0.0, sensitivity=0.0):
    """Return the best sensitivity and specificity of all thresholds, tried one by one."""
    tried = [rates_at(y, score, value) for value in [*score, np.inf]]
    allowed = [pair for pair in tried if pair[1] >= specificity and pair[0] >= sensitivity]
    return max(pair[0] for pair in allowed), max(pair[1] for pair in allowed)


def slides(seed=0, n_slides=30, size=40):
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(n_slides), size)
    y = rng.random(len(slide)) < 0.4
    return y, 2 * y + rng.normal(size=len(slide)) + rng.normal(size=n_slides)[slide], slide


@pytest.mark.slow
@settings(deadline=None)
@given(labelled, st.integers(0, 20))
def test_both_rates_are_the_best_of_all_thresholds(rows, twentieths):
    y, score = zip(*rows, strict=True)
    target = twentieths / 20
    assert sensitivity_at_specificity(y, score, target) == pytest.approx(
        best_by_trial(y, score, specificity=target)[0]
    )
    assert specificity_at_sensitivity(y, score, target) == pytest.approx(
        best_by_trial(y, score, sensitivity=target)[1]
    )


@settings(deadline=None)
@given(labelled, st.integers(0, 20), st.sampled_from(["specificity", "sensitivity"]))
def test_a_chosen_threshold_reaches_the_best_pair_of_rates(rows, twentieths, name):
    y, score = zip(*rows, strict=True)
    point = choose_operating_point(y, score, **{name: twentieths / 20})
    reached = rates_at(y, score, point.threshold)
    assert (point.sensitivity, point.specificity) == pytest.approx(reached)
    wanted = best_by_trial(y, score, **{name: twentieths / 20})
    assert reached[name == "sensitivity"] == pytest.approx(wanted[name == "sensitivity"])
    better = [
        pair
        for pair in (rates_at(y, score, value) for value in [*score, np.inf])
        if pair[0] >= reached[0] and pair[1] >= reached[1] and pair != reached
    ]
    assert better == []


def test_a_target_that_is_met_exactly_is_met():
    y = [0] * 10 + [1]
    score = [*range(10), 8.5]
    assert sensitivity_at_specificity(y, score, 0.9) == 1.0  # 1 - 0.9 is 0.0999... in floats


def test_weights_count_patches_as_often_as_they_say():
    rng = np.random.default_rng(0)
    y, score, weight = rng.integers(0, 2, 60), rng.normal(size=60).round(1), rng.integers(0, 4, 60)
    copies = np.repeat(np.arange(60), weight)
    for metric in (sensitivity_at_specificity, specificity_at_sensitivity):
        assert metric(y, score, 0.8, sample_weight=weight) == pytest.approx(
            metric(y[copies], score[copies], 0.8)
        )


def test_the_top_score_of_a_negative_leaves_no_threshold_but_infinity():
    point = choose_operating_point([0, 1, 1], [0.9, 0.8, 0.7], specificity=1.0)
    assert (point.threshold, point.sensitivity, point.specificity) == (np.inf, 0.0, 1.0)
    assert not point.predict([0.9, 1.0]).any()


def test_a_frozen_point_counts_like_scikit_learns_confusion_matrix():
    y, score, slide = slides()
    point = choose_operating_point(y[:600], score[:600], specificity=0.95)
    result = point.evaluate(y[600:], score[600:], slide[600:], random_state=0)
    tn, fp, fn, tp = confusion_matrix(y[600:], point.predict(score[600:])).ravel()
    assert (result.tn, result.fp, result.fn, result.tp) == (tn, fp, fn, tp)
    assert result.sensitivity.estimate == pytest.approx(tp / (tp + fn))
    assert result.specificity.estimate == pytest.approx(tn / (tn + fp))


def test_evaluating_elsewhere_does_not_move_the_threshold():
    y, score, _ = slides()
    point = choose_operating_point(y, score, sensitivity=0.9)
    before = point.threshold
    point.evaluate(~y, score)
    assert point.threshold == before
    with pytest.raises(AttributeError):
        point.threshold = 0.5


def test_the_intervals_are_those_of_the_general_bootstrap():
    y, score, slide = slides(n_slides=12)
    point = OperatingPoint(1.0, np.nan, np.nan, "by hand")

    def sensitivity(y_true, y_score, sample_weight):
        called = y_score >= 1.0
        return np.average(called[y_true == 1], weights=sample_weight[y_true == 1])

    result = point.evaluate(y, score, slide, n_rounds=300, random_state=0).sensitivity
    general = cluster_bootstrap(sensitivity, y, score, slide, n_rounds=300, random_state=0)
    assert result.estimate == pytest.approx(general.estimate)
    assert (result.low, result.high) == pytest.approx((general.low, general.high), abs=0.01)


@pytest.mark.slow
def test_intervals_by_slide_cover_where_those_of_patches_do_not():
    # 300 sets of 30 slides; the standard error of a coverage of 95 % is 1.3 %.
    truth = norm.cdf(1 / np.sqrt(2))
    covered = {"slides": 0, "patches": 0}
    point = OperatingPoint(1.0, np.nan, np.nan, "by hand")
    for seed in range(300):
        y, score, slide = slides(seed)
        for name, groups in (("slides", slide), ("patches", None)):
            found = point.evaluate(y, score, groups, n_rounds=300, random_state=seed)
            covered[name] += found.specificity.low <= truth <= found.specificity.high
    assert 0.92 * 300 <= covered["slides"] <= 0.98 * 300
    assert covered["patches"] < 0.7 * 300


def test_without_groups_the_interval_is_wilsons_published_example():
    # Newcombe (1998), Statistics in Medicine 17:857, table I: 81 of 263 by the score method.
    y, score = np.ones(264), np.repeat([1.0, 0.0, 0.0], [81, 182, 1])
    y[-1] = 0
    found = OperatingPoint(0.5, np.nan, np.nan, "by hand").evaluate(y, score).sensitivity
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_predictive_values_are_those_of_altman_and_blands_liver_scans():
    # Altman, Bland (1994), BMJ 309:102: 231 of 258 abnormal and 54 of 86 normal livers found.
    sensitivity, specificity = 231 / 258, 54 / 86
    at_study = predictive_values(sensitivity, specificity, 258 / 344)
    assert at_study == pytest.approx((231 / 263, 54 / 81))
    at_quarter = predictive_values(sensitivity, specificity, 0.25)
    assert at_quarter == pytest.approx((0.45, 0.95), abs=5e-3)


def test_predictive_values_of_a_result_use_its_rates():
    point = OperatingPoint(0.5, np.nan, np.nan, "by hand")
    result = point.evaluate([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.9])
    assert result.predictive_values(0.1) == pytest.approx(predictive_values(0.5, 2 / 3, 0.1))


def test_prevalences_may_be_a_row_and_an_answer_never_given_is_nan():
    values = predictive_values(0.8, 1.0, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(values.ppv, [np.nan, 1.0, 1.0])
    np.testing.assert_allclose(values.npv, [1.0, 5 / 6, 0.0])


def test_a_prevalence_in_percent_is_an_error_with_the_right_form():
    with pytest.raises(ValueError, match=r"prevalence=5 must lie between 0 and 1"):
        predictive_values(0.9, 0.9, 5)


@pytest.mark.parametrize("criteria", [{}, {"specificity": 0.9, "sensitivity": 0.9}])
def test_exactly_one_criterion_is_needed(criteria):
    with pytest.raises(ValueError, match="exactly one is needed"):
        choose_operating_point([0, 1], [0.1, 0.9], **criteria)


def test_a_target_of_95_is_an_error_with_the_right_form():
    with pytest.raises(ValueError, match=r"specificity=95 must lie.*specificity=0\.95"):
        sensitivity_at_specificity([0, 1], [0.1, 0.9], 95)


def test_weights_that_drop_a_class_are_an_error():
    with pytest.raises(ValueError, match="zero for a whole class"):
        sensitivity_at_specificity([0, 1], [0.1, 0.9], sample_weight=[1, 0])

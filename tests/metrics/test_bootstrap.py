"""Resampling slides: exact rounds, intervals that cover, nothing hidden."""

from math import exp, log, sqrt
from statistics import stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score
from support.work import lines_run, peak_bytes

from pcam_sklearn.metrics import (
    auc_cluster_bootstrap,
    auc_delong,
    cluster_bootstrap,
    sensitivity_at_specificity,
)
from pcam_sklearn.metrics._bootstrap import MAX_SLIDES, draw_slides, slide_wins
from pcam_sklearn.metrics._interval import (
    count_by_slide,
    effective_slides,
    resampling_interval,
)


def slides(n_slides=30, size=40, slide_sd=1.0, distance=2.0, seed=0):
    """Patches of slides that shift their scores; every second slide holds tumour."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(n_slides), size)
    y = (rng.random(len(slide)) < 0.5) & (slide % 2 == 0)
    shift = slide_sd * rng.normal(size=n_slides)
    return y, distance * y + shift[slide] + rng.normal(size=len(slide)), slide


patches = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=40
)


@settings(deadline=None)
@given(patches)
def test_the_wins_between_slides_are_those_of_every_pair_in_turn(rows):
    y, score, slide = (np.array(column) for column in zip(*rows, strict=True))
    expected = np.zeros((5, 5))
    for label_i, score_i, slide_i in rows:
        for label_j, score_j, slide_j in rows:
            if label_i and not label_j:
                expected[slide_i, slide_j] += (score_i > score_j) + 0.5 * (score_i == score_j)
    np.testing.assert_array_equal(slide_wins(y, score.astype(float), slide, 5), expected)


def test_every_round_has_the_area_that_scikit_learn_gives_the_drawn_patches():
    y, score, slide = slides(n_slides=8, size=12)
    score = score.round(1)  # with ties
    counts = count_by_slide(y, slide, 8)
    drawn = draw_slides(*counts, 100, 0)
    wins = slide_wins(y, score, slide, 8)
    for drawing in drawn:
        copies = np.repeat(np.arange(len(y)), drawing[slide].astype(int))
        area = (drawing @ wins @ drawing) / (drawing @ counts[0]) / (drawing @ counts[1])
        assert area == pytest.approx(roc_auc_score(y[copies], score[copies]), abs=1e-12)


@pytest.mark.slow
def test_the_interval_is_the_one_of_the_general_bootstrap_with_scikit_learns_area():
    y, score, slide = slides(n_slides=12, size=20)
    fast = auc_cluster_bootstrap(y, score, slide, n_rounds=200, random_state=0)
    general = cluster_bootstrap(roc_auc_score, y, score, slide, n_rounds=200, random_state=0)
    assert fast.estimate == pytest.approx(general.estimate, abs=1e-12)
    assert (fast.low, fast.high) == pytest.approx((general.low, general.high), abs=1e-6)


def test_the_estimate_is_the_area_of_all_patches():
    y, score, slide = slides()
    result = auc_cluster_bootstrap(y, score, slide, random_state=0)
    assert result.estimate == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert result.low < result.estimate < result.high


@pytest.mark.slow
def test_the_interval_covers_where_the_one_of_patches_does_not():
    # 300 sets of 30 slides; the standard error of a coverage of 95 % is 1.3 %.
    truth = norm.cdf(2 / np.sqrt(4))
    covered = {"slides": 0, "patches": 0}
    for seed in range(300):
        y, score, slide = slides(seed=seed)
        by_slide = auc_cluster_bootstrap(y, score, slide, n_rounds=500, random_state=seed)
        by_patch = auc_delong(y, score)
        covered["slides"] += by_slide.low <= truth <= by_slide.high
        covered["patches"] += by_patch.low <= truth <= by_patch.high
    assert 0.92 * 300 <= covered["slides"] <= 0.98 * 300
    assert covered["patches"] < 0.7 * 300


@pytest.mark.slow
def test_rounds_of_kaggles_220025_scores_take_no_line_per_round_and_touch_no_patch():
    rng = np.random.default_rng(0)
    slide = rng.integers(0, 216, 220_025)
    y = rng.random(220_025) < 0.405
    score = (y + rng.normal(size=220_025)).astype(np.float32)

    def bootstrap(n_patches, n_rounds):
        kept = slice(n_patches)
        auc_cluster_bootstrap(y[kept], score[kept], slide[kept], n_rounds=n_rounds, random_state=0)

    lines = lines_run(lambda: bootstrap(220_025, 2000))
    assert lines == lines_run(lambda: bootstrap(5000, 100))
    # Numbers per patch and round would take a hundred times this memory.
    assert peak_bytes(lambda: bootstrap(220_025, 2000)) < 20 * 8 * 220_025


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    y, score, slide = slides()
    first, again, other = (
        auc_cluster_bootstrap(y, score, slide, random_state=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_a_generator_may_be_passed_as_random_state(make):
    y, score, slide = slides()
    one, other = (auc_cluster_bootstrap(y, score, slide, random_state=make(3)) for _ in range(2))
    assert one == other


def test_neither_the_inputs_nor_the_global_random_state_change():
    y, score, slide = slides()
    copies = y.copy(), score.copy(), slide.copy()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    auc_cluster_bootstrap(y, score, slide)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    for now, then in zip((y, score, slide), copies, strict=True):
        np.testing.assert_array_equal(now, then)


def test_names_and_order_of_slides_and_labels_do_not_matter():
    y, score, slide = slides()
    order = np.random.default_rng(0).permutation(len(y))
    plain = auc_cluster_bootstrap(y, score, slide, random_state=0)
    named = auc_cluster_bootstrap(
        np.where(y, "tumour", "normal")[order],
        score[order],
        np.array([f"slide_{number:03d}" for number in slide])[order],
        random_state=0,
    )
    assert named.low == pytest.approx(plain.low, abs=1e-12)
    assert named.high == pytest.approx(plain.high, abs=1e-12)


def test_a_growing_function_of_the_scores_leaves_the_interval_alone():
    y, score, slide = slides()
    plain = auc_cluster_bootstrap(y, score, slide, random_state=0)
    assert auc_cluster_bootstrap(y, np.exp(score), slide, random_state=0) == plain


def test_turning_labels_and_scores_turns_nothing():
    y, score, slide = slides()
    plain = auc_cluster_bootstrap(y, score, slide, random_state=0)
    turned = auc_cluster_bootstrap(y, -score, slide, random_state=0, pos_label=False)
    assert turned.low == pytest.approx(plain.low, abs=1e-12)
    assert turned.high == pytest.approx(plain.high, abs=1e-12)


def test_rounds_of_one_class_are_left_out_and_said_aloud():
    y, score, slide = slides(n_slides=8, size=20)
    y = y & (slide < 4)  # two slides of eight hold tumour
    with pytest.warns(UserWarning, match=r"of 2000 rounds drew one class.*2 have positive"):
        result = auc_cluster_bootstrap(y, score, slide, random_state=0)
    assert 0 < result.low < result.estimate < result.high < 1


def test_perfect_separation_gives_the_exact_binomial_limit_of_the_slides():
    slide = np.repeat(np.arange(10), 4)
    y = np.tile([0, 0, 1, 1], 10)
    result = auc_cluster_bootstrap(y, y, slide, random_state=0)
    assert result.estimate == result.high == 1
    assert result.low == pytest.approx(0.025 ** (1 / 10))  # Clopper-Pearson, 10 of 10
    wrong = auc_cluster_bootstrap(y, -y, slide, random_state=0)
    assert (wrong.low, wrong.high) == pytest.approx((0, 1 - 0.025 ** (1 / 10)))


def test_slides_that_are_all_alike_leave_no_width():
    slide = np.repeat(np.arange(10), 4)
    y, score = np.tile([0, 0, 1, 1], 10), np.tile([1, 3, 2, 4], 10)
    result = auc_cluster_bootstrap(y, score, slide, random_state=0)
    assert (result.low, result.high) == pytest.approx((0.75, 0.75))


def test_a_class_almost_wholly_on_one_slide_says_that_nothing_is_known():
    y, score, slide = slides(n_slides=6, size=300)
    y = y & ((slide == 0) | ((slide == 2) & (np.arange(len(y)) == 700)))
    y[700] = True
    with pytest.warns(UserWarning, match="2 have positive"):
        result = auc_cluster_bootstrap(y, score, slide, random_state=0)
    assert result.low < 0.05
    assert result.high > 0.95


def test_the_interval_is_students_on_the_logit_scale_for_the_effective_slides():
    rounds = [0.6, 0.7, 0.75, 0.8, 0.9]
    logits = [log(value / (1 - value)) for value in rounds]
    half = student.ppf(0.975, 8) * sqrt(9 / 8) * stdev(logits)
    low, high = resampling_interval(0.75, rounds, 9, 0.95, 1e-6)
    assert low[0] == pytest.approx(1 / (1 + exp(-(log(3) - half))))
    assert high[0] == pytest.approx(1 / (1 + exp(-(log(3) + half))))


def test_rounds_without_spread_have_no_width_however_few_the_slides():
    low, high = resampling_interval(0.7, [0.7, 0.7, 0.7], 1 + 1e-12, 0.95, 1e-6)
    assert (low[0], high[0]) == pytest.approx((0.7, 0.7))


def test_equal_slides_count_in_full_and_unequal_ones_for_less():
    assert effective_slides([7, 7, 7, 7]) == pytest.approx(4)
    assert effective_slides([100, 1, 1, 1]) == pytest.approx(103**2 / 10003)
    assert effective_slides([7, 7, 0, 0]) == pytest.approx(2)


@settings(deadline=None)
@given(
    st.floats(0, 1),
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
    st.floats(1.001, 300),
    st.floats(0.5, 0.999),
)
def test_an_interval_always_holds_its_estimate_and_stays_within_0_and_1(
    estimate, rounds, n_effective, confidence
):
    low, high = resampling_interval(estimate, rounds, n_effective, confidence, 1e-4)
    assert 0 <= low[0] <= estimate <= high[0] <= 1


@pytest.mark.parametrize("metric", [brier_score_loss, sensitivity_at_specificity])
def test_any_metric_of_0_to_1_has_an_interval(metric):
    y, score, slide = slides(n_slides=12)
    prob = norm.cdf(score - 1)
    result = cluster_bootstrap(metric, y, prob, slide, n_rounds=100, random_state=0)
    assert result.estimate == pytest.approx(metric(y, prob))
    assert 0 < result.low < result.estimate < result.high < 1


def test_a_metric_beyond_1_is_symmetric_about_its_estimate():
    y, score, slide = slides(n_slides=12)
    result = cluster_bootstrap(
        log_loss, y, norm.cdf(score - 1), slide, scale="identity", n_rounds=100, random_state=0
    )
    assert result.high - result.estimate == pytest.approx(result.estimate - result.low)


def test_a_metric_that_leaves_0_to_1_is_an_error_that_says_what_to_type():
    y, score, slide = slides(n_slides=12)
    with pytest.raises(ValueError, match=r"log_loss returned .*type scale='identity'"):
        cluster_bootstrap(log_loss, ~y, norm.cdf(score - 1), slide)


def test_a_metric_sees_the_drawn_patches_only_and_how_often_they_were_drawn():
    y, score, slide = slides(n_slides=12, size=20)
    seen = []

    def drawn_patches(y_true, y_score, sample_weight):
        assert len(y_true) == len(y_score) == len(sample_weight)
        assert sample_weight.min() >= 1
        seen.append(sample_weight.sum())
        return 0.5

    cluster_bootstrap(drawn_patches, y, score, slide, n_rounds=100, random_state=0)
    assert set(seen) == {240.0}
    assert len(seen) == 101


@pytest.mark.slow
def test_predicted_labels_may_take_the_place_of_scores():
    y, score, slide = slides(n_slides=12)
    result = cluster_bootstrap(accuracy_score, y, score > 1, slide, random_state=0)
    assert result.estimate == pytest.approx(((score > 1) == y).mean())


def test_an_unknown_scale_is_an_error_with_those_that_exist():
    y, score, slide = slides(n_slides=12)
    with pytest.raises(ValueError, match=r"scale='log'.*scale='logit' or scale='identity'"):
        cluster_bootstrap(brier_score_loss, y, score, slide, scale="log")


def test_missing_groups_are_an_error_that_says_what_to_type():
    with pytest.raises(ValueError, match=r"groups is None.*groups=bunch\.groups"):
        auc_cluster_bootstrap([0, 1], [0.1, 0.9], None)


def test_tumour_on_one_slide_only_is_an_error():
    with pytest.raises(ValueError, match="positive patches come from 1 of 3 slides"):
        auc_cluster_bootstrap([0, 1, 0, 1, 0], [1, 2, 3, 4, 5], list("babac"))


def test_one_slide_per_patch_in_thousands_is_an_error_that_explains_groups():
    n = MAX_SLIDES + 1
    with pytest.raises(ValueError, match=rf"{n} different slides.*not the patch"):
        auc_cluster_bootstrap(np.arange(n) % 2, np.arange(n), np.arange(n))


def test_too_few_rounds_are_an_error():
    y, score, slide = slides(n_slides=12)
    with pytest.raises(ValueError, match=r"n_rounds=10 .*n_rounds=2000"):
        auc_cluster_bootstrap(y, score, slide, n_rounds=10)

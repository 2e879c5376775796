"""The ROC curve's band, against scikit-learn's curve and area."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import auc, roc_auc_score, roc_curve

from pcam_sklearn.metrics import cluster_bootstrap, roc_band, sensitivity_at_specificity
from pcam_sklearn.metrics._curves import _Curve


def slides(seed=0, n_slides=20, size=30):
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(n_slides), size)
    y = rng.random(len(slide)) < 0.4
    return y, 1.5 * y + rng.normal(size=len(slide)) + rng.normal(size=n_slides)[slide], slide


def test_the_curve_is_the_one_of_scikit_learn_between_its_steps():
    y, score, slide = slides()
    score = score.round(1)
    band = roc_band(y, score, slide, n_rounds=100, random_state=0)
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    between = ~np.isin(band.fpr.round(9), fpr.round(9))
    np.testing.assert_allclose(band.tpr[between], np.interp(band.fpr, fpr, tpr)[between])
    assert between.sum() > 100


def test_the_area_under_a_fine_curve_is_the_area():
    y, score, slide = slides()
    band = roc_band(y, score, slide, fpr=np.linspace(0, 1, 5001), n_rounds=100)
    assert auc(band.fpr, band.tpr) == pytest.approx(roc_auc_score(y, score), abs=1e-3)


def test_where_the_curve_rises_its_upper_end_counts():
    y, score = [0, 1, 1, 0] * 2, [0.1, 0.4, 0.8, 0.5] * 2
    band = roc_band(y, score, [0] * 4 + [1] * 4, fpr=[0, 0.5], n_rounds=100)
    np.testing.assert_allclose(band.tpr, [0.5, 1.0])


def test_a_point_is_the_sensitivity_at_that_specificity_where_scores_differ():
    y, score, slide = slides()
    n_negative = int((~y).sum())
    rate = 20 / n_negative
    band = roc_band(y, score, slide, fpr=[rate], n_rounds=100)
    assert band.tpr[0] == pytest.approx(sensitivity_at_specificity(y, score, 1 - rate))


def test_rounds_are_those_of_drawn_copies():
    y, score, slide = slides(n_slides=6, size=10)
    score = score.round(1)
    order = np.argsort(-score, kind="stable")
    counts = np.array([2, 0, 1, 3, 0, 0])
    copies = np.repeat(np.arange(len(y)), counts[slide])
    grid = np.linspace(0.013, 0.987, 40)
    fpr, tpr, _ = roc_curve(y[copies], score[copies], drop_intermediate=False)
    found = _Curve(y[order], score[order]).at(grid, counts[slide[order]].astype(float))
    np.testing.assert_allclose(found, np.interp(grid, fpr, tpr))


def test_the_band_is_the_interval_of_the_general_bootstrap():
    y, score, slide = slides()

    def rate(y_true, y_score, sample_weight):
        fpr, tpr, _ = roc_curve(y_true, y_score, sample_weight=sample_weight)
        return np.interp(0.1234, fpr, tpr)

    band = roc_band(y, score, slide, fpr=[0.1234], n_rounds=150, random_state=0)
    general = cluster_bootstrap(rate, y, score, slide, n_rounds=150, random_state=0)
    assert (band.low[0], band.high[0]) == pytest.approx((general.low, general.high))


def test_the_band_holds_the_curve_and_closes_in_the_upper_corner():
    y, score, slide = slides()
    band = roc_band(y, score, slide, random_state=0)
    assert (band.low <= band.tpr).all()
    assert (band.tpr <= band.high).all()
    assert band.low[-1] == band.high[-1] == 1


@pytest.mark.slow
def test_the_band_covers_the_true_rate():
    # 200 sets of 20 slides; the standard error of a coverage of 95 % is 1.5 %.
    spread = np.sqrt(2)
    truth = norm.cdf((1.5 - norm.isf(0.2) * spread) / spread)
    covered = 0
    for seed in range(200):
        y, score, slide = slides(seed)
        band = roc_band(y, score, slide, fpr=[0.2], n_rounds=200, random_state=seed)
        covered += bool(band.low[0] <= truth <= band.high[0])
    assert 0.91 * 200 <= covered <= 0.99 * 200


@pytest.mark.slow
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0, 6))
def test_the_band_rises_as_the_curve_does(seed, n_slides, shift):
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(n_slides), 10)
    y = np.arange(len(slide)) % 3 == 0
    score = (shift * y + rng.normal(size=len(slide)) + rng.normal(size=n_slides)[slide]).round(1)
    band = roc_band(y, score, slide, fpr=np.linspace(0, 1, 21), n_rounds=100, random_state=0)
    for side in (band.low, band.tpr, band.high):
        assert (np.diff(side) >= 0).all()
    assert (band.low <= band.tpr).all()
    assert (band.tpr <= band.high).all()


def test_where_all_positives_are_found_the_lower_end_does_not_fall():
    y, score, slide = slides(seed=4, n_slides=5, size=60)
    score = score + 2.5 * y
    band = roc_band(y, score, slide, random_state=0)
    found = np.flatnonzero(band.tpr == 1)[0]
    alone = roc_band(y, score, slide, fpr=[band.fpr[found]], random_state=0)
    assert alone.low[0] < 0.5  # Five slides by themselves cannot show more.
    assert band.low[found] >= band.low[found - 1] > 0.8


@pytest.mark.slow
def test_the_band_covers_the_true_rate_of_few_slides_at_each_of_many_rates():
    # 200 sets of 8 slides; the standard error of a coverage of 95 % is 1.5 %.
    grid, spread = np.array([0.02, 0.1, 0.3, 0.5]), np.sqrt(2)
    truth = norm.cdf((1.5 - norm.isf(grid) * spread) / spread)
    covered = np.zeros(4)
    for seed in range(200):
        y, score, slide = slides(seed, n_slides=8)
        band = roc_band(y, score, slide, fpr=grid, n_rounds=200, random_state=seed)
        covered += (band.low <= truth) & (truth <= band.high)
    assert (covered >= 0.91 * 200).all(), covered


def test_the_same_seed_gives_the_same_band():
    y, score, slide = slides()
    one, other = (roc_band(y, score, slide, n_rounds=100, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(one.low, other.low)


@pytest.mark.parametrize("fpr", [[-0.1, 0.5], [0.5, 1.5], [], [[0.1]], [0.1, np.nan]])
def test_rates_outside_0_to_1_are_an_error(fpr):
    y, score, slide = slides()
    with pytest.raises(ValueError, match=r"rates between 0 and 1.*type for example fpr="):
        roc_band(y, score, slide, fpr=fpr)


def test_falling_rates_are_an_error_that_says_what_to_type():
    y, score, slide = slides()
    with pytest.raises(ValueError, match=r"must increase; type fpr=sorted"):
        roc_band(y, score, slide, fpr=[0.5, 0.1])

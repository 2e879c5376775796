"""Expected calibration error, against scikit-learn's calibration curve and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pcam_sklearn.metrics import expected_calibration_error

predictions = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40)


def by_definition(y, prob, n_bins):
    """Sum over bins (a, b] of their share times the distance within; 0 is in the first."""
    total = 0.0
    for number in range(n_bins):
        low, high = number / n_bins, (number + 1) / n_bins
        inside = [i for i, p in enumerate(prob) if low < p <= high or (number == 0 and p == 0)]
        if inside:
            mean = sum(prob[i] for i in inside) / len(inside)
            share = sum(y[i] for i in inside) / len(inside)
            total += len(inside) / len(prob) * abs(mean - share)
    return total


@pytest.mark.slow
@settings(deadline=None)
@given(predictions, st.sampled_from([1, 2, 4, 8, 16]))  # edges that floats hold exactly
def test_the_error_is_the_one_of_its_definition(rows, n_bins):
    y, prob = zip(*rows, strict=True)
    found = expected_calibration_error(y, prob, n_bins=n_bins, pos_label=True)
    assert found == pytest.approx(by_definition(y, prob, n_bins), abs=1e-12)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_error_is_the_weighted_gap_of_scikit_learns_calibration_curve(strategy):
    rng = np.random.default_rng(0)
    prob = rng.beta(2, 3, 900)
    y = rng.random(900) < prob**2
    share, mean = calibration_curve(y, prob, n_bins=9, strategy=strategy)
    edges = np.linspace(0, 1, 10) if strategy == "uniform" else np.quantile(prob, np.arange(10) / 9)
    counts = np.histogram(prob, edges)[0]
    expected = np.average(np.abs(share - mean), weights=counts)
    found = expected_calibration_error(y, prob, n_bins=9, strategy=strategy)
    assert found == pytest.approx(expected, abs=1e-3 if strategy == "quantile" else 1e-12)


def test_probabilities_that_come_true_have_an_error_near_zero():
    rng = np.random.default_rng(0)
    prob = rng.random(100_000)
    assert expected_calibration_error(rng.random(100_000) < prob, prob) < 0.01


def test_certainty_that_is_always_wrong_has_an_error_of_one():
    assert expected_calibration_error([0, 1], [1.0, 0.0]) == 1


def test_a_probability_of_zero_lies_in_the_first_bin():
    assert expected_calibration_error([1, 0], [0.0, 0.1], n_bins=2) == pytest.approx(0.45)


def test_weights_count_patches_as_often_as_they_say():
    rng = np.random.default_rng(0)
    y, prob, weight = rng.integers(0, 2, 50), rng.random(50), rng.integers(0, 4, 50)
    copies = np.repeat(np.arange(50), weight)
    assert expected_calibration_error(y, prob, sample_weight=weight) == pytest.approx(
        expected_calibration_error(y[copies], prob[copies])
    )


def test_the_positive_label_may_be_named():
    y, prob = np.array(["tumour", "normal", "tumour"]), np.array([0.9, 0.2, 0.4])
    assert expected_calibration_error(y, prob, pos_label="normal") == pytest.approx(
        expected_calibration_error(y == "normal", prob)
    )


def test_logits_are_an_error_that_says_what_to_type():
    with pytest.raises(ValueError, match=r"y_prob\[1\] is 2\.5.*predict_proba"):
        expected_calibration_error([0, 1], [0.1, 2.5])


def test_no_bins_are_an_error():
    with pytest.raises(ValueError, match=r"n_bins=0 must be at least 1"):
        expected_calibration_error([0, 1], [0.1, 0.9], n_bins=0)


def test_an_unknown_strategy_is_an_error_with_those_that_exist():
    with pytest.raises(ValueError, match=r"strategy='equal'.*'uniform' or strategy='quantile'"):
        expected_calibration_error([0, 1], [0.1, 0.9], strategy="equal")

"""The reliability curve over its histogram."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from pcam_sklearn.metrics import expected_calibration_error
from pcam_sklearn.plotting import ReliabilityDisplay


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


PROB = np.array([0.05, 0.05, 0.25, 0.25, 0.95, 0.95])
Y = np.array([0, 0, 0, 1, 1, 1])


def test_the_curve_is_the_share_of_positives_over_the_mean_probability_of_each_bin():
    line = ReliabilityDisplay.from_predictions(Y, PROB).ax_.get_lines()[1]
    assert line.get_xdata() == pytest.approx([0.05, 0.25, 0.95])
    assert line.get_ydata() == pytest.approx([0, 0.5, 1])


def test_the_legend_gives_calibration_error_and_brier_score():
    display = ReliabilityDisplay.from_predictions(Y, PROB)
    text = "".join(text.get_text() for text in display.ax_.get_legend().get_texts())
    assert f"calibration error {expected_calibration_error(Y, PROB, n_bins=10):.3f}" in text
    assert f"Brier score {brier_score_loss(Y, PROB):.3f}" in text


def test_the_histogram_holds_every_patch_once():
    containers = ReliabilityDisplay.from_predictions(Y, PROB).axes_[1].containers
    heights = [sum(bar.get_height() for bar in container) for container in containers]
    assert heights == [3, 3]


def test_the_classes_of_the_histogram_differ_in_hatch():
    containers = ReliabilityDisplay.from_predictions(Y, PROB).axes_[1].containers
    assert containers[0][0].get_hatch() != containers[1][0].get_hatch()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=40))
def test_the_calibration_error_is_the_weighted_distance_of_curve_and_diagonal(patches):
    y, prob = map(np.array, zip(*patches, strict=True))
    display = ReliabilityDisplay(y, prob)
    bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], prob)
    counts = np.bincount(bins, minlength=10)
    weights = counts[counts > 0] / len(prob)
    distance = np.abs(display.prob_true - display.prob_pred)
    assert display.ece == pytest.approx((weights * distance).sum(), abs=1e-9)


def test_labels_may_be_words():
    words = np.array(["normal", "tumour"])[Y]
    display = ReliabilityDisplay.from_predictions(words, PROB, pos_label="tumour")
    assert display.prob_true == pytest.approx([0, 0.5, 1])


def test_logits_are_refused():
    with pytest.raises(ValueError, match=r"probabilities lie in \[0, 1\]"):
        ReliabilityDisplay.from_predictions(Y, PROB * 10)


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(ValueError, match="needs 2 axes, got 1"):
        ReliabilityDisplay.from_predictions(Y, PROB, axes=plt.subplots()[1])


@pytest.mark.parametrize(
    "peaks", [[0.5], [0.98], np.linspace(0, 1, 60)], ids=["middle", "end", "flat"]
)
def test_the_legend_of_the_histogram_covers_no_bar_wherever_the_highest_is(peaks):
    y_prob = np.resize(peaks, 360)
    display = ReliabilityDisplay.from_predictions(np.arange(360) % 2, y_prob)
    display.figure_.canvas.draw()
    histogram = display.axes_[1]
    legend = histogram.get_legend().get_window_extent()
    assert not any(legend.overlaps(bar.get_window_extent()) for bar in histogram.patches)

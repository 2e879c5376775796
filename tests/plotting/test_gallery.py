"""The gallery of patches."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.plotting import PatchGalleryDisplay

PATCHES = np.random.default_rng(0).integers(0, 256, (6, 48, 48, 3), dtype=np.uint8)
Y = np.array([0, 1, 0, 1, 0, 1])
PROB = np.array([0.1, 0.9, 0.8, 0.4, 0.3, 0.05])


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def draw(**changes):
    return PatchGalleryDisplay.from_predictions(
        **{"X": PATCHES, "y_true": Y, "y_prob": PROB, "n_patches": 2, **changes}
    )


def image(ax):
    return np.asarray(ax.get_images()[0].get_array())


def test_the_most_wrong_patches_are_farthest_from_their_label():
    assert draw(select="most wrong").rows_.tolist() == [5, 2]


def test_the_most_certain_patches_are_nearest_to_their_label():
    assert sorted(draw(select="most certain").rows_.tolist()) == [0, 1]


def test_the_title_gives_label_probability_and_verdict():
    titles = draw(select="most wrong").titles
    assert titles[0] == "label 1, predicted 0.05: wrong"


def test_the_verdict_goes_by_the_threshold():
    assert draw(select="most wrong", threshold=0.04).titles[0].endswith("right")


def test_a_threshold_that_nothing_reaches_calls_no_patch_positive():
    titles = draw(threshold=np.inf, n_patches=6).titles
    assert {title[:7] for title in titles if title.endswith("right")} == {"label 0"}


@pytest.mark.slow
def test_the_patch_and_its_center_are_shown_as_they_are():
    display = draw(select="most wrong", crop_size=16)
    np.testing.assert_array_equal(image(display.axes_[0, 0]), PATCHES[5])
    np.testing.assert_array_equal(image(display.axes_[0, 1]), PATCHES[5, 16:32, 16:32])


def test_the_histogram_counts_every_pixel_of_a_channel():
    ax = draw(n_patches=1, select="most wrong").axes_[0, 2]
    outline = ax.patches[0].get_xy()
    levels = outline[1:-1:2, 1]
    assert levels.sum() == 48 * 48


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_a_random_choice_holds_no_patch_twice_and_follows_the_seed(seed, n_patches):
    first, again = (
        draw(n_patches=n_patches, random_state=seed, views=("patch",)).rows_ for _ in range(2)
    )
    plt.close("all")
    assert len(set(first.tolist())) == len(first) == min(n_patches, 6)
    np.testing.assert_array_equal(first, again)


def test_without_probabilities_the_titles_are_labels():
    assert set(draw(y_prob=None).titles) <= {"label 0", "label 1"}


def test_files_are_read_where_they_are_drawn(sample_folder):
    data = load_kaggle(sample_folder)
    display = PatchGalleryDisplay.from_predictions(
        data.paths, data.target, n_patches=1, views=("patch",), random_state=0
    )
    assert image(display.axes_[0, 0]).shape == (96, 96, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"select": "worst"}, "select='worst' is unknown"),
        ({"select": "most wrong", "y_prob": None}, "pass y_prob"),
        ({"n_patches": 0}, "n_patches=0 must be at least 1"),
        ({"threshold": 5}, "threshold=5 must lie between 0 and 1"),
        ({"threshold": np.nan}, "threshold=nan must lie between 0 and 1"),
        ({"views": ("center", "side")}, "views holds 'side'"),
        ({"views": ()}, "views is empty"),
        ({"views": ("patch",) * 7}, "views has 7 entries; at most 6 fit"),
        ({"crop_size": 49}, "crop_size=49 must lie between 1 and the patches' side, 48"),
        ({"X": PATCHES[:3]}, "X has 3 entries and y_true has 6"),
    ],
)
def test_a_wrong_parameter_is_an_error_that_says_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        draw(**changes)

"""Stains that vary and patches that move, only in training; several augmentations in a row."""

from collections import Counter
from functools import partial

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from support.seeds import seed_keras
from support.tiny import make_data, quick

from pcam_sklearn.augmentation import (
    AUGMENTATIONS,
    RandomColor,
    RandomD4,
    RandomGrayscale,
    RandomRestain,
    RandomSharpness,
    RandomShift,
    RandomStain,
    RandomZoom,
    build_augmentation,
)

# Ruifrok and Johnston's matrix, by rows: hematoxylin, eosin, and a residual across both.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


def patches(n, side=6, seed=0):
    return np.random.default_rng(seed).random((n, side, side, 3), dtype=np.float32)


def augmented(layer, X, training=True):
    return keras.ops.convert_to_numpy(layer(X, training=training))


# --- stain


def stained(n, side=6, seed=0):
    """Return patches with amounts of stain that stay clear of white and black when they vary."""
    stains = np.random.default_rng(seed).uniform(0.25, 0.75, (n, side, side, 3))
    return np.exp(-stains @ STAINS).astype(np.float32)


def amounts(X):
    """Return the amount of each stain in each pixel of each patch."""
    density = -np.log(np.maximum(X.astype(np.float64), 1 / 255)).reshape(len(X), -1, 3)
    return np.linalg.solve(STAINS.T, density.swapaxes(1, 2)).swapaxes(1, 2)


def scales_and_shifts(X, output):
    """Fit a line from the amounts before to those after, for each patch and stain."""
    lines = [
        [
            np.polyfit(before, after, 1, full=True)[:2]
            for before, after in zip(b.T, a.T, strict=True)
        ]
        for b, a in zip(amounts(X), amounts(output), strict=True)
    ]
    coefficients = np.array([[line for line, _ in patch] for patch in lines])
    residuals = max(float(residual[0]) for patch in lines for _, residual in patch)
    return coefficients[..., 0], coefficients[..., 1], residuals


@settings(deadline=None, max_examples=20)
@given(strength=st.sampled_from([0.05, 0.25, 0.5]), seed=st.integers(0, 2**31 - 1))
def test_the_amount_of_each_stain_is_scaled_and_shifted_once_a_patch(strength, seed):
    X = stained(4, seed=seed)
    output = augmented(RandomStain(strength, seed), X)
    scale, shift, residuals = scales_and_shifts(X, output)
    assert residuals < 1e-6  # So pixels of a patch share a line, and stains do not mix.
    assert (abs(scale - 1) <= strength + 1e-4).all()
    assert (abs(shift) <= strength / 5 + 1e-4).all()


@pytest.fixture(scope="module")
def draws():
    """Scales, then shifts, of the three stains of 400 patches, in units of their range."""
    X = stained(400, side=3)
    scale, shift, _ = scales_and_shifts(X, augmented(RandomStain(0.4, seed=0), X))
    return np.hstack([(scale - 1) / 0.4, shift / 0.08])


def test_the_draws_fill_their_ranges_evenly(draws):
    for of_one in draws.T:
        quarters = np.histogram(of_one, bins=4, range=(-1.001, 1.001))[0]
        assert quarters.sum() == 400
        assert (abs(quarters - 100) < 35).all()  # 4 standard deviations


def test_the_draws_have_nothing_to_do_with_each_other(draws):
    correlations = np.corrcoef(draws, rowvar=False)
    assert (abs(correlations - np.eye(6)) < 0.2).all()  # 4 standard deviations


def test_strength_0_changes_nothing_but_pixels_darker_than_a_255th():
    X = patches(5)
    X[0, 0, 0] = 0
    expected = np.maximum(X, 1 / 255)
    np.testing.assert_allclose(augmented(RandomStain(0.0, seed=0), X), expected, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(strength=st.floats(0, 0.99), seed=st.integers(0, 999))
def test_the_output_stays_in_0_to_1(strength, seed):
    X = patches(3, seed=seed)
    X[0], X[1, 0] = 0, 1
    output = augmented(RandomStain(strength, seed), X)
    assert output.dtype == np.float32
    assert (output >= 0).all()
    assert (output <= 1).all()


def test_white_stays_near_white_and_black_near_black():
    X = np.stack([np.ones((4, 4, 3)), np.zeros((4, 4, 3))] * 50).astype(np.float32)
    output = augmented(RandomStain(0.25, seed=0), X)
    # At most the shift of all three stains at once.
    assert output[0::2].min() >= np.exp(-0.05 * STAINS.sum(axis=0)).min() - 1e-6
    assert output[1::2].max() < 0.1


@pytest.mark.parametrize("channels", [1, 4])
def test_patches_without_three_colours_are_an_error_that_says_what_to_do(channels):
    X = np.zeros((2, 4, 4, channels), np.float32)
    with pytest.raises(ValueError, match=rf"needs red, green and blue, got {channels} .*leave 'st"):
        RandomStain()(X, training=True)


@pytest.mark.parametrize("strength", [-0.1, 1.0, 2])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(ValueError, match=f"strength == {strength}, must be"):
        RandomStain(strength)


# --- shift


def moves(patch, pixels):
    """Return every patch moved by at most `pixels`, by its move; np.pad mirrors the borders."""
    height, width = patch.shape[:2]
    wide = np.pad(patch, [(pixels, pixels), (pixels, pixels), (0, 0)], mode="reflect")
    return {
        (top - pixels, left - pixels): wide[top : top + height, left : left + width].tobytes()
        for top, left in np.ndindex(2 * pixels + 1, 2 * pixels + 1)
    }


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 5),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    channels=st.integers(1, 3),
    pixels=st.integers(1, 9),
    seed=st.integers(0, 999),
)
def test_every_output_is_its_input_moved_by_at_most_so_many_pixels(
    n, height, width, channels, pixels, seed
):
    rng = np.random.default_rng(seed)
    X = rng.random((n, height, width, channels), dtype=np.float32)
    for patch, output in zip(X, augmented(RandomShift(pixels, seed), X), strict=True):
        assert output.tobytes() in moves(patch, pixels).values()


def test_all_moves_occur_equally_often():
    patch = patches(1)[0]
    where = {moved: place for place, moved in moves(patch, 1).items()}
    outputs = augmented(RandomShift(1, seed=0), np.stack([patch] * 1800))
    counts = Counter(where[output.tobytes()] for output in outputs)
    assert len(counts) == 9
    assert all(145 < count < 255 for count in counts.values())  # 200, and 4 standard deviations


class AlwaysDraws(RandomShift):
    """A shift that draws one end of its range, as a generator does once in millions of draws."""

    high = False

    def _uniform(self, shape, low, high):
        return keras.ops.full(shape, high if self.high else low)


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("pixels", [2, 3])
def test_the_ends_of_the_range_move_no_farther_either(pixels, high):
    X = patches(2)
    layer = AlwaysDraws(pixels)
    layer.high = high
    step = pixels if high else -pixels
    for patch, output in zip(X, augmented(layer, X), strict=True):
        assert output.tobytes() == moves(patch, pixels)[step, step]


@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [(0, ValueError, "pixels == 0, must be >= 1"), (1.5, TypeError, "pixels must be an instance")],
)
def test_a_wrong_number_of_pixels_is_refused(pixels, error, message):
    with pytest.raises(error, match=message):
        RandomShift(pixels)


# --- all augmentations

SLIDES = [[0.3, 0.5, 0.2, 0.2, 0.3, 0.1], [0.6, 0.9, 0.4, 0.3, 0.3, 0.2]]
LAYERS = {
    "color": RandomColor,
    "d4": RandomD4,
    "grayscale": partial(RandomGrayscale, share=0.5),
    "sharpness": RandomSharpness,
    "shift": RandomShift,
    "restain": partial(RandomRestain, statistics=SLIDES),
    "stain": RandomStain,
    "zoom": RandomZoom,
}


def test_these_are_all_the_augmentations():
    own = {"grayscale": RandomGrayscale, "restain": RandomRestain}
    assert {**LAYERS, **own} == AUGMENTATIONS


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("training", [False, None])
def test_it_is_off_at_inference(layer, training):
    X = patches(5)
    assert np.array_equal(augmented(layer(seed=0), X, training), X)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_the_same_seed_gives_the_same_patches_and_another_one_others(layer):
    X = patches(40)
    assert np.array_equal(augmented(layer(seed=1), X), augmented(layer(seed=1), X))
    assert not np.array_equal(augmented(layer(seed=1), X), augmented(layer(seed=2), X))


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_patch_changes_in_another_way_each_time(layer):
    X, one = patches(40), layer(seed=0)
    assert not np.array_equal(augmented(one, X), augmented(one, X))


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_patches_of_one_batch_change_in_different_ways(layer):
    X = np.stack([patches(1)[0]] * 40)
    assert len({output.tobytes() for output in augmented(layer(seed=0), X)}) > 1


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_keras_global_seed_is_left_alone(layer):
    drawn = []
    for use_it in (False, True):
        seed_keras(0)
        if use_it:
            augmented(layer(seed=0), patches(2))
        drawn.append(keras.ops.convert_to_numpy(keras.random.uniform((3,))))
    assert np.array_equal(*drawn)


@pytest.mark.parametrize(
    "layer",
    [
        RandomColor(0.2, 0.3, 0.05, seed=3),
        RandomD4(seed=3),
        RandomGrayscale(0.4, seed=3),
        RandomSharpness(0.5, seed=3),
        RandomShift(2, seed=3),
        RandomRestain(0.7, SLIDES, seed=3),
        RandomStain(0.4, seed=3),
        RandomZoom(0.3, seed=3),
    ],
    ids=LAYERS,
)
def test_a_layer_is_rebuilt_from_what_is_saved_of_it(layer):
    X = patches(40)
    saved = keras.saving.serialize_keras_object(layer)
    rebuilt = keras.saving.deserialize_keras_object(saved)
    assert rebuilt.get_config() == layer.get_config()
    assert np.array_equal(augmented(rebuilt, X), augmented(layer, X))


# --- several in a row


@pytest.mark.parametrize("as_sequence", [tuple, list])
def test_several_work_in_the_order_of_their_names(as_sequence):
    X = patches(20)
    row = build_augmentation(as_sequence(["stain", "d4", "shift"]), seed=5)
    by_hand = X
    for layer in (RandomStain(seed=5), RandomD4(seed=6), RandomShift(seed=7)):
        by_hand = augmented(layer, by_hand)
    assert np.array_equal(augmented(row, X), by_hand)


def test_a_name_alone_is_a_row_of_one():
    X = patches(20)
    one, row = build_augmentation("stain", seed=5), build_augmentation(("stain",), seed=5)
    assert np.array_equal(augmented(one, X), augmented(row, X))


def test_the_same_one_twice_draws_twice():
    first, second = build_augmentation(("stain", "stain"), seed=0).layers
    assert first.seed != second.seed


def test_none_is_no_augmentation():
    assert build_augmentation(None) is None


@pytest.mark.parametrize("augment", [(), [], ("d4", "flip"), ("d4", None), {"d4"}, 4, "d4,stain"])
def test_other_names_or_none_at_all_are_an_error_that_names_the_known_ones(augment):
    with pytest.raises(ValueError, match=r"one of \['color', .*'zoom'\], several of them as"):
        build_augmentation(augment)


@pytest.mark.slow
def test_a_classifier_trains_with_several():
    X, y = make_data()
    fitted = {
        augment: quick(augment=augment).fit(X, y).predict_proba(X).tobytes()
        for augment in (None, ("d4",), ("d4", "stain"), ("d4", "stain", "shift"))
    }
    assert len(set(fitted.values())) == len(fitted)
    again = clone(quick(augment=("d4", "stain", "shift"))).fit(X, y)
    assert again.predict_proba(X).tobytes() == fitted["d4", "stain", "shift"]
    assert again.augment == ("d4", "stain", "shift")

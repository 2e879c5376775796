"""Colours that vary as a camera sees them: hue, saturation and brightness, or no colour at all."""

import re

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcam_sklearn.augmentation import RandomColor, RandomGrayscale

# The NTSC standard: luminance and two axes of chrominance, by rows.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def muted(n, side=6, seed=0):
    """Return patches of muted colours, which no change takes out of the range."""
    return np.random.default_rng(seed).uniform(0.35, 0.65, (n, side, side, 3)).astype(np.float32)


def changed(layer, X):
    return keras.ops.convert_to_numpy(layer(X, training=True))


def luminance_and_chrominance(X):
    """Return luminance, and chrominance as a complex number, of each pixel of each patch."""
    y, i, q = np.moveaxis(X.reshape(len(X), -1, 3).astype(np.float64) @ YIQ.T, -1, 0)
    return y, i + 1j * q


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31 - 1), hue=st.sampled_from([0.0, 0.1, 0.3]))
def test_each_patch_has_one_turn_one_scale_and_one_shift(seed, hue):
    X = muted(3, seed=seed)
    output = changed(RandomColor(hue, 0.2, 0.05, seed=seed), X)
    (y, c), (new_y, new_c) = luminance_and_chrominance(X), luminance_and_chrominance(output)
    factor, shift = new_c / c, new_y - y
    assert np.ptp(factor.real, axis=1).max() < 1e-3
    assert np.ptp(factor.imag, axis=1).max() < 1e-3
    assert np.ptp(shift, axis=1).max() < 1e-4
    assert (abs(np.angle(factor)) <= np.pi * hue + 1e-3).all()
    assert (abs(np.log(abs(factor))) <= 0.2 + 1e-3).all()
    assert (abs(shift) <= 0.05 + 1e-4).all()


def test_the_draws_fill_their_ranges_and_differ_from_patch_to_patch():
    X = muted(400, side=2)
    output = changed(RandomColor(0.15, 0.15, 0.075, seed=0), X)
    (y, c), (new_y, new_c) = luminance_and_chrominance(X), luminance_and_chrominance(output)
    factor = (new_c / c)[:, 0]
    draws = [
        np.angle(factor) / (0.15 * np.pi),
        np.log(abs(factor)) / 0.15,
        (new_y - y)[:, 0] / 0.075,
    ]
    for of_one in draws:
        quarters = np.histogram(of_one, bins=4, range=(-1.01, 1.01))[0]
        assert quarters.sum() == 400
        assert (abs(quarters - 100) < 35).all()  # 4 standard deviations
    assert (abs(np.corrcoef(draws) - np.eye(3)) < 0.2).all()


def test_without_ranges_nothing_changes():
    X = muted(3)
    np.testing.assert_allclose(changed(RandomColor(0, 0, 0, seed=0), X), X, atol=1e-5)


def test_grey_stays_grey():
    X = np.repeat(muted(3)[..., :1], 3, axis=-1)
    output = changed(RandomColor(seed=0), X)
    np.testing.assert_allclose(output[..., 0], output[..., 1], atol=1e-3)
    np.testing.assert_allclose(output[..., 0], output[..., 2], atol=1e-3)


@settings(deadline=None, max_examples=20)
@given(hue=st.floats(0, 1), brightness=st.floats(0, 1), seed=st.integers(0, 999))
def test_the_output_stays_in_0_to_1(hue, brightness, seed):
    X = np.random.default_rng(seed).random((3, 4, 4, 3), dtype=np.float32)
    X[0], X[1, 0] = 0, 1
    output = changed(RandomColor(hue, 1.0, brightness, seed=seed), X)
    assert output.dtype == np.float32
    assert (output >= 0).all()
    assert (output <= 1).all()


# --- grayscale


def test_a_share_of_the_patches_loses_its_colours_and_keeps_its_luminance():
    X = muted(2000, side=2)
    output = changed(RandomGrayscale(0.2, seed=0), X)
    grey = (output[..., 0] == output[..., 2]).all(axis=(1, 2))
    assert abs(grey.mean() - 0.2) < 0.04  # 4 standard deviations
    np.testing.assert_array_equal(output[~grey], X[~grey])
    expected = X[grey].astype(np.float64) @ YIQ[0]
    for channel in range(3):
        np.testing.assert_allclose(output[grey][..., channel], expected, atol=1e-5)


@pytest.mark.parametrize("share", [0, 1])
def test_no_patch_or_every_patch_loses_its_colours(share):
    X = muted(50, side=2)
    output = changed(RandomGrayscale(share, seed=0), X)
    assert (np.ptp(output, axis=-1).max(axis=(1, 2)) < 1e-6).all() == bool(share)
    assert np.array_equal(output, X) != bool(share)


# --- what is refused


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize(
    ("layer", "name"), [(RandomColor, "color"), (RandomGrayscale, "grayscale")]
)
def test_patches_without_three_colours_are_an_error_that_says_what_to_do(layer, name, channels):
    X = np.zeros((2, 4, 4, channels), np.float32)
    message = (
        f"augment='{name}' needs red, green and blue, got {channels} channel(s); leave '{name}'"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        layer()(X, training=True)


@pytest.mark.parametrize(
    ("layer", "parameters", "message"),
    [
        (RandomColor, {"hue": -0.1}, "hue == -0.1, must be >= 0"),
        (RandomColor, {"hue": 1.1}, "hue == 1.1, must be <= 1"),
        (RandomColor, {"saturation": -1}, "saturation == -1, must be >= 0"),
        (RandomColor, {"brightness": 2}, "brightness == 2, must be <= 1"),
        (RandomGrayscale, {"share": 1.5}, "share == 1.5, must be <= 1"),
    ],
)
def test_a_parameter_out_of_range_is_refused(layer, parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(**parameters)

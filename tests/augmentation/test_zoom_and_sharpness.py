"""Patches that are magnified or shrunk, and patches that are blurred or sharpened."""

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform

from pcam_sklearn.augmentation import RandomSharpness, RandomZoom


def patches(n, side=12, seed=0):
    return np.random.default_rng(seed).random((n, side, side, 3), dtype=np.float32)


def augmented(layer, X):
    return keras.ops.convert_to_numpy(layer(X, training=True))


# --- zoom


class ZoomsBy(RandomZoom):
    """A zoom by a known factor."""

    step = 1.0

    def _uniform(self, shape, low, high):
        return keras.ops.full(shape, np.log(self.step))


# SciPy before 1.14 speaks of what changed in 2016.
@pytest.mark.filterwarnings("ignore:The behavior of affine_transform with a 1-D array")
@settings(deadline=None, max_examples=20)
@given(height=st.integers(4, 15), width=st.integers(4, 15), step=st.floats(0.6, 1.6))
def test_a_zoom_is_that_of_scipy_about_the_center(height, width, step):
    X = np.random.default_rng(0).random((2, height, width, 3), dtype=np.float32)
    layer = ZoomsBy(0.9)
    layer.step = step
    center = (np.array([height, width, 1]) - 1) / 2
    for patch, output in zip(X, augmented(layer, X), strict=True):
        scale = np.array([step, step, 1])
        by_scipy = affine_transform(
            patch, scale, offset=center * (1 - scale), order=1, mode="reflect"
        )
        np.testing.assert_allclose(output, by_scipy, atol=1e-3)


def test_the_draws_fill_their_range_evenly_on_both_sides():
    # On a ramp, the slope of the output is what one pixel of it is in the input.
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32)[None, :, None, None], (1000, 16, 16, 1))
    rows = augmented(RandomZoom(0.5, seed=0), ramp)[:, 7:9, 8, 0]
    steps = np.log(rows[:, 1] - rows[:, 0])
    farthest = np.log(1.5)
    assert np.abs(steps).max() <= farthest + 1e-4
    assert np.histogram(steps, 4, (-farthest, farthest))[0].min() > 190  # 250, 4 deviations


def test_values_stay_between_those_there_were():
    X = patches(50)
    output = augmented(RandomZoom(0.9, seed=0), X)
    assert X.min() <= output.min() <= output.max() <= X.max()


def test_on_a_gpu_tensorflow_is_told_not_to_compile_it():
    assert RandomZoom().supports_jit == (keras.backend.backend() != "tensorflow")


@pytest.mark.parametrize("factor", [0, -0.1, 1.0])
def test_a_factor_out_of_range_is_refused(factor):
    with pytest.raises(ValueError, match=r"factor == .*, must be"):
        RandomZoom(factor)


# --- sharpness


@settings(deadline=None, max_examples=20)
@given(side=st.integers(1, 9), strength=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 999))
def test_each_patch_lies_on_the_line_to_its_copy_blurred_by_opencv(side, strength, seed):
    X = 0.4 + 0.2 * patches(4, side, seed)  # Far enough from 0 and 1, so nothing is clipped.
    for patch, output in zip(X, augmented(RandomSharpness(strength, seed), X), strict=True):
        blurred = cv2.GaussianBlur(patch, (3, 3), 0, borderType=cv2.BORDER_REFLECT)
        way = (blurred - patch).ravel().astype(np.float64)
        amount = float((output - patch).ravel() @ way / max(way @ way, 1e-12))
        np.testing.assert_allclose(output - patch, amount * (blurred - patch), atol=1e-6)
        assert -strength / 2 - 1e-4 <= amount <= strength + 1e-4


def test_about_a_third_is_sharpened_and_the_rest_is_blurred():
    X = np.stack([0.4 + 0.2 * patches(1)[0]] * 1000)
    contrast = augmented(RandomSharpness(seed=0), X).std(axis=(1, 2, 3))
    sharpened = (contrast > X[0].std()).mean()
    assert 0.27 < sharpened < 0.4  # 1/3, 4 standard deviations


def test_the_output_stays_in_0_to_1():
    X = (patches(50) > 0.5).astype(np.float32)
    output = augmented(RandomSharpness(seed=0), X)
    assert output.min() == 0
    assert output.max() == 1


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(ValueError, match=r"strength == .*, must be"):
        RandomSharpness(strength)

"""The network of the 8 symmetries: a patch keeps its probability when turned or mirrored."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_weights import with_random_weights

from pcam_sklearn.networks import D4Convolution, D4Normalization, build_network


def turned(a, symmetry, axes=(0, 1)):
    """Return an array under one of the 8 symmetries, of which the last four mirror it first."""
    mirrored, turns = divmod(symmetry, 4)
    return np.rot90(np.flip(a, axes[1]) if mirrored else a, turns, axes)


def product(g, h):
    """Return the symmetry that acts as h and then g, found by their effect on a square."""
    square = np.arange(9).reshape(3, 3)
    both = turned(turned(square, h), g)
    return next(k for k in range(8) if np.array_equal(turned(square, k), both))


PRODUCT = np.array([[product(g, h) for h in range(8)] for g in range(8)])
QUOTIENT = np.array([PRODUCT[PRODUCT[g].tolist().index(0)] for g in range(8)])  # g^-1 h


def values(network, X):
    return keras.ops.convert_to_numpy(network(X, training=False))


# --- the whole network


def features_and_logits(side, **parameters):
    """Return the last layer's input and its logits, for all views of 4 patches."""
    network = with_random_weights(build_network("d4", (side, side, 3), **parameters), seed=side)
    X = np.random.default_rng(side).random((4, side, side, 3), dtype=np.float32)
    X *= np.linspace(0.3, 1, 4, dtype=np.float32)[:, None, None, None]
    views = np.stack([turned(X, k, axes=(1, 2)) for k in range(8)])
    received = keras.Model(network.input, network.layers[-1].input)
    features = values(received, views.reshape(-1, side, side, 3))
    weights, bias = network.layers[-1].get_weights()
    return features.reshape(8, 4, -1), (features @ weights + bias).reshape(8, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "parameters"),
    [(side, {"filters": (2, 3, 4)}) for side in (32, 33, 48, 64, 95, 96)]
    + [(32, {}), (48, {"filters": (1, 2), "blocks": 2}), (7, {"filters": (2, 3)})],
    ids=str,
)
def test_all_views_of_a_patch_have_one_logit_and_patches_have_different_ones(side, parameters):
    features, logits = features_and_logits(side, **parameters)
    assert abs(features - features[0]).max() < 1e-5
    assert abs(logits - logits[0]).max() < 1e-5
    assert np.diff(np.sort(logits[0])).min() > 1e-3


def test_pixels_that_change_places_in_another_way_change_the_probability():
    network = with_random_weights(build_network("d4", (32, 32, 3), filters=(2, 4)))
    X = np.random.default_rng(0).random((1, 32, 32, 3), dtype=np.float32)
    smooth = np.sort(X, axis=1)
    assert abs(values(network, X) - values(network, smooth)) > 1e-3


@pytest.mark.parametrize("shape", [(32, 48, 3), (48, 32, 3)])
def test_patches_that_are_not_square_are_refused(shape):
    with pytest.raises(ValueError, match=rf"shape \({shape[0]}, {shape[1]}, 3\).*square patches"):
        build_network("d4", shape)


# --- its convolution


def padded(x, size, strides):
    """Return x with zeros around it, and the number of windows per side."""
    n = -(-x.shape[0] // strides)
    missing = max((n - 1) * strides + size - x.shape[0], 0)
    before_and_after = (missing // 2, missing - missing // 2)
    return np.pad(x, (before_and_after, before_and_after, (0, 0), (0, 0))), n


def direct_sum(x, kernel, strides):
    """Return the convolution over plane and group of one patch, term by term.

    x is (side, side, symmetries, features), kernel (size, size, symmetries, features, filters).
    An image has 1 symmetry.
    """
    size, n_symmetries, filters = kernel.shape[0], kernel.shape[2], kernel.shape[-1]
    x, n = padded(x, size, strides)
    out = np.zeros((n, n, 8, filters))
    for g in range(8):
        for h in range(n_symmetries):
            of_h = kernel[:, :, QUOTIENT[g, h] if n_symmetries == 8 else 0]
            weights = turned(of_h, g)
            for row, column in np.ndindex(n, n):
                top, left = strides * row, strides * column
                window = x[top : top + size, left : left + size, h]
                out[row, column, g] += np.einsum("yxf,yxfo->o", window, weights)
    return out


def a_convolution(side, size, strides, lifts, features=2, filters=3):
    """Return a built layer, and its kernel and a patch with one axis per meaning."""
    rng = np.random.default_rng(side + 10 * size)
    n_in = 1 if lifts else 8
    x = rng.normal(size=(side, side, n_in, features)).astype(np.float32)
    layer = D4Convolution(filters, size, strides, lifts)
    layer.build((None, side, side, n_in * features))
    kernel = rng.normal(size=(size, size, n_in, features, filters)).astype(np.float32)
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))
    return layer, kernel, x


def convolved(layer, x):
    """Return the layer's output for one patch, with an axis for symmetries and one for features."""
    side = x.shape[0]
    out = values(layer, np.ascontiguousarray(x).reshape(1, side, side, -1))
    return out.reshape(*out.shape[1:3], 8, -1)


@pytest.mark.parametrize("lifts", [True, False])
@pytest.mark.parametrize(("side", "size", "strides"), [(4, 3, 1), (3, 2, 1), (4, 2, 2), (5, 3, 2)])
def test_the_convolution_is_the_sum_over_plane_and_group(side, size, strides, lifts):
    layer, kernel, x = a_convolution(side, size, strides, lifts)
    expected = direct_sum(x, kernel, strides)
    np.testing.assert_allclose(convolved(layer, x), expected, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    side=st.integers(1, 7),
    half=st.integers(0, 2),
    strides=st.sampled_from([1, 2]),
    lifts=st.booleans(),
    symmetry=st.integers(0, 7),
)
def test_the_output_turns_as_the_input_does_and_its_symmetries_change_places(
    side, half, strides, lifts, symmetry
):
    # Only then do the windows lie symmetrically.
    size = 2 * half + (1 if strides == 1 or side % 2 else 2)
    layer, _, x = a_convolution(side, size, strides, lifts)
    places = QUOTIENT[symmetry]  # The channel at k afterwards was at symmetry^-1 k before.
    x_turned = turned(x, symmetry) if lifts else turned(x, symmetry)[:, :, places]
    expected = turned(convolved(layer, x), symmetry)[:, :, places]
    np.testing.assert_allclose(convolved(layer, x_turned), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("strides", "side"), [(1, 5), (2, 5), (2, 4)])
def test_the_shape_it_announces_is_the_one_it_gives(strides, side):
    layer, _, x = a_convolution(side, 3, strides, lifts=True)
    out = values(layer, x.reshape(1, side, side, -1))
    assert layer.compute_output_shape((1, side, side, 2)) == out.shape
    assert layer.compute_output_shape((None, side, side, 2)) == (None, *out.shape[1:])


def test_it_has_the_weights_of_one_symmetry():
    layer, _, _ = a_convolution(5, 3, 1, lifts=False, features=2, filters=3)
    assert layer.count_params() == 3 * 3 * 8 * 2 * 3


def test_its_outputs_have_the_variance_that_rectifiers_keep():
    layer = D4Convolution(16, 3)
    x = np.random.default_rng(0).normal(size=(2, 12, 12, 8 * 16)).astype(np.float32)
    inside = values(layer, x)[:, 1:-1, 1:-1]
    assert inside.var() == pytest.approx(2, rel=0.1)


def test_it_is_rebuilt_from_its_config():
    layer = D4Convolution(3, 2, 2, lifts=True, name="lift")
    again = D4Convolution.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.filters, again.kernel_size, again.strides, again.lifts) == (3, 2, 2, True)


@pytest.mark.parametrize("name", ["filters", "kernel_size", "strides"])
def test_its_wrong_parameters_are_refused(name):
    parameters = {"filters": 2, "kernel_size": 3, "strides": 1}
    with pytest.raises(ValueError, match=f"{name} == 0, must be >= 1"):
        D4Convolution(**parameters | {name: 0})
    with pytest.raises(TypeError, match=f"{name} must be an instance of"):
        D4Convolution(**parameters | {name: 1.5})


def test_an_image_that_is_not_lifted_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="8 channels per feature, got 3 in all; pass lifts=T"):
        D4Convolution(2, 3)(np.zeros((1, 4, 4, 3), np.float32))


# --- its normalization


def some_features(n_features=3):
    rng = np.random.default_rng(0)
    apart = rng.normal(rng.normal(0, 5, (8, n_features)), rng.uniform(1, 3, (8, n_features)))
    noise = rng.normal(size=(4, 5, 5, 8, n_features))
    return (noise + apart).reshape(4, 5, 5, -1).astype(np.float32)


def test_the_normalization_is_that_of_keras_where_symmetries_are_laid_out_as_pixels():
    of_keras, own = keras.layers.BatchNormalization(momentum=0.9), D4Normalization()
    x = some_features()
    pixels = x.reshape(4, 5, 40, 3)
    for layer, seen in ((of_keras, pixels), (own, x)):
        layer.build(seen.shape)
        layer.gamma.assign([1, 2, 3])
        layer.beta.assign([-1, 0, 1])
    for training in (True, False):
        expected = keras.ops.convert_to_numpy(of_keras(pixels, training=training))
        found = keras.ops.convert_to_numpy(own(x, training=training))
        np.testing.assert_allclose(found, expected.reshape(x.shape), rtol=1e-4, atol=1e-5)
    for name in ("moving_mean", "moving_variance"):
        mine, theirs = (keras.ops.convert_to_numpy(getattr(v, name)) for v in (own, of_keras))
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_the_normalization_keeps_what_it_knows_where_it_is_not_trainable():
    layer, x = D4Normalization(), some_features()
    layer.build(x.shape)
    layer.trainable = False
    training = keras.ops.convert_to_numpy(layer(x, training=True))
    np.testing.assert_array_equal(training, keras.ops.convert_to_numpy(layer(x, training=False)))
    assert not keras.ops.convert_to_numpy(layer.moving_mean).any()


def test_its_sums_are_not_in_16_bits():
    layer = D4Normalization(dtype="mixed_float16")
    x = np.full((2, 64, 64, 8), 300, np.float16)  # Their sum overflows 16 bits.
    out = keras.ops.convert_to_numpy(layer(x, training=True))
    assert out.dtype == np.float16
    np.testing.assert_allclose(out, 0, atol=0.1)
    mean = keras.ops.convert_to_numpy(layer.moving_mean)
    np.testing.assert_allclose(mean, 30, rtol=1e-3)


def test_the_normalization_is_rebuilt_from_its_config():
    layer = D4Normalization(0.5, epsilon=0.1, name="tied")
    again = D4Normalization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.momentum, again.epsilon) == (0.5, 0.1)


@pytest.mark.parametrize(("name", "value"), [("momentum", 1), ("momentum", -0.1), ("epsilon", 0)])
def test_wrong_parameters_of_the_normalization_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} == {value}"):
        D4Normalization(**{name: value})


def test_the_normalization_of_an_image_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"8 channels .* got 3 in all; put it behind a D4Convol"):
        D4Normalization()(np.zeros((1, 4, 4, 3), np.float32))

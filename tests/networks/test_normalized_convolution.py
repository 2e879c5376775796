"""A convolution and its normalization as one layer: the same numbers as the two by themselves."""

import re

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from support.random_weights import with_random_weights

from pcam_sklearn.networks import D4Normalization, NormalizedConvolution
from pcam_sklearn.networks._normalized import BatchNormalization

RNG = np.random.default_rng(0)


def values(tensor):
    return keras.ops.convert_to_numpy(tensor)


def built(filters, kernel_size=1, strides=1, channels=3, side=7, **options):
    """Return a network of this layer alone, with random weights."""
    inputs = keras.Input((side, side, channels))
    layer = NormalizedConvolution(filters, kernel_size, strides, **options)
    return with_random_weights(keras.Model(inputs, layer(inputs)))


def two_layers(layer):
    """Return Keras' own two layers with the same weights."""
    shape = {"strides": layer.strides, "padding": "same", "use_bias": False}
    if layer.filters is None:
        convolution = layers.DepthwiseConv2D(layer.kernel_size, **shape)
    else:
        convolution = layers.Conv2D(layer.filters, layer.kernel_size, **shape)
    normalization = layers.BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon)
    both = keras.Sequential([keras.Input(layer.input.shape[1:]), convolution, normalization])
    convolution.set_weights(layer.convolution.get_weights())
    normalization.set_weights(layer.normalization.get_weights())
    return both


@settings(deadline=None, max_examples=15)
@given(
    filters=st.sampled_from([None, 1, 4]),
    kernel_size=st.sampled_from([1, 3, 5]),
    strides=st.sampled_from([1, 2]),
    side=st.integers(1, 9),
)
def test_it_predicts_what_both_layers_predict(filters, kernel_size, strides, side):
    network = built(filters, kernel_size, strides, side=side)
    X = RNG.random((2, side, side, 3), dtype=np.float32)
    expected = values(two_layers(network.layers[1])(X, training=False))
    np.testing.assert_allclose(values(network(X, training=False)), expected, atol=1e-5)


@pytest.mark.parametrize("filters", [None, 4])
def test_it_trains_as_both_layers_train(filters):
    network = built(filters, 3)
    both = two_layers(network.layers[1])
    X = RNG.random((4, 7, 7, 3), dtype=np.float32)
    expected = values(both(X, training=True))
    np.testing.assert_allclose(values(network(X, training=True)), expected, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(network.weights, both.weights, strict=True):
        np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-6])  # One operation is not made for the second.
@pytest.mark.parametrize("shape", [(4, 7, 7, 3), (1, 1, 1, 3), (6, 3)])
def test_the_normalization_trains_as_that_of_keras(shape, epsilon):
    X = RNG.normal(3, 2, shape).astype(np.float32)
    ours, theirs = (
        kind(momentum=0.8, epsilon=epsilon)
        for kind in (BatchNormalization, layers.BatchNormalization)
    )
    for layer in (ours, theirs):
        layer.build(shape)
        layer.gamma.assign([0.5, 1.0, 2.0])
    found, expected = (values(layer(X, training=True)) for layer in (ours, theirs))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(values(one), values(other), atol=1e-5)


POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"]
if keras.backend.backend() != "jax":  # It has no 64 bits unless it is told so.
    POLICIES.append("float64")


@pytest.mark.parametrize("policy", POLICIES)
def test_the_normalization_trains_under_each_policy_as_that_of_keras(policy):
    X = RNG.normal(3, 2, (4, 7, 7, 3)).astype(np.float32)
    ours, theirs = (
        kind(momentum=0.8, dtype=policy) for kind in (BatchNormalization, layers.BatchNormalization)
    )
    found, expected = (layer(X, training=True) for layer in (ours, theirs))
    assert found.dtype == expected.dtype
    # The last digit of 16 bits may differ.
    digit = 0.02 if "16" in policy else 1e-5
    found, expected = (keras.ops.cast(y, "float32") for y in (found, expected))
    np.testing.assert_allclose(values(found), values(expected), atol=digit)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        assert one.dtype == other.dtype
        one, other = (keras.ops.cast(w, "float32") for w in (one, other))
        np.testing.assert_allclose(
            values(one), values(other), atol=1e-5 if "mixed" in policy else digit
        )


@pytest.mark.parametrize("policy", POLICIES)
def test_the_normalization_of_symmetries_trains_under_each_policy(policy):
    layer = D4Normalization(dtype=policy)
    output = layer(RNG.normal(3, 2, (4, 4, 4, 16)).astype(np.float32), training=True)
    output = values(keras.ops.cast(output, "float32"))
    assert abs(output.mean()) < 0.02
    assert abs(output.std() - 1) < 0.02


@pytest.mark.parametrize("options", [{"axis": 1}, {"scale": False}, {"center": False}])
def test_the_normalization_keeps_the_options_of_keras(options):
    X = RNG.normal(3, 2, (4, 5, 6, 3)).astype(np.float32)
    ours, theirs = (kind(**options) for kind in (BatchNormalization, layers.BatchNormalization))
    found, expected = (values(layer(X, training=True)) for layer in (ours, theirs))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_gradients_of_the_normalization_are_those_of_keras():
    X = RNG.normal(3, 2, (8, 5, 5, 3)).astype(np.float32)
    y = (X.mean(axis=(1, 2, 3)) > 3).astype(np.float32)[:, None]
    trained = []
    for kind in (BatchNormalization, layers.BatchNormalization):
        stack = [layers.Conv2D(4, 3), kind(), layers.GlobalAveragePooling2D(), layers.Dense(1)]
        network = keras.Sequential([keras.Input(X.shape[1:]), *stack])
        fill = np.random.default_rng(0)
        network.set_weights([fill.uniform(0.1, 1, w.shape) for w in network.get_weights()])
        network.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        network.fit(X, y, epochs=3, batch_size=8, verbose=0)
        trained.append(network.get_weights())
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_its_predictions_follow_its_weights():
    network = built(4, 3)
    X = RNG.random((2, 7, 7, 3), dtype=np.float32)
    before = values(network(X, training=False))
    network(X, training=True)  # The running mean and variance move.
    after = values(network(X, training=False))
    assert not np.allclose(before, after)
    expected = values(two_layers(network.layers[1])(X, training=False))
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_a_frozen_layer_keeps_its_statistics_while_others_train():
    network = built(4, 3)
    network.trainable = False
    X = RNG.random((4, 7, 7, 3), dtype=np.float32)
    before = [values(weight).copy() for weight in network.weights]
    output = values(network(X, training=True))
    for now, then in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(values(now), then)
    np.testing.assert_allclose(output, values(network(X, training=False)), atol=1e-6)


def test_a_saved_layer_comes_back_with_its_parameters(tmp_path):
    network = built(None, 5, 2, momentum=0.8, epsilon=0.01)
    network.save(tmp_path / "network.keras")
    back = keras.saving.load_model(tmp_path / "network.keras")
    X = RNG.random((2, 7, 7, 3), dtype=np.float32)
    np.testing.assert_allclose(values(back(X)), values(network(X)), atol=1e-6)
    assert back.layers[1].get_config() == network.layers[1].get_config()


@pytest.mark.parametrize("training", [True, False])
def test_under_a_mixed_policy_it_computes_in_16_bits_and_keeps_32(training):
    network = built(4, 3, dtype="mixed_bfloat16")
    X = RNG.random((2, 7, 7, 3), dtype=np.float32)
    assert "bfloat16" in str(network(X, training=training).dtype)
    assert {weight.dtype for weight in network.weights} == {"float32"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"filters": 0}, "filters == 0, must be >= 1"),
        ({"filters": 2, "kernel_size": 0}, "kernel_size == 0, must be >= 1"),
        ({"filters": 2, "strides": 0}, "strides == 0, must be >= 1"),
        ({"filters": 2, "momentum": 1}, "momentum == 1, must be < 1"),
        ({"filters": 2, "epsilon": 0}, "epsilon == 0, must be > 0"),
    ],
)
def test_a_parameter_out_of_range_is_refused(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        NormalizedConvolution(**parameters)

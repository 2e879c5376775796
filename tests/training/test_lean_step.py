"""A training step does less than that of Keras on TensorFlow, and leads to the same weights."""

import keras
import numpy as np
import pytest
from support.tiny import make_data

from pcam_sklearn._training._blueprint import Blueprint
from pcam_sklearn._training._model import make_trainer

X, Y = make_data(48)
PATCHES, TARGETS = X.astype(np.float32) / 255, Y.astype(np.float32)[:, None]
BLUEPRINT = Blueprint({}, X.shape[1:], "float32", seed=0)
RATE = 0.01  # High enough that a wrong update shows after a few steps.
OPTIMIZERS = {
    "Adam": (keras.optimizers.Adam, {}),
    "Adam, gradients of two steps": (keras.optimizers.Adam, {"gradient_accumulation_steps": 2}),
    "AdamW, averaged": (
        keras.optimizers.AdamW,
        {"weight_decay": 0.1, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    ),
    "SGD, momentum": (keras.optimizers.SGD, {"momentum": 0.9}),
}


class Levels(keras.layers.Layer):
    """A layer with one weight per brightness, whose gradient is sparse."""

    def build(self, input_shape):
        self.levels = self.add_weight(shape=(256,), initializer="ones")

    def call(self, patches):
        brightness = keras.ops.cast(keras.ops.mean(patches, axis=(1, 2, 3)) * 255, "int32")
        if keras.backend.backend() != "tensorflow":
            return keras.ops.sigmoid(keras.ops.take(self.levels, brightness)[:, None])
        import tensorflow as tf

        return keras.ops.sigmoid(tf.gather(self.levels.value, brightness)[:, None])


def tiny_network():
    """Return a network of two layers: what is compared is how gradients become updates."""
    layers = [keras.layers.Conv2D(2, 3, strides=3, activation="tanh"), keras.layers.Flatten()]
    output = keras.layers.Dense(1, activation="sigmoid", dtype="float32")
    return keras.Sequential([keras.Input(X.shape[1:]), *layers, output])


def trained(model, epochs=2):
    """Return the weights after some epochs of three steps each, in the order of the patches."""
    keras.utils.set_random_seed(0)
    model.fit(PATCHES, TARGETS, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return [np.array(value) for value in model.get_weights()]


def both_ways(network, make_optimizer):
    """Return the weights of a network trained by the package, and those trained by Keras alone."""
    twin = keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    parameters = {"loss": "binary_crossentropy", "metrics": []}
    trainer = make_trainer(
        network, BLUEPRINT, None, {**parameters, "optimizer": make_optimizer()}, 1
    )
    twin.compile(**parameters, optimizer=make_optimizer())
    return trained(trainer), trained(twin)


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_weights_become_those_of_keras_alone(optimizer, settings):
    settings = {"learning_rate": RATE, **settings}
    ours, theirs = both_ways(tiny_network(), lambda: optimizer(**settings))
    for ours_, theirs_ in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_weights_of_16_bit_layers_become_those_of_keras_alone():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = tiny_network()
    finally:
        keras.config.set_dtype_policy("float32")
    for ours, theirs in zip(*both_ways(network, keras.optimizers.Adam), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_a_sparse_gradient_is_taken():
    network = keras.Sequential([keras.Input(X.shape[1:]), Levels()])
    ours, theirs = both_ways(network, lambda: keras.optimizers.Adam(RATE))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.slow
def test_layers_frozen_after_some_epochs_stay_as_they_are():
    network = tiny_network()
    parameters = {"loss": "binary_crossentropy", "optimizer": "adam", "metrics": []}
    trainer = make_trainer(network, BLUEPRINT, None, parameters, n_steps=1)
    trained(trainer)
    network.layers[0].trainable = False
    trainer.compile(loss="binary_crossentropy", optimizer=trainer.optimizer)
    before = network.get_weights()
    trained(trainer)
    changed = [
        not np.array_equal(old, new) for old, new in zip(before, network.get_weights(), strict=True)
    ]
    assert changed == [False, False] + [True] * (len(changed) - 2)

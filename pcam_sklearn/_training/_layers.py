"""The layers of a network, without which its arrays mean nothing."""

import hashlib

import keras


def hash_layers(network: keras.Model) -> str:
    """Return a hash of the classes of all layers in their order.

    Layers without weights, such as a scaling, leave no trace in the arrays.
    """
    names = [type(layer).__name__ for layer in _all_layers(network)]
    return hashlib.sha256(" ".join(names).encode()).hexdigest()


def trainable_layers(network: keras.Model) -> list[bool]:
    """Return for each layer whether it is trained, which a user may have changed since."""
    return [layer.trainable for layer in _all_layers(network)]


def set_trainable(network: keras.Model, trainable: list[bool]) -> None:
    """Set for each layer whether it is trained. A model sets its layers, so these come later."""
    for layer, is_trained in zip(_all_layers(network), trainable, strict=True):
        if layer.trainable != is_trained:  # Setting it sets all layers inside as well.
            layer.trainable = is_trained


def take_up_weights(network: keras.Model) -> None:
    """Let layers that compute with copies of their variables copy the new values."""
    for layer in _all_layers(network):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _all_layers(model: keras.Model) -> list[keras.Layer]:
    layers = []
    for layer in model.layers:
        layers += [layer, *(_all_layers(layer) if isinstance(layer, keras.Model) else [])]
    return layers

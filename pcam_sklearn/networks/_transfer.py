"""A network of keras.applications, with the preprocessing it was trained with."""

import inspect
from types import ModuleType

import keras
from keras import layers

from pcam_sklearn.networks._parts import probability


def transfer(
    input_shape: tuple[int, int, int],
    *,
    backbone: str = "MobileNetV3Small",
    weights: str | None = "imagenet",
    trainable: bool = True,
    dropout: float = 0.2,
) -> keras.Model:
    """Build a published network with a head for one probability.

    The patches reach the backbone as it was trained: its own ``preprocess_input`` is part of the
    network, so nothing has to be divided, centered or reordered before. While it is trained, the
    statistics of its batch normalization follow within tens of steps instead of thousands.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width (each at least 32 pixels, for some backbones more) and 3.
    backbone : str, default="MobileNetV3Small"
        A function of `keras.applications`: "EfficientNetV2B0", "DenseNet121", "ResNet50V2", ...
    weights : str or None, default="imagenet"
        "imagenet" downloads the weights once into Keras' cache; a path loads a file; None starts
        from random weights.
    trainable : bool, default=True
        False trains the head alone.
    dropout : float, default=0.2
        Share of the pooled features dropped while training, in [0, 1).

    Returns
    -------
    network : keras.Model
        Uncompiled; from patches in [0, 1] to the probability of tumour, shape (n_samples, 1).

    Raises
    ------
    ValueError
        If keras.applications has no such backbone, or it refuses the shape or the weights.

    Examples
    --------
    >>> from pcam_sklearn.networks import transfer
    >>> transfer((32, 32, 3), weights=None).output_shape
    (None, 1)
    """
    family = _family(backbone)
    build = getattr(keras.applications, backbone)
    base = build(include_top=False, weights=weights, input_shape=input_shape, pooling="avg")
    base.trainable = trainable
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            # Some have a momentum of .999, meant for millions of images: after a short training
            # the network would still predict by the statistics that it started with.
            layer.momentum = 0.9
    inputs = keras.Input(input_shape)
    features = base(family.preprocess_input(layers.Rescaling(255.0)(inputs)))
    return keras.Model(inputs, probability(features, dropout), name="transfer")


def _family(backbone: str) -> ModuleType:
    """Return the public module of keras.applications that holds a backbone's preprocessing."""
    known = [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]
    if backbone not in known:
        raise ValueError(f"backbone must be one of {', '.join(known)}; got {backbone!r}.")
    families = [module for _, module in inspect.getmembers(keras.applications, inspect.ismodule)]
    holders = [family for family in families if hasattr(family, backbone)]
    # This one family has its functions in keras.applications alone.
    return holders[0] if holders else keras.applications.mobilenet_v3

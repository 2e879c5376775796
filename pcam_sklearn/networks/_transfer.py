"""A network of keras.applications behind the preprocessing that it was trained with."""

import inspect
from types import ModuleType

import keras
import numpy as np
from keras import layers
from sklearn.utils import check_scalar

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

    The backbone's ``preprocess_input`` is part of the network: patches in [0, 1] need no scaling.
    In training, its batch normalization adapts to patches in tens of steps instead of thousands.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width (each at least 32 pixels, more for some backbones) and 3 channels.
    backbone : str, default="MobileNetV3Small"
        A function of `keras.applications`: "EfficientNetV2B0", "DenseNet121", "ResNet50V2", ...
    weights : str or None, default="imagenet"
        "imagenet" downloads weights once into Keras' cache, a path loads a file, None draws them.
    trainable : bool, default=True
        False trains only the head.
    dropout : float, default=0.2
        Share of the pooled features dropped while training, in [0, 1).

    Returns
    -------
    network : keras.Model
        An uncompiled network from patches in [0, 1] to the probability of tumour, (n_samples, 1).

    Raises
    ------
    TypeError
        If `trainable` is no bool.
    ValueError
        If keras.applications lacks the backbone, or the backbone refuses the shape or weights.

    Examples
    --------
    >>> from pcam_sklearn.networks import transfer
    >>> transfer((32, 32, 3), weights=None).output_shape
    (None, 1)
    """
    family = _family(backbone)
    check_scalar(trainable, "trainable", (bool, np.bool_))  # "no" would count as yes.
    build = getattr(keras.applications, backbone)
    base = build(include_top=False, weights=weights, input_shape=input_shape, pooling="avg")
    base.trainable = bool(trainable)
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            # Some have a momentum of .999, meant for millions of images: after a short training
            # the network would still predict with its initial statistics.
            layer.momentum = 0.9
    inputs = keras.Input(input_shape)
    # preprocess_input expects bytes' range, and the classifier hands on patches in [0, 1].
    features = base(family.preprocess_input(layers.Rescaling(255.0)(inputs)))
    return keras.Model(inputs, probability(features, dropout), name="transfer")


def _family(backbone: str) -> ModuleType:
    """Return the public module of keras.applications that holds a backbone's preprocessing."""
    known = [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]
    if backbone not in known:
        raise ValueError(f"backbone must be one of {', '.join(known)}; got {backbone!r}.")
    families = [module for _, module in inspect.getmembers(keras.applications, inspect.ismodule)]
    holders = [family for family in families if hasattr(family, backbone)]
    # MobileNetV3's functions are in no module of their own, only its preprocessing is.
    return holders[0] if holders else keras.applications.mobilenet_v3

"""The Keras networks, by name: short functions that build for any input shape."""

import inspect
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import layers
from sklearn.utils import check_scalar

__all__ = ["NETWORKS", "build_network", "get_network", "notebook"]


def notebook(
    input_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (32, 64, 128),
    third_pool: int = 1,
    dense_units: int = 128,
    dropout: float = 0.5,
) -> keras.Model:
    """Build the plain network of the notebook this package grew from.

    Three convolutions, the first two followed by 2x2 max pooling, then one dense layer. At the
    default parameters and 32x32 pixels it has 355,649 parameters, three quarters of them in the
    dense layer.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width (each at least 18 pixels) and channels of a patch.
    filters : sequence of 3 int, default=(32, 64, 128)
        Number of filters of each convolution.
    third_pool : {1, 2}, default=1
        Side of the third max pooling; 1 keeps the resolution.
    dense_units : int, default=128
        Units of the dense layer.
    dropout : float, default=0.5
        Share of the dense layer's outputs dropped while training, in [0, 1).

    Returns
    -------
    network : keras.Model
        Uncompiled; from patches in [0, 1] to the probability of tumour, shape (n_samples, 1).

    Raises
    ------
    ValueError
        If `filters` does not hold three numbers or a layer refuses its parameter.

    Examples
    --------
    >>> from pcam_sklearn.networks import notebook
    >>> notebook((32, 32, 3)).count_params()
    355649
    """
    if np.ndim(filters) != 1 or len(filters) != 3:
        raise ValueError(f"filters must hold three numbers, one a convolution, got {filters!r}.")
    check_scalar(dropout, "dropout", Real, min_val=0, max_val=1, include_boundaries="left")
    stack = [keras.Input(input_shape)]
    for n_filters, pool in zip(filters, (2, 2, third_pool), strict=True):
        stack += [layers.Conv2D(n_filters, 3, activation="relu"), layers.MaxPooling2D(pool)]
    stack += [
        layers.Flatten(),
        layers.Dense(dense_units, activation="relu"),
        layers.Dropout(dropout),
        layers.Dense(1, activation="sigmoid"),
    ]
    return keras.Sequential(stack, name="notebook")


NETWORKS: dict[str, Callable[..., keras.Model]] = {"notebook": notebook}


def get_network(network: str | Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """Return the function that builds a network.

    Parameters
    ----------
    network : str or callable
        One of ``NETWORKS``, or a function ``(input_shape, **hyper_parameters) -> keras.Model``,
        which is returned as it is.

    Returns
    -------
    build : callable
        The function.

    Raises
    ------
    ValueError
        If there is no network of that name.

    Examples
    --------
    >>> from pcam_sklearn.networks import get_network
    >>> get_network("notebook").__name__
    'notebook'
    """
    if callable(network) and not isinstance(network, keras.Layer):
        return network
    if not isinstance(network, str) or network not in NETWORKS:
        raise ValueError(
            f"network must be one of {sorted(NETWORKS)}, or a function "
            f"(input_shape, **hyper_parameters) -> keras.Model; got {network!r}."
        )
    return NETWORKS[network]


def check_hyper_parameters(build: Callable[..., Any], names: Sequence[str], prefix: str) -> None:
    """Raise if the function that builds a network does not take a hyper-parameter.

    Parameters
    ----------
    build : callable
        The function.
    names : sequence of str
        The hyper-parameters meant for it.
    prefix : str
        What the caller types before each name, for the message.

    Raises
    ------
    ValueError
        If `build` does not take one of them.
    """
    parameters = list(inspect.signature(build).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    allowed = [p.name for p in parameters[1:]]
    for name in names:
        if name not in allowed:
            raise ValueError(
                f"{prefix}{name} is not a parameter of the network "
                f"{getattr(build, '__name__', build)!r}; it takes {allowed}."
            )


def build_network(
    network: str | Callable[..., keras.Model],
    input_shape: tuple[int, int, int],
    **hyper_parameters: Any,
) -> keras.Model:
    """Build a network and check that it is one probability wide.

    Parameters
    ----------
    network : str or callable
        As in :func:`get_network`.
    input_shape : tuple of int
        Height, width and channels of a patch.
    **hyper_parameters : dict
        Passed on to the function.

    Returns
    -------
    network : keras.Model
        From ``(n_samples, *input_shape)`` to ``(n_samples, 1)``.

    Raises
    ------
    TypeError
        If the function returns something else than a Keras model.
    ValueError
        If the network cannot be built for that shape, or its output is not (n_samples, 1).

    Examples
    --------
    >>> from pcam_sklearn.networks import build_network
    >>> build_network("notebook", (32, 32, 3), third_pool=2).count_params()
    159041
    """
    build = get_network(network)
    try:
        model = build(input_shape, **hyper_parameters)
    except ValueError as error:
        raise ValueError(
            f"The network {network!r} cannot be built for patches of shape {input_shape} with "
            f"{hyper_parameters}: {error}"
        ) from error
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"The network {network!r} must be a function that returns a keras.Model, "
            f"got {type(model).__name__}."
        )
    if not model.built:
        model.build((None, *input_shape))
    if tuple(model.output_shape) != (None, 1):
        raise ValueError(
            f"The network {network!r} must end in one probability, shape (None, 1), for instance "
            f"Dense(1, activation='sigmoid'); its output has shape {model.output_shape}."
        )
    return model

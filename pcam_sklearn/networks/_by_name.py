"""Networks by name, and the checks around those that are the user's own."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras

from pcam_sklearn.networks._d4 import d4
from pcam_sklearn.networks._notebook import notebook
from pcam_sklearn.networks._residual import residual
from pcam_sklearn.networks._transfer import transfer
from pcam_sklearn.networks._two_stream import two_stream

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "notebook": notebook,
    "residual": residual,
    "d4": d4,
    "two-stream": two_stream,
    "transfer": transfer,
}


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
        If the network cannot be built for that shape, or its output is not (n_samples, 1), or one
        of 16 bits.

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
    model = _with_known_output(model, input_shape)
    if tuple(model.output_shape) != (None, 1):
        raise ValueError(
            f"The network {network!r} must end in one probability, shape (None, 1), for instance "
            f"Dense(1, activation='sigmoid'); its output has shape {model.output_shape}."
        )
    if model.outputs[0].dtype in ("float16", "bfloat16"):
        raise ValueError(
            f"The network {network!r} ends in {model.outputs[0].dtype}, which holds no more than "
            "three digits of a probability; give its last layer dtype='float32'."
        )
    return model


def _with_known_output(model: keras.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    """Return a model that tells its shapes, which a class with a `call` of its own does not."""
    if getattr(model, "outputs", None):
        return model
    inputs = keras.Input(input_shape)
    outputs = model(inputs)
    if isinstance(model, keras.Sequential):
        return model
    return keras.Model(inputs, outputs, name=model.name)

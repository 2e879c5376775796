"""Networks by name, and checks of networks that users write."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras

from pcam_sklearn.networks._d4 import d4
from pcam_sklearn.networks._efficientnet_lite import efficientnet_lite0
from pcam_sklearn.networks._notebook import notebook
from pcam_sklearn.networks._residual import residual
from pcam_sklearn.networks._transfer import transfer
from pcam_sklearn.networks._two_stream import two_stream

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "notebook": notebook,
    "residual": residual,
    "d4": d4,
    "two-stream": two_stream,
    "efficientnet-lite0": efficientnet_lite0,
    "transfer": transfer,
}


def get_network(network: str | Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """Return the function that builds a network.

    Parameters
    ----------
    network : str or callable
        One of ``NETWORKS``, or a function ``(input_shape, **hyper_parameters) -> keras.Model``.

    Returns
    -------
    build : callable
        The function of that name, or the function that was passed.

    Raises
    ------
    ValueError
        If no network has that name.

    Examples
    --------
    >>> from pcam_sklearn.networks import get_network
    >>> get_network("notebook").__name__
    'notebook'
    """
    # A layer or model is callable too, but a classifier needs to build a new one for each fit.
    if callable(network) and not isinstance(network, keras.Layer):
        return network
    if not isinstance(network, str) or network not in NETWORKS:
        raise ValueError(
            f"network must be one of {sorted(NETWORKS)}, or a function "
            f"(input_shape, **hyper_parameters) -> keras.Model; got {network!r}."
        )
    return NETWORKS[network]


def network_name(network: Any) -> Any:
    """Return the name of a network of this package, or any other network as it is."""
    return next((name for name, build in NETWORKS.items() if build is network), network)


def check_hyper_parameters(build: Callable[..., Any], names: Sequence[str], prefix: str) -> None:
    """Raise ValueError unless the function that builds a network takes these hyper-parameters.

    Parameters
    ----------
    build : callable
        The function.
    names : sequence of str
        Names of the hyper-parameters.
    prefix : str
        The text that the user types before each name. The message repeats it.

    Raises
    ------
    ValueError
        If `build` lacks one of them.
    """
    parameters = list(inspect.signature(build).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    # The first parameter is the shape of the patches, which is no hyper-parameter.
    allowed = [p.name for p in parameters[1:]]
    unknown = [f"{prefix}{name} is not a parameter" for name in names if name not in allowed]
    if unknown:
        network = getattr(build, "__name__", build)
        raise ValueError(f"{unknown[0]} of the network {network!r}; it takes {allowed}.")


def build_network(
    network: str | Callable[..., keras.Model],
    input_shape: tuple[int, int, int],
    **hyper_parameters: Any,
) -> keras.Model:
    """Build a network, and check that it returns one probability per patch.

    Parameters
    ----------
    network : str or callable
        As in :func:`get_network`.
    input_shape : tuple of int
        Height, width and channels of a patch.
    **hyper_parameters : dict
        Keyword arguments of the function.

    Returns
    -------
    network : keras.Model
        A network from ``(n_samples, *input_shape)`` to ``(n_samples, 1)``.

    Raises
    ------
    TypeError
        If the function returns anything but a Keras model.
    ValueError
        If the shape does not suit the network, or its output is not (n_samples, 1) of 32 bits.

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
        wanted = f"for patches of shape {input_shape} with {hyper_parameters}"
        raise ValueError(f"The network {network!r} cannot be built {wanted}: {error}") from error
    except Exception as error:
        error.add_note(f"The network {network!r} was called with the shape {input_shape}, a tuple.")
        raise
    if not isinstance(model, keras.Model):
        wanted = f"a function that returns a keras.Model, got {type(model).__name__}"
        raise TypeError(f"The network {network!r} must be {wanted}.")
    model = _with_known_output(model, input_shape)
    _check_output(model, network)
    return model


def _check_output(model: keras.Model, network: str | Callable[..., keras.Model]) -> None:
    """Raise ValueError unless a model returns one probability of at least 32 bits per patch."""
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


def _with_known_output(model: keras.Model, input_shape: tuple[int, int, int]) -> keras.Model:
    """Return a model that knows its output's shape, which a class with a `call` does not."""
    if getattr(model, "outputs", None):
        return model
    inputs = keras.Input(input_shape)
    outputs = model(inputs)
    # The call builds a Sequential model in place; any other class needs a functional one around it.
    sequential = isinstance(model, keras.Sequential)
    return model if sequential else keras.Model(inputs, outputs, name=model.name)

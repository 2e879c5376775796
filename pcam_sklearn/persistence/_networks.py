"""Networks from and to plain data: what they are built from, and arrays by name."""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import Any

import keras
import numpy as np

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._blueprint import Blueprint
from pcam_sklearn._training._layers import hash_layers, take_up_weights
from pcam_sklearn._training._model import PatchModel
from pcam_sklearn._training._randomness import seeded
from pcam_sklearn._training._weights import assign_named, named_shapes
from pcam_sklearn.classifier import CNNClassifier
from pcam_sklearn.networks import NETWORKS

Arrays = Mapping[str, np.ndarray]

_MOST_ARRAYS = 2048  # The deepest networks of keras.applications have some 1,600.
_LONGEST_SIDE = 4096


def trainer_from_plain(
    blueprint: Blueprint, weights: Arrays, optimizer: Arrays | None, layers: str
) -> PatchModel:
    """Return the model of a blueprint, with these arrays in its network and its optimizer."""
    _check_size(blueprint, weights)
    current_framework().prepare_devices()
    network = _build(blueprint, weights)
    if hash_layers(network) != layers:
        raise ModelFileError(
            f"the network {network.name!r} is built of other layers than the one that was saved; "
            "load it with the versions in its requirements.txt, or with the function it was "
            "built by"
        )
    assign_named(network.variables, weights, f"the network {network.name!r}")
    take_up_weights(network)
    network.compile(optimizer=None)
    if optimizer is not None:
        network.compile(optimizer=blueprint.build_optimizer(CNNClassifier))
        network.optimizer.build(network.trainable_variables)
        assign_named(network.optimizer.variables, optimizer, "the optimizer")
    return PatchModel(network, blueprint)


def require_rebuilt(blueprint: Blueprint, network: keras.Model) -> None:
    """Raise ModelFileError if a published network has layers that only its own weights bring.

    The first versions of EfficientNet scale their input only with ``weights="imagenet"``.
    """
    if blueprint.parameters["network"] == "transfer":
        rebuilt = _in_a_thread(lambda: _without_memory(blueprint))
        if hash_layers(rebuilt) != hash_layers(network):
            raise ModelFileError(
                "Keras builds this backbone with other layers if it does not load its published "
                "weights, so it cannot be built again without them; choose another backbone, such "
                "as model__backbone='EfficientNetV2B0'"
            )


def _without_memory(blueprint: Blueprint) -> keras.Model:
    """Return a network whose variables have shapes and no values; call it in a thread."""
    with seeded(blueprint.seed), keras.StatelessScope(initialize_variables=False):
        return blueprint.build_network(CNNClassifier, weights_follow=True)


def _build(blueprint: Blueprint, weights: Arrays) -> keras.Model:
    """Return the network, or raise ModelFileError if it is not that of the arrays."""
    try:
        return _in_a_thread(lambda: _build_lazily(blueprint, weights))
    except ModelFileError:
        raise
    except Exception:
        # A function of the user's own may need values at once. It is no code of the file.
        if not callable(blueprint.parameters["network"]):
            raise
    with seeded(blueprint.seed):
        network = blueprint.build_network(CNNClassifier, weights_follow=True)
    _check_shapes(network, weights)
    return network


def _build_lazily(blueprint: Blueprint, weights: Arrays) -> keras.Model:
    """Return the network, whose variables take memory only when their shapes are known to fit."""
    network = _without_memory(blueprint)
    _check_shapes(network, weights)
    with keras.StatelessScope():
        pass  # To leave this scope gives the variables their memory.
    return network


def _check_shapes(network: keras.Model, weights: Arrays) -> None:
    wanted, found = named_shapes(network.variables), {k: v.shape for k, v in weights.items()}
    if wanted != found:
        name = min(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
        raise ModelFileError(
            f"the arrays are not those of the network {network.name!r}: for {name!r} it needs "
            f"{wanted.get(name, 'nothing')}, and the file has {found.get(name, 'nothing')}"
        )


def _check_size(blueprint: Blueprint, weights: Arrays) -> None:
    """Raise ModelFileError for numbers that no network with so few arrays can have been built from.

    To build layers takes time even where it takes no memory. Each filter and each unit leaves a
    value in an array, and each convolution with its normalization leaves five arrays.
    """
    sides = blueprint.input_shape
    if len(sides) != 3 or not all(type(n) is int and 1 <= n <= _LONGEST_SIDE for n in sides):
        raise ModelFileError(f"no network is built for patches of shape {sides}")
    if len(weights) > _MOST_ARRAYS:
        raise ModelFileError(f"it has {len(weights):,} arrays; at most {_MOST_ARRAYS:,} are read")
    network, parameters = blueprint.parameters["network"], blueprint.parameters
    if network not in NETWORKS:
        return  # The user's own function knows what its numbers mean.
    values = sum(math.prod(array.shape) for array in weights.values())
    numbers = [n for value in parameters.values() for n in _whole_numbers(value)]
    filters, blocks = parameters.get("filters"), parameters.get("model__blocks", 1)
    stages = len(filters) - 1 if isinstance(filters, (list, tuple, np.ndarray)) else 1
    deep = network in ("residual", "d4", "two-stream")
    if max(map(abs, numbers), default=0) > max(values, _LONGEST_SIDE) or (
        deep and isinstance(blocks, Integral) and 5 * stages * (1 + 2 * int(blocks)) > len(weights)
    ):
        raise ModelFileError(
            f"its parameters describe a larger network than its {values:,} numbers in "
            f"{len(weights):,} arrays can fill"
        )


def _whole_numbers(value: Any) -> list[int]:
    items = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
    return [int(item) for item in items if isinstance(item, Integral)]


def _in_a_thread(call: Callable[[], Any]) -> Any:
    """Return the result of a call in a thread of its own.

    Keras lists variables without memory by thread, and gives it to all in the list at once. Those
    of a network that was refused must not stay there.
    """
    framework = current_framework()
    placement = framework.placement()  # A new thread has none.

    def run() -> Any:
        with framework.under(placement):
            return call()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()

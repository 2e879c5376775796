"""The blueprint of a network and its optimizer, from which both can be built once more."""

import inspect
import os
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pcam_sklearn._training._recipe import average_weights, layers_under
from pcam_sklearn.networks import NETWORKS, build_network, efficientnet_lite0, get_network
from pcam_sklearn.networks._own_weights import slides_behind

_PARAMETERS = (
    "network", "filters", "third_pool", "dense_units", "dropout",
    "optimizer", "learning_rate", "weight_averaging",
)  # fmt: skip
_ROUTES = ("model__", "optimizer__", "compile__")


@dataclass(frozen=True)
class Blueprint:
    """All that a network and its optimizer are built from.

    `parameters` are those of the classifier, as they were when the network was built. `seed` is
    that of the global generators at that moment: a network may draw more than its weights.
    """

    parameters: dict[str, Any]
    input_shape: tuple[int, int, int]
    dtype_policy: str
    seed: int

    @classmethod
    def of(cls, classifier: Any, input_shape: tuple[int, int, int], seed: int) -> "Blueprint":
        """Return the blueprint of the network that a classifier builds for such patches."""
        parameters = {
            name: value
            for name, value in classifier.get_params(deep=False).items()
            if name in _PARAMETERS or name.startswith(_ROUTES)
        }
        policy = classifier.dtype_policy or keras.config.dtype_policy().name
        return cls(parameters, input_shape, policy, seed)

    def build_network(self, classifier_type: type, *, weights_follow: bool = False) -> keras.Model:
        """Return a new network; `weights_follow` says that its weights will be assigned anyway."""
        classifier = classifier_type(**self.parameters)
        hyper_parameters = classifier._hyper_parameters()
        if weights_follow:
            hyper_parameters |= _nothing_pretrained(classifier.network, hyper_parameters)
        with layers_under(self.dtype_policy):
            return build_network(classifier.network, self.input_shape, **hyper_parameters)

    def slides_behind_weights(self) -> tuple[np.ndarray | None, bool]:
        """Return the slides that the first weights were trained on, and whether these are all."""
        weights = self.parameters.get("model__weights")
        if weights is None or (isinstance(weights, str) and weights == "imagenet"):
            return None, True
        is_lite = get_network(self.parameters["network"]) is efficientnet_lite0
        return slides_behind(weights) if is_lite else (None, False)

    def build_optimizer(self, classifier_type: type) -> keras.optimizers.Optimizer:
        """Return a new optimizer."""
        return build_optimizer(classifier_type(**self.parameters))


def build_optimizer(classifier: Any) -> keras.optimizers.Optimizer:
    """Return a new optimizer, as the parameters of a classifier say."""
    optimizer = classifier._compile_parameters(_learning_rate(classifier))["optimizer"]
    return average_weights(optimizer, classifier.weight_averaging)


def _learning_rate(classifier: Any) -> dict[str, float]:
    """Return `learning_rate` as a routed parameter, unless something more special is set."""
    name = "optimizer__learning_rate"
    is_instance = isinstance(classifier.optimizer, keras.optimizers.Optimizer)
    if classifier.learning_rate is None or is_instance or hasattr(classifier, name):
        return {}
    # Keras takes no other numbers, such as those of NumPy or integers.
    return {name: float(classifier.learning_rate)}


def _nothing_pretrained(network: Any, hyper_parameters: dict[str, Any]) -> dict[str, None]:
    """Return the parameter that keeps a network from loading weights by a name or a path."""
    build = get_network(network)
    default = inspect.signature(build).parameters.get("weights")
    weights = hyper_parameters.get("weights", default and default.default)
    # Here `weights` says where weights are; to a function of the user's own it may mean numbers.
    is_ours = default is not None and build in NETWORKS.values()
    return {"weights": None} if is_ours or isinstance(weights, str | os.PathLike) else {}

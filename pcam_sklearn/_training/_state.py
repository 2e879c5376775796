"""A trained network as plain data, and the network made of such data again.

The data are the parameters that the network was built from, and arrays by name. Keras never reads
a configuration, so no layer, loss or optimizer has to be registered with it.
"""

from collections.abc import Mapping
from typing import Any

import keras

from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._blueprint import Blueprint
from pcam_sklearn._training._layers import (
    hash_layers,
    set_trainable,
    take_up_weights,
    trainable_layers,
)
from pcam_sklearn._training._model import PatchModel
from pcam_sklearn._training._randomness import seeded
from pcam_sklearn._training._weights import assign_named, named_values


def network_state(trainer: PatchModel) -> dict[str, Any]:
    """Return the blueprint and the weights of a trainer's network, and its optimizer's state."""
    optimizer = trainer.network.optimizer
    return {
        "built_from": dict(vars(trainer.blueprint)),
        "layers": hash_layers(trainer.network),
        "trainable": trainable_layers(trainer.network),
        "weights": named_values(trainer.network.variables),
        "optimizer": None if optimizer is None else named_values(optimizer.variables),
    }


def trainer_from_state(state: Mapping[str, Any], classifier_type: type) -> PatchModel:
    """Return a model that predicts as the one of `network_state` did, and can be trained on."""
    current_framework().prepare_devices()
    blueprint = Blueprint(**state["built_from"])
    with seeded(blueprint.seed):
        network = _build(blueprint, classifier_type, state["layers"])
        optimizer = None
        if state["optimizer"] is not None:
            optimizer = blueprint.build_optimizer(classifier_type)
    assign_named(network.variables, state["weights"], f"The network {network.name!r}")
    take_up_weights(network)
    set_trainable(network, state["trainable"])
    network.compile(optimizer=optimizer)
    if optimizer is not None:
        # Keras may have put the optimizer into one that scales the loss.
        network.optimizer.build(network.trainable_variables)
        owner = f"The optimizer {network.optimizer.name!r}"
        assign_named(network.optimizer.variables, state["optimizer"], owner)
    return PatchModel(network, blueprint)


def placed_as_new(trainer: PatchModel, classifier_type: type) -> PatchModel:
    """Return a trainer whose variables lie where new ones would, made again if they do not."""
    if trainer.placement is current_framework().placement():
        return trainer
    return trainer_from_state(network_state(trainer), classifier_type)


def _build(blueprint: Blueprint, classifier_type: type, layers: str) -> keras.Model:
    """Return a network with the layers of the one that was saved."""
    network = blueprint.build_network(classifier_type, weights_follow=True)
    if hash_layers(network) != layers:
        # Some published networks have layers that only their own weights bring.
        network = blueprint.build_network(classifier_type)
    if hash_layers(network) != layers:
        raise ValueError(
            f"The network {network.name!r} has other layers than the one that was saved; load it "
            "with the function, and the version of Keras, that built it."
        )
    return network

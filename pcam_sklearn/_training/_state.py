"""A trained network as plain data, and the network made of such data again.

The data are the parameters that the network was built from, and arrays by name. Keras never reads
a configuration, so no layer, loss or optimizer has to be registered with it.
"""

from collections.abc import Mapping
from typing import Any

from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._blueprint import Blueprint
from pcam_sklearn._training._model import PatchModel
from pcam_sklearn._training._randomness import seeded
from pcam_sklearn._training._weights import assign_named, named_values


def network_state(trainer: PatchModel) -> dict[str, Any]:
    """Return what a trainer's network was built from, its weights, and its optimizer's state."""
    optimizer = trainer.network.optimizer
    return {
        "built_from": dict(vars(trainer.blueprint)),
        "weights": named_values(trainer.network.variables),
        "optimizer": None if optimizer is None else named_values(optimizer.variables),
    }


def trainer_from_state(state: Mapping[str, Any], classifier_type: type) -> PatchModel:
    """Return a model that predicts as the one of `network_state` did, and can be trained on."""
    current_framework().prepare_devices()
    blueprint = Blueprint(**state["built_from"])
    with seeded(blueprint.seed):
        network = blueprint.build_network(classifier_type, weights_follow=True)
        optimizer = None
        if state["optimizer"] is not None:
            optimizer = blueprint.build_optimizer(classifier_type)
    assign_named(network.variables, state["weights"], f"The network {network.name!r}")
    network.compile(optimizer=optimizer)
    if optimizer is not None:
        # Keras may have put the optimizer into one that scales the loss.
        network.optimizer.build(network.trainable_variables)
        owner = f"The optimizer {network.optimizer.name!r}"
        assign_named(network.optimizer.variables, state["optimizer"], owner)
    return PatchModel(network, blueprint)

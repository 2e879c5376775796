"""Weights that this package has trained before, out of a model file."""

import json
import os
from typing import Any

import keras
import numpy as np

from pcam_sklearn._archive import parse_arrays, read_archive
from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._shipped import find_shipped
from pcam_sklearn._values import decode
from pcam_sklearn.networks._variable_names import name_variables

Arrays = dict[str, np.ndarray]


def assign_from_model_file(network: keras.Model, path: str | os.PathLike[str]) -> None:
    """Give the layers of a network the weights of the network in a model file.

    The last layer keeps its own where the file's has another shape: features may be pooled from
    patches of another size. Any other weight that the file lacks is a ValueError.
    """
    try:
        arrays = _read_network(path)
    except ModelFileError as error:
        raise ValueError(f"weights={os.fspath(path)!r} cannot be read: {error}.") from error
    for layer in network.layers:
        found = [arrays.get(name) for name in name_variables(layer.weights)]
        wanted = [tuple(weight.shape) for weight in layer.weights]
        shapes = [None if array is None else array.shape for array in found]
        if shapes == wanted:
            layer.set_weights(found)
        elif layer is not network.layers[-1]:
            raise ValueError(
                f"weights={os.fspath(path)!r} are of another network: {layer.name!r} needs arrays "
                f"of shapes {wanted}, and the file has {shapes}."
            )


def find_model_file(weights: Any) -> str | os.PathLike[str]:
    """Return the path of the model file that the parameter `weights` means."""
    return find_shipped("pcam") if weights == "pcam" else weights


def slides_behind(weights: Any) -> tuple[np.ndarray | None, bool]:
    """Return the slides that these weights were trained on, and whether these are all."""
    manifest = json.loads(read_archive(find_model_file(weights))["manifest.json"])
    learned = [node["learned"] for node in manifest["estimators"] if "learned" in node]
    # Weights come from the one network in a file.
    (told,) = [node for node in learned if "groups_" in node] or [{"groups_": None}]
    slides = decode(told["groups_"], "groups_")
    return slides, told.get("groups_complete_", slides is not None)


def _read_network(path: str | os.PathLike[str]) -> Arrays:
    """Return the arrays of the one network in a model file, by layer and weight."""
    arrays = parse_arrays(read_archive(path).get("weights.safetensors", b""))
    parts = {name: name.partition("/network/") for name in arrays}
    owners = {owner for owner, found, _ in parts.values() if found}
    if len(owners) != 1:
        raise ModelFileError(f"it holds {len(owners)} networks, and weights come from one")
    return {rest: arrays[name] for name, (_, found, rest) in parts.items() if found}

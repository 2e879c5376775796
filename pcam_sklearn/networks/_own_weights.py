"""Weights that this package has trained before, out of a model file."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from pcam_sklearn._archive import read_archive
from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._members import read_manifest, take_arrays
from pcam_sklearn._shipped import find_shipped
from pcam_sklearn._values import decode
from pcam_sklearn.networks._variable_names import name_variables

Arrays = dict[str, np.ndarray]


def assign_from_model_file(network: keras.Model, path: str | os.PathLike[str]) -> None:
    """Give the layers of a network the weights of the network in a model file.

    The last layer keeps its own where the file's has another shape: features may be pooled from
    patches of another size. Any other weight that the file lacks is a ValueError.
    """
    with _explained(path):
        arrays = _read_network(path)
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
    path = find_model_file(weights)
    with _explained(path):
        return _read_slides(read_manifest(read_archive(path)))


@contextlib.contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise a ValueError that names the file, where it cannot be read."""
    try:
        yield
    except ModelFileError as error:
        raise ValueError(f"weights={os.fspath(path)!r} cannot be read: {error}.") from error


def _read_slides(manifest: Mapping[str, Any]) -> tuple[np.ndarray | None, bool]:
    nodes = manifest["estimators"]
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise ModelFileError("its list of estimators is not as the package writes it")
    learned = [node["learned"] for node in nodes if isinstance(node.get("learned"), dict)]
    told = [part for part in learned if "groups_" in part] or [{"groups_": None}]
    if len(told) > 1:
        raise ModelFileError(f"it holds {len(told)} networks, and weights come from one")
    slides = decode(told[0]["groups_"], "groups_")
    complete = told[0].get("groups_complete_", slides is not None)
    listed = slides is None or (isinstance(slides, np.ndarray) and slides.ndim == 1)
    if not listed or not isinstance(complete, bool):
        raise ModelFileError("its list of slides is not as the package writes it")
    return slides, complete


def _read_network(path: str | os.PathLike[str]) -> Arrays:
    """Return the arrays of the one network in a model file, by layer and weight."""
    members = read_archive(path)
    read_manifest(members)
    arrays = take_arrays(members)
    parts = {name: name.partition("/network/") for name in arrays}
    owners = {owner for owner, found, _ in parts.values() if found}
    if len(owners) != 1:
        raise ModelFileError(f"it holds {len(owners)} networks, and weights come from one")
    return {rest: arrays[name] for name, (_, found, rest) in parts.items() if found}

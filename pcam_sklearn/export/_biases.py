"""Biases of convolutions that make up for weights rounded to 8 bits.

Rounding changes each channel by its weights' errors times what they read. Most of that is the same
in all patches, so the bias can take it back, and the probabilities keep their level.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pcam_sklearn.export._session import open_session

_TINY = 1e-3  # A share of the layer's largest weight.
_LARGEST = 127  # Weights are rounded to whole numbers from -127 to 127.


def correct_biases(model: Any, batches: Iterable[dict[str, np.ndarray]], exact: list[str]) -> None:
    """Change the biases of all convolutions but the exact ones, by the patches of the batches.

    M. Nagel et al., "Data-free quantization through weight equalization and bias correction", ICCV
    2019.
    """
    from onnx import numpy_helper

    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    rounded = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and node.name not in exact and arrays.keys() >= _constants(node)
    ]
    if not rounded:
        return
    means = _mean_inputs(model, [node.input[0] for node in rounded], batches)
    for node in rounded:
        x, weights, *bias = filter(None, node.input)
        change = _mean_change(arrays[weights], means[x])
        corrected = (arrays[bias[0]] if bias else 0) - change
        # Several nodes may share a bias, and none of the others wants this one.
        name = f"{node.name} bias"
        node.input[:] = [x, weights, name]
        model.graph.initializer.append(numpy_helper.from_array(corrected.astype(np.float32), name))
    remove_unused(model.graph)


def fill_dead_filters(graph: Any, exact: list[str]) -> None:
    """Give each filter of zeros a tiny weight, in all layers but the exact ones.

    A bias is rounded to steps of its filter, and ONNX Runtime gives a filter of zeros steps of 1.
    """
    from onnx import numpy_helper

    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if (
            node.op_type not in ("Conv", "Gemm")
            or node.name in exact
            or node.input[1] not in arrays
        ):
            continue
        in_rows = any(a.name == "transB" and a.i for a in node.attribute)
        weights = arrays[node.input[1]].copy()
        filters = weights if node.op_type == "Conv" or in_rows else weights.T
        dead = ~filters.any(axis=tuple(range(1, filters.ndim)))
        if dead.any():
            filters[(dead, *(0,) * (filters.ndim - 1))] = _TINY * (np.abs(weights).max() or 1)
            # Several nodes may share the weights, and an exact one keeps its zeros.
            node.input[1] = f"{node.name} weights"
            graph.initializer.append(numpy_helper.from_array(weights, node.input[1]))
    remove_unused(graph)


def _constants(node: Any) -> set[str]:
    """Return the names of a convolution's weights and of its bias, if it has one."""
    return set(filter(None, node.input[1:]))


def remove_unused(graph: Any) -> None:
    """Remove the constants of a graph that no node reads."""
    used = set(_names_read(graph))
    for tensor in list(graph.initializer):
        if tensor.name not in used:
            graph.initializer.remove(tensor)


def _names_read(graph: Any) -> Iterator[str]:
    """Yield the names of all values that nodes read, or that the graph gives."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:  # A loop reads values of the graph around it.
            if attribute.HasField("g"):
                yield from _names_read(attribute.g)


def _mean_change(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return by how much rounding changes each filter, where it reads these means of channels."""
    errors = _rounding_errors(weights).sum(axis=tuple(range(2, weights.ndim)))
    # A group of filters reads a group of channels.
    groups = inputs.reshape(-1, errors.shape[1])
    errors = errors.reshape(len(groups), -1, errors.shape[1])
    return np.einsum("gfc,gc->gf", errors, groups).ravel()


def _rounding_errors(weights: np.ndarray) -> np.ndarray:
    """Return the errors of rounded weights, of shape (n_filters, n_channels, ...)."""
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    step = np.where(largest > 0, largest / _LARGEST, 1)
    return np.round(weights / step) * step - weights


def _mean_inputs(
    model: Any, names: list[str], batches: Iterable[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the mean of each channel of some values of a graph over the patches."""
    import onnx

    measured = onnx.ModelProto()
    measured.CopyFrom(model)
    names = list(dict.fromkeys(names))
    outputs = [f"mean of {name}" for name in names]
    for name, output in zip(names, outputs, strict=True):
        measured.graph.node.append(onnx.helper.make_node("GlobalAveragePool", [name], [output]))
        measured.graph.output.append(
            onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
        )
    session = open_session(measured.SerializeToString())
    found = [session.run(outputs, batch) for batch in batches]
    # Shapes are (n_patches, n_channels, 1, ...).
    return {
        name: np.concatenate(values).mean(axis=0).ravel()
        for name, values in zip(names, zip(*found, strict=True), strict=True)
    }

"""Operations of a graph that ONNX Runtime lacks, or computes too roughly."""

from collections.abc import Callable
from typing import Any

import numpy as np

_ONE = "one"


def replace_operations(model: Any) -> None:
    """Write these operations of a model by others, in place."""
    from onnx import numpy_helper

    gates = _gates(model.graph)
    nodes = []
    for node in model.graph.node:
        gate = node.op_type == "Sigmoid" and node.output[0] in gates
        chosen = node.op_type in _REPLACED and not gate
        nodes += _REPLACED[node.op_type](node) if chosen else [node]
    if len(nodes) > len(model.graph.node):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(1), _ONE))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _gates(graph: Any) -> set[str]:
    """Return the outputs that are multiplied by something computed, as within a network."""
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    products = [node for node in graph.node if node.op_type == "Mul"]
    return {name for node in products if not constants & {*node.input} for name in node.input}


def _exact_sigmoid(node: Any) -> list[Any]:
    # ONNX Runtime's own has an error of 6e-8, which a calibration may take the logarithm of.
    return _chain(node, "Neg", "Exp", "Add", "Reciprocal")


def _complement_of_erf(node: Any) -> list[Any]:
    # TensorFlow has it for GELU, and ONNX has not.
    return _chain(node, "Erf", "Neg", "Add")


def _chain(node: Any, *kinds: str) -> list[Any]:
    """Return nodes that compute one after another what a node computed; what they add is 1."""
    from onnx import helper

    nodes, value = [], node.input[0]
    for number, kind in enumerate(kinds):
        output = node.output[0] if kind == kinds[-1] else f"{node.output[0]}/{number}"
        taken = [value, _ONE] if kind == "Add" else [value]
        nodes.append(helper.make_node(kind, taken, [output]))
        value = output
    return nodes


_REPLACED: dict[str, Callable[[Any], list[Any]]] = {
    "Sigmoid": _exact_sigmoid,
    "Erfc": _complement_of_erf,
}

"""The nodes of a graph that stay in 32 bits when the others get 8."""

from collections.abc import Iterator
from typing import Any

COMPUTING = ("Conv", "Gemm", "MatMul", "Add", "Clip", "Relu")
MOVING = ("Transpose", "Gather", "Concat")
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "GRU", "LSTM", "RNN")


def exact_nodes(graph: Any) -> list[Any]:
    """Return the nodes that stay in 32 bits, of a graph whose shapes are known."""
    return [*_nodes_of_numbers(graph), *_nodes_beside_layers(graph)]


def _nodes_of_numbers(graph: Any) -> list[Any]:
    """Return the nodes that compute a number per patch: last layers, calibrations and votes.

    With 8 bits the probability would have 256 levels, and they save nothing.
    """
    made = {output: node for node in graph.node for output in node.output}
    numbers = {value.name for value in graph.value_info if _is_number_per_patch(value)}
    constants = _constants(graph)
    found = []
    for node in graph.node:
        takes = {*node.input} - constants
        if takes and takes <= numbers:
            numbers.update(node.output)
            found.append(node)
        elif numbers & {*node.output}:
            found += _back_to_weights(node, made)
    return found


def _back_to_weights(node: Any, made: dict[str, Any]) -> Iterator[Any]:
    """Yield a node and those that it takes from, back to the last layers with weights."""
    todo, seen = [node], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if node.op_type not in _WEIGHTED:
            todo += [made[name] for name in node.input if name in made]


def _nodes_beside_layers(graph: Any) -> list[Any]:
    """Return the nodes that move features, add to patches, or add constants.

    Features would be rounded once more for nothing, while views of patches take a quarter of the
    memory in 8 bits. A constant may be tiny and matter, such as what keeps a variance from 0.
    """
    features: set[str] = set()
    constants = _constants(graph)
    found = []
    for node in graph.node:
        takes = {*node.input}
        if takes & features or node.op_type in _WEIGHTED:
            features.update(node.output)
        joins = takes <= features and not takes & constants
        if (node.op_type in MOVING and takes & features) or (node.op_type == "Add" and not joins):
            found.append(node)
    return found


def _constants(graph: Any) -> set[str]:
    return {"", *(tensor.name for tensor in graph.initializer)}


def _is_number_per_patch(value: Any) -> bool:
    sides = value.type.tensor_type.shape.dim[1:]
    return len(sides) > 0 and all(side.dim_value == 1 for side in sides)

"""Graphs in 8-bit integers, and the change that they make."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn.export._biases import correct_biases, fill_dead_filters, remove_unused
from pcam_sklearn.export._facts import INPUT
from pcam_sklearn.export._precision import COMPUTING, MOVING, exact_nodes
from pcam_sklearn.export._session import open_session, run

_BATCH = 16


@dataclass(frozen=True)
class Int8Change:
    """The change that 8 bits made on the calibration patches.

    Attributes
    ----------
    n_patches : int
        Number of patches compared.
    difference, mean_difference : float
        Largest and mean difference of a probability.
    auc, auc_before : float or None
        AUC with 8 bits and with 32, or None without labels of both classes.
    """

    n_patches: int
    difference: float
    mean_difference: float
    auc: float | None = None
    auc_before: float | None = None

    def __str__(self) -> str:
        text = (
            f"8 bits change a probability of the {self.n_patches:,} calibration patches by at most "
            f"{self.difference:.3f}, by {self.mean_difference:.4f} on average"
        )
        if self.auc is None:
            return f"{text}; for the change of the AUC, pass labels of both classes"
        return f"{text}; their AUC is {self.auc:.4f}, and was {self.auc_before:.4f}"


def quantize_graph(content: bytes, patches: np.ndarray) -> bytes:
    """Return the graph with 8-bit layers, whose ranges are those of these patches."""
    try:
        return _without_zero_points(_quantize(content, patches))
    except ModelFileError:
        raise
    except Exception as error:  # The errors of onnxruntime have no public base.
        raise ModelFileError(
            f"onnxruntime cannot write the graph in 8 bits: {type(error).__name__}: "
            f"{str(error)[:300]}; export it with quantize=None, or with a newer onnxruntime"
        ) from error


def _quantize(content: bytes, patches: np.ndarray) -> bytes:
    """Return the graph as onnxruntime writes it in 8 bits."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        exact, ready, small = (str(Path(folder) / f"{n}.onnx") for n in ("exact", "ready", "small"))
        Path(exact).write_bytes(content)
        quant_pre_process(exact, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            small,
            _Batches(patches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=[*COMPUTING, *MOVING],
            nodes_to_exclude=_prepare(ready, patches),
        )
        return Path(small).read_bytes()


def _prepare(path: str, patches: np.ndarray) -> list[str]:
    """Make a file ready for 8 bits, and return the names of the nodes that stay in 32."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    _refuse_loops(model.graph)
    for i, node in enumerate(model.graph.node):
        node.name = f"node{i}"
    exact = [node.name for node in exact_nodes(model.graph)]
    fill_dead_filters(model.graph, exact)
    correct_biases(model, _cut(patches), exact)
    onnx.save(model, path)
    return exact


def _refuse_loops(graph: Any) -> None:
    """Raise ModelFileError if a node holds a graph: ONNX Runtime crashes on some in 8 bits."""
    for node in graph.node:
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise ModelFileError(
                f"the graph has a {node.op_type} that holds a graph, as recurrent layers do, and "
                "cannot be computed in 8 bits; export it with quantize=None, or without --int8"
            )


def _without_zero_points(content: bytes) -> bytes:
    """Return the graph without the arrays that say that a bias has the zero point 0.

    That is so without them, and they are a thirtieth of a small file.
    """
    import onnx

    model = onnx.load_from_string(content)
    zeros = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT32
        and not onnx.numpy_helper.to_array(tensor).any()
    }
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]
    remove_unused(model.graph)
    return model.SerializeToString()


class _Batches:
    """Calibration patches as ONNX Runtime asks for them."""

    def __init__(self, patches: np.ndarray) -> None:
        self._batches = _cut(patches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch by the name of the input, or None at the end."""
        return next(self._batches, None)


def _cut(patches: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(patches), _BATCH):
        yield {INPUT: patches[start : start + _BATCH]}


def measure_change(
    exact: bytes, small: bytes, patches: np.ndarray, labels: Any, classes: np.ndarray
) -> Int8Change:
    """Compare two graphs on the same patches."""
    before, after = (_predict(content, patches) for content in (exact, small))
    change = np.abs(after - before)
    aucs = (None, None)
    if labels is not None:
        positive = _are_positive(labels, len(patches), classes)
        if 0 < positive.mean() < 1:
            aucs = (roc_auc_score(positive, after), roc_auc_score(positive, before))
    return Int8Change(len(patches), float(change.max()), float(change.mean()), *aucs)


def _are_positive(labels: Any, n_patches: int, classes: np.ndarray) -> np.ndarray:
    """Return whether each label is that of the second class, or raise ValueError."""
    labels = np.asarray(labels)
    if labels.shape != (n_patches,) or not np.isin(labels, classes).all():
        raise ValueError(
            f"calibration has labels of shape {labels.shape} for {n_patches:,} patches; pass one "
            f"of {classes.tolist()} for each patch, or no labels."
        )
    return labels == classes[1]


def _predict(content: bytes, patches: np.ndarray) -> np.ndarray:
    session = open_session(content)
    return np.concatenate([run(session, batch[INPUT]) for batch in _cut(patches)])

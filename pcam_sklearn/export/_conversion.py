"""A Keras model as the bytes of an ONNX file, with the package's names and facts."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn.export._facts import INPUT, KEY, OUTPUT, Facts, to_text
from pcam_sklearn.export._operations import replace_operations
from pcam_sklearn.persistence._manifest import versions

_EXTRA = "type: pip install onnx onnxruntime tf2onnx"


def convert(graph: keras.Model, patch_shape: tuple[int, int, int]) -> bytes:
    """Return the graph as Keras writes it from its backend."""
    framework = current_framework()
    if not framework.exports_onnx:
        raise ModelFileError(
            f"Keras writes no sound ONNX file from its backend {framework.name!r}; save the "
            "pipeline with pcam_sklearn.persistence.save_model, and type: "
            "KERAS_BACKEND=tensorflow pcam-sklearn export model.pcam --output model.onnx"
        )
    onnx = _import_onnx()
    with tempfile.TemporaryDirectory() as folder, _without_doubts():
        file = Path(folder) / "graph.onnx"
        try:
            takes = keras.InputSpec(shape=(None, *patch_shape), dtype="uint8", name=INPUT)
            graph.export(str(file), format="onnx", verbose=False, input_signature=[takes])
        except ImportError as error:
            raise ImportError(f"{error}; to export, {_EXTRA}") from error
        except Exception as error:  # A network of the user's own may fail in any way.
            raise ModelFileError(
                f"Keras cannot export the network from its backend {framework.name!r}: "
                f"{type(error).__name__}: {str(error)[:500]}"
            ) from error
        model = onnx.load(str(file))
    if len(model.graph.input) > 1:
        raise ModelFileError(
            "the network holds constants that are no weights, which Keras does not write: "
            f"{[end.name for end in model.graph.input[1:]]}; make each a NumPy array, or a weight "
            "by add_weight(trainable=False)"
        )
    replace_operations(model)
    return bytes(model.SerializeToString())


@contextmanager
def _without_doubts() -> Iterator[None]:
    """Silence converters, which warn of what may go wrong: whether it did is measured later."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(f"to export needs onnx, which is not installed; {_EXTRA}") from error
    return onnx


def with_facts(content: bytes, facts: Facts) -> bytes:
    """Return a graph with the package's names, which says the facts."""
    onnx = _import_onnx()
    model = onnx.load_from_string(content)
    _rename(model.graph)
    for end in (*model.graph.input, *model.graph.output):
        # Keras leaves the number of patches open under a name of its own.
        end.type.tensor_type.shape.dim[0].dim_param = "n_samples"
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: to_text(facts)})
    model.producer_name, model.producer_version = "pcam-sklearn", versions()["pcam-sklearn"]
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        other = "torch" if current_framework().name == "tensorflow" else "tensorflow"
        raise ModelFileError(
            f"Keras wrote no valid ONNX file: {' '.join(str(error).split())[:300]}; another "
            "backend may write the network's layers: save the model with save_model, start Python "
            f"with KERAS_BACKEND={other}, and call load_model and export_onnx there"
        ) from error
    return model.SerializeToString()


def _rename(graph: Any) -> None:
    """Give the ends their names, and all else a number: long names are a tenth of a small file."""
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT, "": ""}
    # A loop holds a graph that names values of the one around it.
    nested = any(a.HasField("g") or a.graphs for node in graph.node for a in node.attribute)

    def new(name: str) -> str:
        return names.get(name, name) if nested else names.setdefault(name, str(len(names)))

    for node in graph.node:
        node.name, node.doc_string = "", ""
        for values in (node.input, node.output):
            values[:] = [new(value) for value in values]
    for tensor in graph.initializer:
        tensor.name = new(tensor.name)
    graph.input[0].name, graph.output[0].name = INPUT, OUTPUT
    if not nested:
        del graph.value_info[:]  # Shapes of what lies between, which can be inferred.

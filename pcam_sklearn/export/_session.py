"""Sessions of ONNX Runtime, which compute a graph."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn.export._facts import INPUT, KEY, OUTPUT, Facts, from_text


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the content of an ONNX file."""
    with open(path, "rb") as file:
        return file.read()


def open_session(content: bytes, name: str, n_threads: int, providers: Sequence[str]) -> Any:
    """Return a session for a graph, or raise ModelFileError that calls the file `name`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "ONNX files are computed by onnxruntime, which is not installed; type: "
            "pip install 'pcam-sklearn[onnx]'"
        ) from error
    unknown = [p for p in providers if p not in onnxruntime.get_available_providers()]
    if unknown or not providers:
        raise ValueError(
            f"providers={list(providers)!r} must name some of those that this onnxruntime has: "
            f"{onnxruntime.get_available_providers()}."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 4  # What goes wrong is raised.
    try:
        # From bytes, so that the graph cannot name other files.
        return onnxruntime.InferenceSession(content, options, providers=list(providers))
    except Exception as error:  # The errors of onnxruntime have no public base.
        raise ModelFileError(
            f"{name} cannot be loaded: onnxruntime cannot read it: {type(error).__name__}: {error}"
        ) from error


def read_facts(session: Any, name: str) -> Facts:
    """Return the facts in a file, or raise ModelFileError that names the file."""
    try:
        facts = from_text(session.get_modelmeta().custom_metadata_map.get(KEY))
        _check_ends(session, facts)
    except ModelFileError as error:
        raise ModelFileError(f"{name} cannot be loaded: {error}") from error
    return facts


def _check_ends(session: Any, facts: Facts) -> None:
    """Raise ModelFileError if the graph takes or gives something else than the facts say."""
    ends = [*session.get_inputs(), *session.get_outputs()]
    found = [(end.name, end.type, tuple(end.shape[1:])) for end in ends]
    wanted = [(INPUT, "tensor(uint8)", facts.patch_shape), (OUTPUT, "tensor(float)", (2,))]
    if found != wanted:
        raise ModelFileError(f"its graph has the ends {found}, and must have {wanted}")


def run(session: Any, patches: np.ndarray) -> np.ndarray:
    """Return the probability of the second class for each patch, float64."""
    (output,) = session.run([OUTPUT], {INPUT: patches})
    return np.asarray(output[:, 1], dtype=np.float64)

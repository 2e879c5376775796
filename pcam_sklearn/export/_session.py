"""Sessions of ONNX Runtime, which compute a graph."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn.export._facts import INPUT, KEY, OUTPUT, Facts, from_text

_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"


def open_session(
    content: bytes,
    name: str = "the graph",
    n_threads: int = 0,
    providers: Sequence[str] = ("CPUExecutionProvider",),
) -> Any:
    """Return a session for a graph, or raise ModelFileError that calls the file `name`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "ONNX files are computed by onnxruntime, which is not installed; type: "
            "pip install onnxruntime"
        ) from error
    unknown = [p for p in providers if p not in onnxruntime.get_available_providers()]
    if unknown or not providers:
        raise ValueError(
            f"providers={list(providers)!r} must name some of those that this onnxruntime has: "
            f"{onnxruntime.get_available_providers()}."
        )
    options = _options(n_threads)
    try:
        # Without the fallback, which prints what went wrong and tries the same again.
        return onnxruntime.InferenceSession(
            content, options, providers=list(providers), enable_fallback=False
        )
    except Exception as error:  # The errors of onnxruntime have no public base.
        raise ModelFileError(
            f"{name} cannot be loaded: onnxruntime cannot read it: {type(error).__name__}: {error}"
        ) from error


def _options(n_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 4  # What goes wrong is raised.
    # A graph may name files that hold its weights. It finds none where no file can be.
    options.add_session_config_entry(_FOLDER_OF_WEIGHTS, os.devnull)
    return options


def read_facts(session: Any, name: str) -> Facts:
    """Return the facts in a file, or raise ModelFileError that names the file."""
    try:
        facts = from_text(session.get_modelmeta().custom_metadata_map.get(KEY))
        _check_ends(session, facts)
    except (ModelFileError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{name} cannot be loaded: {error}") from error
    return facts


def _check_ends(session: Any, facts: Facts) -> None:
    """Raise ModelFileError if the graph takes or gives something else than the facts say."""
    ends = [*session.get_inputs(), *session.get_outputs()]
    # The graph leaves a side of an array open by whatever name.
    shapes = [tuple(n if isinstance(n, int) else None for n in end.shape) for end in ends]
    found = [(end.name, end.type, shape) for end, shape in zip(ends, shapes, strict=True)]
    wanted = [
        (INPUT, "tensor(uint8)", (None, *facts.patch_shape)),
        (OUTPUT, "tensor(float)", (None, 2)),
    ]
    if found != wanted:
        raise ModelFileError(f"its graph has the ends {found}, and must have {wanted}")


def run(session: Any, patches: np.ndarray, name: str = "the graph") -> np.ndarray:
    """Return the probability of the second class for each patch, float64."""
    try:
        (output,) = session.run([OUTPUT], {INPUT: patches})
    except Exception as error:  # The errors of onnxruntime have no public base.
        raise ModelFileError(
            f"{name} cannot be computed: {type(error).__name__}: {str(error)[:500]}"
        ) from error
    if output.shape != (len(patches), 2):
        raise ModelFileError(
            f"{name} gives an array of shape {output.shape} for {len(patches)} patches"
        )
    return np.asarray(output[:, 1], dtype=np.float64)

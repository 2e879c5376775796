"""Write a fitted pipeline as one ONNX graph, and check that it gives the same probabilities."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._estimators import knows_its_slides, slides_trained_on
from pcam_sklearn._files import atomic_path, check_writable, expand_home
from pcam_sklearn.export._calibration import shown_rounding
from pcam_sklearn.export._conversion import convert, with_facts
from pcam_sklearn.export._facts import Facts
from pcam_sklearn.export._graph import build_graph, calibrations_in, in_float32
from pcam_sklearn.export._inputs import find_input, find_threshold
from pcam_sklearn.export._int8 import Int8Change, measure_change, quantize_graph
from pcam_sklearn.export._seal import seal
from pcam_sklearn.export._session import open_session, read_facts, run
from pcam_sklearn.persistence._manifest import versions
from pcam_sklearn.persistence._metadata import metadata_to_plain
from pcam_sklearn.preprocessing import check_patches

MOST_DIFFERENCE = 1e-5
EXTENSION = ".onnx"


@dataclass(frozen=True)
class OnnxExport:
    """The file that :func:`export_onnx` wrote, and its measurements.

    Attributes
    ----------
    path : Path
        The file.
    size : int
        Its size in bytes.
    difference : float
        The largest difference of a probability between the graph in 32 bits and the pipeline in 32
        bits, on patches that the export made.
    calibration_rounding : float
        What a probability may change by where a calibration is steepest, if the one before it is
        off by the last digit of 32 bits: 0 without a calibration.
    rounding : float
        The largest difference between the pipeline in 32 bits and as it is: 0, unless it computes
        in 16 bits.
    int8 : Int8Change or None
        What 8 bits changed on the calibration patches: `difference`, the largest one of a
        probability, `mean_difference`, and `auc` and `auc_before` if it came with labels.
    """

    path: Path
    size: int
    difference: float
    calibration_rounding: float = 0.0
    rounding: float = 0.0
    int8: Int8Change | None = None


def export_onnx(
    pipeline: Any,
    path: str | os.PathLike[str],
    *,
    quantize: str | None = None,
    calibration: Any = None,
    metadata: Mapping[str, Any] | None = None,
    verbose: int = 1,
) -> OnnxExport:
    """Write a fitted pipeline as one ONNX graph, from the bytes of patches to probabilities.

    The graph takes ``patches``, uint8 of shape (n_samples, height, width, 3), and gives
    ``probabilities``, float32 of shape (n_samples, 2), with columns in the order of `classes_`. It
    cuts the center, scales, and holds the network, test-time views, calibration and votes. Files
    are read, and patches of another size resized, by :func:`make_onnx_pipeline`.

    Parameters
    ----------
    pipeline : estimator
        A fitted `Pipeline` of `PatchReader`, `CenterCropNormalizer` and `CNNClassifier`, or the
        classifier alone; also in `CalibratedClassifierCV`, `VotingClassifier(voting="soft")`,
        `TunedThresholdClassifierCV`, `FixedThresholdClassifier`, `FrozenEstimator` or a search.
    path : path-like
        The file to write, whose name ends in ``.onnx``, in a folder that exists. An old file is
        replaced as a whole or not at all.
    quantize : {"int8"} or None, default=None
        "int8" computes layers with 8-bit integers: a third of the size or less, and faster on
        processors with VNNI or the like. Probabilities change.
    calibration : array-like, or tuple of (array-like, array-like), default=None
        Patches or paths, as the pipeline takes them, that set the ranges of the 8-bit numbers:
        some 100 patches that are like those to come. Labels beside them also have the AUC compared.
        Only for `quantize`, which needs it.
    metadata : mapping, default=None
        Facts about the model, as in :func:`pcam_sklearn.persistence.save_model`. Those that
        :func:`pcam_sklearn.persistence.read_metadata` read can be passed as they are.
    verbose : int, default=1
        0 prints nothing. 1 prints the largest difference.

    Returns
    -------
    export : OnnxExport
        Path, size, and what was measured.

    Raises
    ------
    ModelFileError
        If an estimator cannot be exported, or the graph differs from the pipeline by more than
        1e-5. Then no file is written. It is a ValueError.
    ImportError
        If the extra ``onnx`` is not installed.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If another argument is not as documented.
    OSError
        If the file cannot be written.

    See Also
    --------
    OnnxClassifier : Predict with the file, without Keras.
    pcam_sklearn.persistence.save_model : Write a file from which the pipeline is loaded again.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pcam_sklearn import make_pcam_pipeline
    >>> from pcam_sklearn.export import export_onnx, make_onnx_pipeline
    >>> X = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    >>> pipeline = make_pcam_pipeline(20, network="residual", filters=(2, 2), epochs=1)
    >>> pipeline = pipeline.fit(X, np.arange(8) % 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = export_onnx(pipeline, f"{folder}/model.onnx", verbose=0)
    ...     served = make_onnx_pipeline(f"{folder}/model.onnx")
    ...     probabilities = served.predict_proba(X)
    >>> bool(np.allclose(probabilities, pipeline.predict_proba(X), atol=1e-5))
    True
    """
    path = expand_home(path)
    _check_arguments(path, quantize, calibration)
    if not isinstance(pipeline, BaseEstimator):
        raise ModelFileError(
            f"a {type(pipeline).__name__} is no estimator of scikit-learn; export a fitted "
            "pipeline that ends in a CNNClassifier"
        )
    check_is_fitted(pipeline)
    facts = _facts_of(pipeline, {} if metadata is None else metadata, quantize)
    exact = in_float32(pipeline)
    graph = build_graph(exact, facts.patch_shape)
    content = with_facts(convert(graph, facts.patch_shape), facts)
    difference, rounding = _differences(content, pipeline, exact, facts)
    int8 = None
    if quantize is not None:
        patches, labels = _split(calibration)
        prepared = _prepare(patches, facts)
        in_32_bits, content = content, with_facts(quantize_graph(content, prepared), facts)
        int8 = measure_change(in_32_bits, content, prepared, labels, facts.classes)
    with atomic_path(path) as temporary:
        temporary.write_bytes(sealed := seal(content))
    shown = max(map(shown_rounding, calibrations_in(pipeline)), default=0.0)
    export = OnnxExport(path, len(sealed), difference, shown, rounding, int8)
    if verbose:
        print(describe(export))
    return export


def describe(export: OnnxExport) -> str:
    """Describe a written file and its measurements in one or two lines."""
    text = (
        f"{export.path}: {export.size:,} bytes; the graph differs from the pipeline by at most "
        f"{export.difference:.1g}"
    )
    if export.calibration_rounding > MOST_DIFFERENCE:
        text += (
            "; where its calibration is steepest, the last digit of a probability before it changes"
            f" one behind it by up to {export.calibration_rounding:.1g}"
        )
    if export.rounding:
        text += (
            f"; the pipeline computes in 16 bits, which changes its own probabilities by up to "
            f"{export.rounding:.1g}"
        )
    return text if export.int8 is None else f"{text}\n{export.int8}"


def _check_arguments(path: Path, quantize: str | None, calibration: Any) -> None:
    if path.suffix != EXTENSION:
        raise ModelFileError(
            f"an ONNX file ends in {EXTENSION}, got {path.name!r}; type "
            f"{str(path.parent / (path.stem.removeprefix(EXTENSION) or 'model')) + EXTENSION!r}"
        )
    check_writable(path)
    if quantize not in (None, "int8"):
        raise ValueError(f"quantize must be 'int8' or None, got {quantize!r}.")
    if (quantize is None) != (calibration is None):
        raise ValueError(
            "quantize='int8' needs calibration, patches that set the ranges of its numbers, and "
            "without it calibration does nothing; pass both or none."
        )


def _facts_of(pipeline: Any, metadata: Mapping[str, Any], quantize: str | None) -> Facts:
    takes = find_input(pipeline)
    threshold, above = find_threshold(pipeline)
    about = {**metadata_to_plain(metadata), "versions": dict(versions())}
    point = about["operating_point"]
    if point and isinstance(point["threshold"], float):  # JSON writes infinity otherwise.
        # A probability of 32 bits that equals the threshold must still reach it.
        point["threshold"] = min(point["threshold"], float(np.float32(point["threshold"])))
    return Facts(
        classes=np.asarray(pipeline.classes_),
        patch_shape=takes.shape,
        reader_crop_size=takes.reader_crop_size,
        resizes=takes.resizes,
        threshold=threshold,
        above=above,
        slides=slides_trained_on(pipeline),
        slides_complete=knows_its_slides(pipeline),
        quantize=quantize,
        about=about,
    )


def _differences(content: bytes, pipeline: Any, exact: Any, facts: Facts) -> tuple[float, float]:
    """Return the graph's difference from the pipeline, and the pipeline's from itself in 32 bits.

    Raise ModelFileError if the graph's is too large.
    """
    patches = made_patches(facts.patch_shape)
    session = open_session(content)
    read_facts(session, "the graph")  # What cannot be read again is not written.
    expected = exact.predict_proba(patches)[:, 1]
    # Alone as well: a network may look at the other patches of a batch.
    singly = [run(session, patches[i : i + 1]) for i in range(len(patches))]
    found = np.stack([run(session, patches), np.concatenate(singly)])
    difference = float(np.abs(found - expected).max())
    if not difference <= MOST_DIFFERENCE:
        raise ModelFileError(
            f"the graph differs from the pipeline by {difference:.2g} on patches made to compare "
            f"them, more than the {MOST_DIFFERENCE:g} that rounding explains, so no file was "
            "written; the pipeline does something that the graph does not, such as a layer that "
            "another framework computes otherwise, or its calibration is so steep that it shows "
            "any rounding; calibrate on more patches, or save the pipeline with save_model"
        )
    if exact is pipeline:
        return difference, 0.0
    return difference, float(np.abs(pipeline.predict_proba(patches)[:, 1] - expected).max())


def made_patches(shape: tuple[int, int, int]) -> np.ndarray:
    """Return patches of noise, of even colours and of both, to compare a graph on."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (24, *shape))
    even = generator.integers(0, 256, (24, 1, 1, shape[2]))
    share = np.linspace(0, 1, 24).reshape(-1, 1, 1, 1)
    return np.rint(share * noise + (1 - share) * even).astype(np.uint8)


def _split(calibration: Any) -> tuple[Any, Any]:
    """Return calibration patches, and their labels or None."""
    if isinstance(calibration, Mapping):
        raise ValueError("calibration is a dict; pass its patches, such as data.images.")
    if isinstance(calibration, tuple) and len(calibration) == 2:
        if isinstance(calibration[0], str | os.PathLike):
            raise ValueError("calibration is a tuple of two paths; pass a list of them.")
        return calibration
    sets = isinstance(calibration, list) and any(np.ndim(item) == 4 for item in calibration)
    if sets or isinstance(calibration, tuple):
        raise ValueError(
            f"calibration is a {type(calibration).__name__} of {len(calibration)}; pass patches, "
            "a list of paths, or the tuple (patches, labels)."
        )
    return calibration, None


def _prepare(patches: Any, facts: Facts) -> np.ndarray:
    """Return calibration patches as the bytes that the graph takes."""
    from pcam_sklearn.export._classifier import as_bytes, preparation

    patches = check_patches(preparation(facts).transform(patches), channels=None)
    if patches.shape[1:] != facts.patch_shape:
        raise ValueError(
            f"calibration has patches of shape {patches.shape[1:]}, but the classifier takes "
            f"{facts.patch_shape}."
        )
    return as_bytes(np.asarray(patches))

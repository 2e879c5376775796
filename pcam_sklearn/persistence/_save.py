"""Write a fitted estimator to a model file."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._archive import write_archive
from pcam_sklearn._errors import ModelFileError, ModelFileWarning
from pcam_sklearn._files import atomic_path, expand_home
from pcam_sklearn._members import check_arrays, check_header
from pcam_sklearn._messages import first_few
from pcam_sklearn.persistence._card import write_card, write_requirements
from pcam_sklearn.persistence._kinds import KINDS
from pcam_sklearn.persistence._manifest import to_json, versions
from pcam_sklearn.persistence._metadata import metadata_to_plain
from pcam_sklearn.persistence._nodes import Writer

EXTENSION = ".pcam"


def save_model(
    pipeline: Any,
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, Any] | None = None,
    include_optimizer: bool = False,
    dtype: str = "float32",
) -> None:
    """Save a fitted pipeline as plain data, in a file that cannot run code when it is loaded.

    Parameters
    ----------
    pipeline : estimator
        A fitted `Pipeline`, `PatchReader`, `CenterCropNormalizer` or `CNNClassifier`, or one of
        these in a `CalibratedClassifierCV`, `FrozenEstimator`, `TunedThresholdClassifierCV`,
        `FixedThresholdClassifier` or `VotingClassifier`, up to 10 one in another. A fitted search
        is saved as its best estimator.
    path : path-like
        The file to write, whose name ends in ``.pcam``, in a folder that exists. An old file is
        replaced as a whole or not at all.
    metadata : mapping, default=None
        Facts about the model. These have a meaning: ``evaluation``
        (:class:`~pcam_sklearn.report.Evaluation`, for metrics and card), ``operating_point``
        (:class:`~pcam_sklearn.metrics.OperatingPoint`), ``data_sha256``
        (:func:`~pcam_sklearn.report.hash_patches` of the training patches), ``title``,
        ``license``, and ``data`` and ``split`` as in :func:`~pcam_sklearn.report.model_card`. Any
        other name is kept with its value, which must be plain data.
    include_optimizer : bool, default=False
        Whether to save the optimizer's state, which takes twice the weights. Only a fit that
        resumes the last one needs it.
    dtype : {"float32", "float16"}, default="float32"
        The numbers that hold the weights. float16 halves the file, and rounds each weight to three
        digits; a loaded network computes in float32 again.

    Raises
    ------
    ModelFileError
        If the name of the file does not end in ``.pcam``, or an estimator or a parameter that the
        predictions need cannot be held by a model file, or a weight is too large for float16. It
        is a ValueError.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written.

    Warns
    -----
    ModelFileWarning
        If a parameter was left out that only a fit needs: callbacks, a loss, a metric or an
        optimizer of your own, a generator as `random_state`, `memory`. :func:`load_model` warns of
        it once more and gives the parameter its default.

    See Also
    --------
    load_model : Load the file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pcam_sklearn import make_pcam_pipeline
    >>> from pcam_sklearn.persistence import load_model, save_model
    >>> X = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    >>> pipeline = make_pcam_pipeline(20, network="residual", filters=(2, 2), epochs=1)
    >>> pipeline = pipeline.fit(X, np.arange(8) % 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(pipeline, f"{folder}/model.pcam")
    ...     again = load_model(f"{folder}/model.pcam")
    >>> bool((again.predict_proba(X) == pipeline.predict_proba(X)).all())
    True
    """
    path = expand_home(path)
    if path.suffix != EXTENSION:
        raise ModelFileError(
            f"a model file ends in {EXTENSION}, got {path.name!r}; type "
            f"{str(path.parent / (_stem(path) + EXTENSION))!r}"
        )
    check_is_fitted(pipeline)
    if dtype not in ("float32", "float16"):
        raise ModelFileError(f"dtype must be 'float32' or 'float16', got {dtype!r}")
    metadata = {} if metadata is None else metadata
    members, left_out = _members(pipeline, metadata, include_optimizer, dtype)
    if left_out:
        warnings.warn(
            f"the model file lacks {first_few(left_out)}: it predicts the same, and before you fit "
            "a loaded model again, set what is missing",
            ModelFileWarning,
            stacklevel=2,
        )
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        write_archive(file, members)


def _stem(path: Path) -> str:
    """Return the name of a file without its ending, or one for a path that names no file."""
    return path.stem if path.stem not in ("", "..", EXTENSION) else "model"


def _members(
    pipeline: Any, metadata: Mapping[str, Any], include_optimizer: bool, dtype: str
) -> tuple[dict[str, bytes], list[str]]:
    """Return the members of the file by name, and what they lack."""
    writer = Writer(KINDS, include_optimizer)
    writer.add(pipeline, "the estimator")
    check_arrays(writer.arrays)
    arrays = writer.arrays if dtype == "float32" else _halved(writer.arrays)
    plain = metadata_to_plain(metadata)
    others = {
        "weights.safetensors": save(arrays),
        "README.md": write_card(pipeline, metadata, plain),
        "requirements.txt": write_requirements(versions()),
    }
    check_header(others["weights.safetensors"])
    manifest = to_json({"estimators": writer.nodes, **plain}, others)
    return {"manifest.json": manifest, **others}, writer.left_out


def _halved(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays, those of networks in 16 bits; an optimizer's would be rounded to 0."""
    halved = dict(arrays)
    for name in filter(lambda name: "/network/" in name, arrays):
        array = arrays[name]
        if array.dtype != np.float32:
            continue
        largest = np.max(abs(array[np.isfinite(array)]), initial=0)
        if largest > np.finfo(np.float16).max:
            raise ModelFileError(
                f"the array {name!r} goes up to {largest:.3g}, and float16 to 65504; pass "
                "dtype='float32'"
            )
        halved[name] = array.astype(np.float16)
    return halved

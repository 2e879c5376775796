"""Read a model file and make the estimator that it describes."""

import os
import warnings
from collections.abc import Callable
from typing import Any

from sklearn.pipeline import Pipeline

from pcam_sklearn._archive import read_archive
from pcam_sklearn._errors import ModelFileError, ModelFileWarning
from pcam_sklearn._members import read_manifest, take_arrays
from pcam_sklearn._messages import first_few
from pcam_sklearn._shipped import find_shipped, is_shipped
from pcam_sklearn.networks import get_network
from pcam_sklearn.persistence._kinds import KINDS
from pcam_sklearn.persistence._manifest import warn_of_other_versions
from pcam_sklearn.persistence._metadata import metadata_from_plain
from pcam_sklearn.persistence._nodes import Reader


def load_model(path: str | os.PathLike[str], *, network: Callable[..., Any] | None = None) -> Any:
    """Load a fitted pipeline from a model file, without running code that comes with the file.

    The file names estimators out of a closed list, their parameters, and arrays. Everything in it
    is checked before it is used, and no file takes more than about 1 GB of memory.

    Parameters
    ----------
    path : path-like
        A file that :func:`save_model` wrote.
    network : callable, default=None
        The function ``(input_shape, **hyper_parameters) -> keras.Model`` that built the network,
        if it was your own. The file only holds its name, and nothing is imported by that.

    Returns
    -------
    pipeline : estimator
        The estimator, which gives the probabilities that the saved one gave.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, was changed, or holds anything that :func:`save_model` does not
        write, if a newer version of the package wrote it, or if it needs `network`. It is a
        ValueError, and names the file.

    Warns
    -----
    sklearn.exceptions.InconsistentVersionWarning
        If another version of scikit-learn wrote the file.
    ModelFileWarning
        If another version of this package or of Keras wrote the file, or parameters were left out
        that only a fit needs.

    See Also
    --------
    save_model : Write the file, with an example.
    read_metadata : Read what a file says about its model, without loading that.
    """
    try:
        return _load(path, network)
    except (OSError, ModelFileError) as error:
        raise _named(path, error) from error.__cause__
    except Exception as error:
        # Parameters of a file may make any constructor fail in any way, which says: a bad file.
        kind = type(error).__name__
        raise _named(path, ModelFileError(f"it cannot be made a model: {kind}: {error}")) from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a model file says about its model, without making that.

    Parameters
    ----------
    path : path-like
        A file that :func:`save_model` wrote.

    Returns
    -------
    metadata : dict
        ``operating_point``, ``metrics``, ``data_sha256``, ``versions``, and what else
        the `metadata` of :func:`save_model` held.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As in :func:`load_model`.

    Examples
    --------
    >>> import tempfile
    >>> from pcam_sklearn import PatchReader
    >>> from pcam_sklearn.persistence import read_metadata, save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(PatchReader(), f"{folder}/reader.pcam", metadata={"author": "A. Smith"})
    ...     metadata = read_metadata(f"{folder}/reader.pcam")
    >>> metadata["author"]
    'A. Smith'
    """
    try:
        return metadata_from_plain(read_manifest(read_archive(path)))
    except (OSError, ModelFileError) as error:
        raise _named(path, error) from error.__cause__


def load_pretrained(name: str = "pcam") -> Pipeline:
    """Load a fitted pipeline that comes with the package, and predicts at once.

    Nothing is downloaded. The package holds the model file and checks its SHA-256. Its card,
    in ``pcam_sklearn/models``, says how it was trained and measured, and
    :func:`~pcam_sklearn.persistence.read_metadata` reads the figures. It is research software, not
    a medical device, and was trained on patches of 48 slides from two hospitals.

    Parameters
    ----------
    name : {"pcam"}, default="pcam"
        "pcam" is the default recipe, trained on 4,000 patches of Kaggle's training set.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        The steps of :func:`~pcam_sklearn.make_pcam_pipeline`. X is paths of image files or an array
        of patches; the classes are 0 and 1, where 1 is tumour.

    Raises
    ------
    ValueError
        If there is no model of that name, or its file was changed.

    See Also
    --------
    pcam_sklearn.networks.efficientnet_lite0 : With ``weights="pcam"``, training goes on from it.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn import load_pretrained
    >>> pipeline = load_pretrained()
    >>> patches = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    >>> pipeline.predict_proba(patches).shape
    (2, 2)
    """
    return load_model(find_shipped(name))


def _load(path: str | os.PathLike[str], network: Callable[..., Any] | None) -> Any:
    if network is not None:
        network = get_network(network)
    members = read_archive(path)
    manifest = read_manifest(members)
    metadata_from_plain(manifest)
    arrays = take_arrays(members)
    reader = Reader(KINDS, arrays, network)
    estimator = reader.read(manifest["estimators"])
    if network is not None and not reader.network_used:
        raise ModelFileError(
            "network= is for a network of the user's own, and it holds none; leave network= out"
        )
    # Tests compare the package's own models with stored probabilities, under all versions.
    if not is_shipped(path):
        warn_of_other_versions(manifest, reader.estimators)
    if reader.left_out:
        warnings.warn(
            f"{os.fspath(path)} was saved without {first_few(reader.left_out)}: it predicts the "
            "same, and before you fit it again, set what is missing",
            ModelFileWarning,
            stacklevel=3,
        )
    return estimator


def _named(path: str | os.PathLike[str], error: Exception) -> Exception:
    """Return an error of the same kind that names the file."""
    if isinstance(error, OSError):
        return error
    return ModelFileError(f"{os.fspath(path)} cannot be loaded: {error}")

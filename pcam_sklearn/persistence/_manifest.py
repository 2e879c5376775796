"""The manifest of a model file as it is written, and what wrote it."""

import functools
import json
import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from pcam_sklearn._errors import ModelFileError, ModelFileWarning
from pcam_sklearn._members import FORMAT, FORMAT_VERSION, describe_member
from pcam_sklearn._training._backends import SUPPORTED, current_framework
from pcam_sklearn._values import check_values

# What is installed decides what is loaded; the others are for the record and for requirements.txt.
_PACKAGES = (
    "pcam-sklearn", "scikit-learn", "keras", "scikeras", "numpy", "scipy", "pandas",
    "opencv-python-headless", "safetensors",
)  # fmt: skip


@functools.cache
def versions() -> Mapping[str, str]:
    """Return the versions of Python, of this package and of what it depends on."""
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, *{*SUPPORTED} & {current_framework().name}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # Not every backend is installed, and OpenCV has several packages.
    return found


def to_json(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> bytes:
    """Return the manifest as JSON, with size and hash of each member."""
    listed = {name: describe_member(content) for name, content in members.items()}
    whole = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": dict(versions()),
        "backend": current_framework().name,
        **manifest,
        "members": listed,
    }
    check_values(whole, "the manifest")
    return json.dumps(whole, allow_nan=False, indent=1).encode()


def warn_of_other_versions(manifest: Mapping[str, Any], estimators: list[Any]) -> None:
    """Warn if other versions wrote the file, as scikit-learn does for pickles."""
    written, installed = manifest["versions"], versions()
    if not isinstance(written, dict) or not all(isinstance(v, str) for v in written.values()):
        raise ModelFileError("its list of versions is not as the package writes it")
    if written.get("scikit-learn") != installed["scikit-learn"]:
        names = sorted({type(e).__name__ for e in estimators if _is_of_scikit_learn(e)})
        for name in names:
            warning = InconsistentVersionWarning(
                estimator_name=name,
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=str(written.get("scikit-learn"))[:50],
            )
            warnings.warn(warning, stacklevel=4)
    for package in ("pcam-sklearn", "keras"):
        if written.get(package) != installed.get(package):
            warnings.warn(
                f"version {str(written.get(package))[:50]} of {package} wrote this model, and "
                f"{installed.get(package)} is installed; its probabilities may differ, so check "
                "them, or install the versions in its requirements.txt",
                ModelFileWarning,
                stacklevel=4,
            )


def _is_of_scikit_learn(estimator: Any) -> bool:
    return type(estimator).__module__.partition(".")[0] == "sklearn"

"""The manifest of a model file: what wrote it, what it holds, and how the rest must look."""

import functools
import hashlib
import json
import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from pcam_sklearn._errors import ModelFileError, ModelFileWarning
from pcam_sklearn._training._backends import SUPPORTED, current_framework
from pcam_sklearn._values import check_values

FORMAT = "pcam-sklearn model"
FORMAT_VERSION = 1
_KEYS = {
    "format", "format_version", "versions", "backend", "estimators", "operating_point",
    "data_sha256", "metrics", "metadata", "members",
}  # fmt: skip
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


def describe_member(content: bytes) -> dict[str, Any]:
    """Return size and hash of a member."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def read_manifest(members: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the manifest, when all other members are those that it lists."""
    if "manifest.json" not in members:
        raise ModelFileError("it is a zip without a manifest.json; save_model did not write it")
    manifest = _parse(members["manifest.json"])
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFileError("it is no model file: save_model did not write it")
    _check_format(manifest.get("format_version"))
    if manifest.keys() != _KEYS:
        raise ModelFileError("its manifest is not as the package writes it")
    others = {name: describe_member(members[name]) for name in members if name != "manifest.json"}
    if manifest["members"] != others:
        raise ModelFileError(
            "its members are not those that its manifest lists by size and SHA-256: it was changed"
        )
    for name in members:
        _check_text(name, members[name])
    check_values(manifest, "its manifest")
    return manifest


def _check_text(name: str, content: bytes) -> None:
    """Raise ModelFileError if a member that people read is no text."""
    if name.endswith((".md", ".txt")):
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            raise ModelFileError(f"its {name} is no text") from None


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


def _check_format(found: Any) -> None:
    if type(found) is not int or found < 1:
        raise ModelFileError("its manifest names no version of the format")
    if found > FORMAT_VERSION:
        raise ModelFileError(
            f"its format has version {found}, and this package reads up to {FORMAT_VERSION}; "
            "type: pip install --upgrade pcam-sklearn"
        )


def _parse(content: bytes) -> Any:
    try:
        return json.loads(
            content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except RecursionError:
        raise ModelFileError("its manifest nests too deeply") from None
    except ValueError as error:
        raise ModelFileError(f"its manifest is no sound JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ModelFileError("its manifest has a name twice in one object")
    return found


def _no_constant(word: str) -> Any:
    raise ModelFileError(f"its manifest holds {word}, which is no JSON")

"""The members of a model file, each of which is checked before it is used."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._values import check_values

FORMAT = "pcam-sklearn model"
FORMAT_VERSION = 1
_KEYS = {
    "format", "format_version", "versions", "backend", "estimators", "operating_point",
    "data_sha256", "metrics", "metadata", "members",
}  # fmt: skip
# Names, shapes and places of the arrays: 200 bytes for each of 20,000.
_LONGEST_HEADER = 4 * 2**20
_MOST_ARRAYS = 20_000  # Each takes some milliseconds, however small it is.
# Keras fills an array with random numbers first, in four times its memory for a moment.
_LARGEST_ARRAY = 96 * 2**20


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


def take_arrays(members: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Return the arrays, and remove their bytes from the members.

    The arrays are copies, and a network will need the memory of the bytes.
    """
    if "weights.safetensors" not in members:
        raise ModelFileError("it has no weights.safetensors")
    content = members.pop("weights.safetensors")
    check_header(content)
    try:
        arrays = load(content)
    except SafetensorError as error:
        raise ModelFileError(f"its weights.safetensors is damaged: {error}") from error
    check_arrays(arrays)
    return arrays


def check_header(content: bytes) -> None:
    """Raise ModelFileError if the arrays have a longer header than a reader takes.

    To parse millions of empty arrays takes gigabytes. The parser itself refuses what is cut off.
    """
    length = int.from_bytes(content[:8], "little")
    if _LONGEST_HEADER < length <= len(content):
        raise ModelFileError(
            f"the header of its weights.safetensors has {length:,} bytes, and at most "
            f"{_LONGEST_HEADER:,} are read; save a model of so many arrays with joblib"
        )


def check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ModelFileError for arrays that take more memory or time than loading may."""
    if len(arrays) > _MOST_ARRAYS:
        raise ModelFileError(
            f"it has {len(arrays):,} arrays, and at most {_MOST_ARRAYS:,} are read from a model "
            "file; save a model as large as this with joblib"
        )
    for name, array in arrays.items():
        # Networks have float32, also where the file has float16.
        n_bytes = array.size * max(array.itemsize, 4)
        if n_bytes > _LARGEST_ARRAY:
            raise ModelFileError(
                f"the array {name!r} takes {n_bytes:,} bytes, and at most {_LARGEST_ARRAY:,} "
                "are read from a model file; save a model as large as this with joblib"
            )


def _check_format(found: Any) -> None:
    if type(found) is not int or found < 1:
        raise ModelFileError("its manifest names no version of the format")
    if found > FORMAT_VERSION:
        raise ModelFileError(
            f"its format has version {found}, and this package reads up to {FORMAT_VERSION}; "
            "install a newer one: type git pull and pip install . in a clone of its repository"
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

"""The manifest of a run folder: size and SHA-256 of each file, by which damage is found."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"
_WHAT_TO_DO = (
    "train again, or copy the model out of the folder and pass the copy, which knows neither the "
    "threshold nor the patches of the run"
)


def write_manifest(folder: Path) -> None:
    """Write the manifest of all files in a folder."""
    files = {name: _describe(folder / name) for name in sorted(find_files(folder))}
    text = json.dumps({"format": 1, "files": files}, indent=2)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def find_files(folder: Path) -> set[str]:
    """Return the files below a folder, and the folders in which there is nothing, by their path."""
    paths = (path for path in folder.rglob("*") if not path.is_dir() or not any(path.iterdir()))
    return {path.relative_to(folder).as_posix() for path in paths}


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Raise ValueError unless these files of a run are as the run wrote them."""
    files = read_manifest(folder)
    for name in names:
        if (fault := _find_fault(folder / name, files.get(name))) is not None:
            raise ValueError(f"{folder / name} {fault}; {_WHAT_TO_DO}")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return size and hash of each file by its name."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise ValueError(
            f"{folder} is not a whole run folder: it lacks {MANIFEST_FILE}; pass a folder that "
            f"train wrote, or {_WHAT_TO_DO}"
        )
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {name: {"size": f["size"], "sha256": f["sha256"]} for name, f in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); {_WHAT_TO_DO}"
        ) from error


def _describe(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": sha256}


def _find_fault(path: Path, recorded: dict[str, Any] | None) -> str | None:
    if recorded is None:
        return f"is not in {MANIFEST_FILE}"
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != recorded["size"]:
        return f"has {size:,} bytes, but the run wrote {recorded['size']:,}"
    return None if _describe(path) == recorded else "has changed since the run wrote it"

"""The model files that come with the package."""

import hashlib
import os
from pathlib import Path

_FOLDER = Path(__file__).parent / "models"
_SHA256 = {
    "pcam": "f1bf6f43482e48f2f024d333e9dbd2ee5161ef781bb11c2f74642a7293e33111",
}


def find_shipped(name: str) -> Path:
    """Return the path of a model file of the package, or raise ValueError if it was changed."""
    if not isinstance(name, str) or name not in _SHA256:
        raise ValueError(f"the pretrained models are {sorted(_SHA256)}, got {name!r}.")
    path = _FOLDER / f"{name}.pcam"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256[name]:
        raise ValueError(
            f"{path} is not the file that came with the package: its SHA-256 is {found}, and must "
            f"be {_SHA256[name]}; install the package again: type pip install --force-reinstall "
            "--no-deps . in a clone of its repository"
        )
    return path


def is_shipped(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of a model file of the package."""
    path = Path(path)
    return path.parent.resolve() == _FOLDER.resolve() and path.stem in _SHA256

"""One GPU for each worker of a machine: a locked file tells which are taken."""

import getpass
import os
import platform
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pcam_sklearn._workspaces import lock_file

_VARIABLE = "CUDA_VISIBLE_DEVICES"
# As the process began, because preparing it narrows the variable down to one name.
_VISIBLE = os.environ.get(_VARIABLE)


@dataclass(frozen=True)
class Card:
    """A GPU that this process holds for itself."""

    name: str
    descriptor: int

    def release(self) -> None:
        """Let another process have it."""
        with suppress(OSError):
            os.close(self.descriptor)


def claim_card(gpus: int | list[str]) -> Card:
    """Claim a GPU that no other worker of this machine and user has.

    A process that had one before gets the same, if it can: a framework keeps the card on which it
    started.
    """
    names = _names(gpus)
    for name in sorted(names, key=lambda name: name != os.environ.get(_VARIABLE)):
        if (card := _try_to_claim(name)) is not None:
            return card
    raise ValueError(
        f"no GPU is left for a worker on {platform.node()}: other workers have all of "
        f"{', '.join(names)}; start one worker for each GPU."
    )


def _names(gpus: int | list[str]) -> list[str]:
    """Return the names of the GPUs: those given, or as many as are visible here."""
    if isinstance(gpus, list):
        return gpus
    if _VISIBLE is None:
        return [str(i) for i in range(gpus)]
    visible = [name.strip() for name in _VISIBLE.split(",") if name.strip()]
    if len(visible) < gpus:
        raise ValueError(
            f"gpus={gpus}, but the worker's {_VARIABLE} is {_VISIBLE!r}; pass at most "
            f"{len(visible)}, or None for a worker that has its GPU already."
        )
    return visible[:gpus]


def _user() -> str:
    """Return the name of the user, or the number where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on.
        return str(os.getuid())


def _try_to_claim(name: str) -> Card | None:
    folder = Path(tempfile.gettempdir(), f"pcam-sklearn-gpus-{_user()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "".join(c if c.isalnum() else "-" for c in name)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    if lock_file(descriptor, is_new=False):
        return Card(name, descriptor)
    os.close(descriptor)
    return None

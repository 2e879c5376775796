"""Files that are whole or not there: what the writers of this package share."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, which takes the final name once the block ends without an error.

    The temporary file lies in the folder of the final one, keeps the ending of its name (so that
    writers which choose a format by it go on working), and is removed on any error. The bytes are
    on the disk before the name changes, so that a power cut leaves the old file or the new one.

    Parameters
    ----------
    path : path-like
        The final name. Its folder must exist. A link is followed; a file there is replaced.

    Yields
    ------
    pathlib.Path
        The name to write to. A block that writes nothing is an error.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist, or the block wrote no file.
    IsADirectoryError
        If `path` is a folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     final = Path(folder, "answer.txt")
    ...     with atomic_path(final) as temporary:
    ...         _ = temporary.write_text("42")
    ...     final.read_text()
    '42'
    """
    final = Path(os.path.realpath(path))
    if final.is_dir():
        raise IsADirectoryError(f"{final} is a folder; give the name of a file in it")
    if not final.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {final.parent}; create it first")
    temporary = final.with_name(f".{secrets.token_hex(4)}-{final.name}")
    try:
        yield temporary
        if not temporary.is_file():
            raise FileNotFoundError(f"nothing was written for {final}")
        flush_to_disk(temporary)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def flush_to_disk(path: str | os.PathLike[str]) -> None:
    """Wait until the bytes of a file are on the disk, and not in the memory alone."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def md5_of(path: str | os.PathLike[str]) -> str:
    """Return the MD5 of a file as 32 hexadecimal digits; the file may be bigger than memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)

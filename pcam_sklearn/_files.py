"""Files and folders that are written as a whole or not at all, and their checksums."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to, and give the file its final name after the block.

    An error in the block leaves the old file as it was. A link is followed.
    """
    final = Path(os.path.realpath(path))
    if final.is_dir():
        raise IsADirectoryError(f"{final} is a folder; give the name of a file in it")
    _check_parent(final)
    temporary = _temporary_name(final)
    try:
        yield temporary
        if not temporary.is_file():
            raise FileNotFoundError(f"nothing was written for {final}")
        flush_to_disk(temporary)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], check: Callable[[], None]) -> Iterator[Path]:
    """Yield a temporary folder to fill, and give it the final name after the block.

    An error in the block leaves the old folder as it was. A link is followed. `check` raises if
    that folder must stay; it is called before the block, which may take hours, and after it.
    """
    final = Path(os.path.realpath(path))
    _check_parent(final)
    if final.is_file():
        raise NotADirectoryError(f"{final} is a file; give the name of a folder")
    check()
    temporary = _temporary_name(final)
    temporary.mkdir()
    try:
        yield temporary
        for file in filter(Path.is_file, temporary.rglob("*")):
            flush_to_disk(file)
        check()
        _replace_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_name(final: Path) -> Path:
    # In the same folder, because a rename across file systems would copy. With the same ending,
    # because some writers choose the format by it.
    return final.with_name(f".{secrets.token_hex(4)}-{final.name}")


def _check_parent(final: Path) -> None:
    if not final.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {final.parent}; create it first")


def _replace_folder(temporary: Path, final: Path) -> None:
    if not final.exists():
        temporary.rename(final)
        return
    # A full folder cannot be replaced in one step, so the old one is kept until the new one is in.
    old = temporary.with_name(f"{temporary.name}-old")
    final.rename(old)
    try:
        temporary.rename(final)
    except BaseException:
        old.rename(final)
        raise
    shutil.rmtree(old)


def flush_to_disk(path: str | os.PathLike[str]) -> None:
    """Wait until the bytes of a file are on the disk.

    Without this, a power cut after a rename can leave an empty file under the final name.
    """
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def md5_of(path: str | os.PathLike[str]) -> str:
    """Return the MD5 of a file as 32 hexadecimal digits; the file may be bigger than memory."""
    with open(path, "rb") as file:
        # Python refuses MD5 in FIPS mode unless the caller says that it protects nothing.
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()

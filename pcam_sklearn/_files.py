"""Files and folders that are written as a whole or not at all, and their checksums."""

import ctypes
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from pcam_sklearn._workspaces import Workspace, workspace

# A workspace holds the new folder, and for a moment the old one.
_NEW, _OLD = "new", "old"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return the path, with the home folder of the user in the place of a ``~`` at its start.

    A shell does so itself, but neither in ``--output=~/file`` nor in Python.
    """
    expanded = Path(os.path.expanduser(path))
    # Path("./~") is Path("~"), and a second call must not take that for the home folder.
    return expanded.absolute() if str(expanded).startswith("~") else expanded


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to, and give the file its final name after the block.

    An error in the block leaves the old file as it was, and the new file gets the permissions of
    the old one. A link is followed. What killed processes left behind when they wrote this file is
    removed.
    """
    final = Path(os.path.realpath(expand_home(path)))
    check_writable(final)
    with name_full_disk(final), workspace(final) as work:
        # With the same name: some writers choose the format by it, or write it into an archive.
        temporary = new_folder(work) / final.name
        if final.exists():
            # What nobody else may read must not be read while it is written.
            work.path.chmod(0o700)
        yield temporary
        if not temporary.is_file():
            raise FileNotFoundError(f"nothing was written for {final}")
        replace_file(temporary, final)


def replace_file(new: Path, final: Path) -> None:
    """Give a file that is whole the final name, and the permissions of the file that had it."""
    flush_to_disk(new)
    _copy_mode(final, new)
    os.replace(new, final)


def _copy_mode(old: Path, new: Path) -> None:
    # There may be no old file, and some file systems have no permissions.
    with suppress(FileNotFoundError, PermissionError):
        new.chmod(stat.S_IMODE(old.stat().st_mode))


@contextmanager
def atomic_folder(path: str | os.PathLike[str], check: Callable[[], None]) -> Iterator[Path]:
    """Yield a temporary folder to fill, and give it the final name after the block.

    An error in the block leaves the old folder as it was. `check` and the rest are as for
    `folder_in_progress`.
    """
    with folder_in_progress(path, check) as work:
        work.clear()
        yield new_folder(work)


@contextmanager
def folder_in_progress(
    path: str | os.PathLike[str], check: Callable[[], None]
) -> Iterator[Workspace]:
    """Yield the workspace of a folder, and give `new_folder` of it the final name after the block.

    A second process that writes this folder is refused. A link is followed. `check` raises if the
    old folder must stay; it is called before the block, which may take hours, and after it. What a
    killed process left in the workspace is still there: clear it, or go on with it.
    """
    final = Path(os.path.realpath(expand_home(path)))
    _check_parent(final)
    if final.is_file():
        raise NotADirectoryError(f"{final} is a file; give the name of a folder")
    with name_full_disk(final), workspace(final, alone=True) as work:
        _repair(work.path, final)
        check()
        yield work
        new = work.path / _NEW
        for file in filter(Path.is_file, new.rglob("*")):
            flush_to_disk(file)
        check()
        _replace_folder(new, final)
        work.kept.clear()


def new_folder(work: Workspace) -> Path:
    """Make the folder in a workspace that will get the final name, without files."""
    folder = work.path / _NEW
    folder.mkdir()
    return folder


def check_writable(path: Path) -> None:
    """Raise OSError if a file cannot be written here, or if something else than a file is here."""
    final = Path(os.path.realpath(expand_home(path)))
    if final.is_dir():
        raise IsADirectoryError(f"{final} is a folder; give the name of a file in it")
    if final.exists() and not final.is_file():
        raise FileExistsError(f"{final} is no regular file; give the name of a file")
    _check_parent(final)


def _check_parent(final: Path) -> None:
    if not final.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {final.parent}; create it first")
    if not os.access(final.parent, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{final} cannot be written, because the folder {final.parent} is read-only for this "
            "user; choose another folder"
        )


def _replace_folder(new: Path, final: Path) -> None:
    _copy_mode(final, new)
    if not final.exists():
        new.rename(final)
    elif not _exchange(new, final):
        # A full folder cannot be replaced in one step. If the process is killed between the two,
        # `_repair` does the second one.
        old = new.with_name(_OLD)
        final.rename(old)
        try:
            new.rename(final)
        except BaseException:
            old.rename(final)
            raise


def _repair(folder: Path, final: Path) -> None:
    """Finish a replacement that was killed when the old folder had lost its name."""
    new, old = folder / _NEW, folder / _OLD
    if old.exists() and not final.exists():
        (new if new.exists() else old).rename(final)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders exchange their names in one step, or return False where none does that."""
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # Only some C libraries have it.
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux.
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


@contextmanager
def name_full_disk(final: Path) -> Iterator[None]:
    """Name the target in the error of a full disk, which names no file itself."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            f"{final} cannot be written: {error.strerror}; make room, or choose another folder"
        ) from error


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

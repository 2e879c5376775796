"""Folders to work in, next to a target. A lock tells whether the process that made one still lives.

The folder for a target NAME is ``.NAME.partial``, or ``.NAME.partial-1a2b3c4d`` where several
processes may write the same target. The system drops the lock when a process ends, however it ends.
So the next process that writes the target knows which folders are left over, and removes them.
"""

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK = ".lock"


@dataclass
class Workspace:
    """A folder that this process holds. At the end all goes but the names in `kept`."""

    path: Path
    kept: set[str] = field(default_factory=set)

    def names(self) -> set[str]:
        """Return the names of everything in the folder except the lock."""
        return set(os.listdir(self.path)) - {_LOCK}

    def clear(self) -> None:
        """Remove everything from the folder, and keep nothing at the end."""
        self.kept.clear()
        self.remove_rest()

    def remove_rest(self) -> None:
        """Remove everything that is not kept."""
        for name in self.names() - self.kept:
            _remove(self.path / name)


@contextmanager
def workspace(final: Path, *, alone: bool = False) -> Iterator[Workspace]:
    """Yield a workspace for the target `final`, whose parent exists.

    With `alone` there is one for each target: BlockingIOError says that another process has it.
    What a process left in that one is kept until `clear` is called. All else that is left over for
    this target is removed.
    """
    _remove_leftovers(final)
    path, lock = _claim(final, alone)
    work = Workspace(path)
    try:
        work.kept |= work.names()
        yield work
    finally:
        work.remove_rest()
        _release(path, lock, remove=not work.kept)


def _name(final: Path) -> str:
    return f".{final.name}.partial"


def _claim(final: Path, alone: bool) -> tuple[Path, int]:
    """Make and lock a folder for a target; return it with the descriptor that holds the lock."""
    while True:
        path = final.with_name(_name(final) + ("" if alone else f"-{secrets.token_hex(4)}"))
        if (lock := _make_and_lock(path)) is not None:
            return path, lock
        if alone:
            raise BlockingIOError(
                f"another process is writing {final}; wait until it ends, or choose another name "
                f"(if there is no such process, delete {path})"
            )
        # A process that looks for leftovers has found this folder before it was locked.


def _remove_leftovers(final: Path) -> None:
    """Remove the workspaces with a token, of processes that have ended."""
    ours = re.compile(re.escape(_name(final)) + "-[0-9a-f]{8}")
    with os.scandir(final.parent) as entries:
        names = [entry.name for entry in entries if ours.fullmatch(entry.name)]
    for name in names:
        path = final.with_name(name)
        # Another process may be doing the same, or the folder may belong to another user.
        with suppress(OSError):
            path.rmdir()  # A process can be killed before it has made the lock.
            continue
        with suppress(OSError):
            if (lock := _lock(path)) is not None:
                Workspace(path).clear()
                _release(path, lock, remove=True)


def _make_and_lock(path: Path) -> int | None:
    """Make a folder and lock it; return None if another process holds it."""
    while True:
        with suppress(FileExistsError):
            path.mkdir()
        try:
            names = os.listdir(path)
            if names and _LOCK not in names:
                raise OSError(f"{path} is in the way, and pcam-sklearn did not make it; move it")
            return _lock(path, make=True)
        except (FileNotFoundError, FileExistsError):
            continue  # Another process removed or made the lock in the same moment.
        except OSError:
            with suppress(OSError):
                path.rmdir()
            raise


def _lock(folder: Path, *, make: bool = False) -> int | None:
    """Return a descriptor that holds the lock of a folder, or None if another process holds it.

    FileNotFoundError says that the lock has been removed meanwhile, or was not there.
    """
    path, is_new = folder / _LOCK, False
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        if not make:
            raise
        descriptor, is_new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
    try:
        if lock_file(descriptor, is_new):
            # The holder before may have deleted the file between the two calls.
            if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
                raise FileNotFoundError(path)
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def lock_file(descriptor: int, is_new: bool) -> bool:
    """Return whether this process holds the file now."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        # Some network file systems have no locks. There the file itself is the lock, and what a
        # killed process leaves behind stays.
        return is_new
    return True


def _release(folder: Path, lock: int, *, remove: bool) -> None:
    """Give up the lock, and remove the folder, in which nothing but the lock is left."""
    if sys.platform == "win32":
        os.close(lock)  # An open file cannot be deleted there.
    if remove:
        # The folder stays if something in it cannot be removed, or if another process has it now.
        with suppress(OSError):
            if os.listdir(folder) == [_LOCK]:
                (folder / _LOCK).unlink()
                folder.rmdir()
    if sys.platform != "win32":
        os.close(lock)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

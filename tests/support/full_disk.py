"""Disks that are full: a small file system where one can be mounted, or a limit for each file."""

import gc
import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest

_PAGE = 4096


@contextmanager
def small_disk(folder):
    """Mount a file system of 4 MB on a folder, or skip the test where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield folder
    finally:
        gc.collect()  # A map of one of its files may be part of a cycle.
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def full_disk(folder, room):
    """Leave about `room` bytes on the file system of a folder for the block."""
    filler, free = folder / "filler", shutil.disk_usage(folder).free
    filler.write_bytes(bytes(free - room // _PAGE * _PAGE))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def no_big_files(_, room):
    """Let no file grow beyond `room` bytes in the block, which fails like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def snapshot(folder):
    """Return the bytes of every file below a folder, by path."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "filler")
    return {path.relative_to(folder): path.read_bytes() for path in files}

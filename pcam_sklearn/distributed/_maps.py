"""Memory maps that travel as the name of their file, and the sizes that Dask counts for them.

Dask sends a memory map as the bytes in it, and counts them as memory of the worker. Importing this
module teaches it otherwise. Client and workers must import it, which `prepare_client` sees to.
"""

import mmap
import os
import pickle
import platform
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.sizeof import sizeof
from distributed.protocol import dask_deserialize, dask_serialize

from pcam_sklearn._reading._patch_files import PatchFiles

# joblib sends arguments of less than 1,000 bytes with each task, and larger ones once.
_ONCE = 2000
_BYTES_PER_PATH = 100
# Another file of the same name is found out by blocks over its whole length: a thousandth of a
# second for any size.
_BLOCK, _N_BLOCKS = 4096, 64


@dataclass(frozen=True)
class MappedFile:
    """An array in a file: all that is needed to map it again, on any machine that has the file."""

    path: str
    start: int  # Of its first byte in the file.
    n_bytes: int
    origin: int  # Of its first element, counted from `start`.
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype
    checksum: int

    def open(self) -> np.memmap:
        """Map the file for reading, or raise an error if it is not there or is another one."""
        try:
            data = np.memmap(self.path, np.uint8, "r", offset=self.start, shape=(self.n_bytes,))
        except (OSError, ValueError) as error:
            raise OSError(
                f"{platform.node()} cannot map {self.path} ({error}): the folder of a memory "
                "map must have the same name on the client and on all workers, as a shared one has"
            ) from error
        if _checksum(data) != self.checksum:
            raise ValueError(
                f"{self.path} on {platform.node()} holds other patches than on the client; "
                "copy the file again"
            )
        array = np.ndarray(self.shape, self.dtype, data, self.origin, self.strides)
        return array.view(np.memmap)


def find_mapped_file(array: Any) -> MappedFile | None:
    """Return where an array lies in a file, or None if it is no array that a file holds."""
    root = _find_root(array)
    if root is None or not array.size or array.dtype.hasobject:
        return None
    if root.mode != "r":
        root.flush()
    # A map begins at a page, up to the offset before the array that NumPy made of it.
    data = np.frombuffer(root.base, np.uint8)
    low, high = np.lib.array_utils.byte_bounds(array)
    skipped = low - data.ctypes.data
    return MappedFile(
        path=os.fspath(root.filename),
        start=root.offset - root.offset % mmap.ALLOCATIONGRANULARITY + skipped,
        n_bytes=high - low,
        origin=array.__array_interface__["data"][0] - low,
        shape=array.shape,
        strides=array.strides,
        dtype=array.dtype,
        checksum=_checksum(data[skipped : skipped + high - low]),
    )


def _find_root(array: Any) -> Any:
    """Return the memory map that an array is a view of, or None if its file lacks what it holds."""
    if not isinstance(array, np.memmap):
        return None
    while isinstance(array.base, np.ndarray):
        array = array.base
    is_map = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)
    # A private copy, mode "c", does not write to its file. A file without a name has none here.
    return array if is_map and array.mode != "c" and array.filename is not None else None


def _checksum(data: np.ndarray) -> int:
    checksum = 0
    for start in np.linspace(0, max(0, len(data) - _BLOCK), _N_BLOCKS).astype(int):
        checksum = zlib.crc32(data[start : start + _BLOCK].data, checksum)
    return checksum


@dask_serialize.register(np.memmap)
def _write(array: np.memmap) -> tuple[dict[str, Any], list[Any]]:
    mapped = find_mapped_file(array)
    if mapped is not None:
        return {"mapped_file": True}, [pickle.dumps(mapped)]
    return dask_serialize.dispatch(np.ndarray)(array)


@dask_deserialize.register(np.memmap)
def _read(header: dict[str, Any], frames: list[Any]) -> np.ndarray:
    if header.get("mapped_file"):
        return pickle.loads(frames[0]).open()
    return dask_deserialize.dispatch(np.ndarray)(header, frames)


@sizeof.register(np.memmap)
def _size_of_map(array: np.memmap) -> int:
    return int(array.nbytes) if _find_root(array) is None else _ONCE


@sizeof.register(PatchFiles)
def _size_of_files(files: PatchFiles) -> int:
    return _ONCE + _BYTES_PER_PATH * len(files)

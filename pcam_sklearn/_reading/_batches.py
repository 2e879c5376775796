"""Patches batch by batch, and every budget of memory: what is read at once and what is given back.

Patches may be an array, a memory map larger than memory, or files that nobody has read yet.
"""

import gc
import math
import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pcam_sklearn._reading._patch_files import PatchFiles

_READ_AT_ONCE = 256 * 2**20  # `PatchReader(in_memory="auto")` gives an array up to here.
_TRAIN_IN_MEMORY = 2**30  # A fit reads files once, and copies patches to a device, up to here.
_MAKE_ROOM_FROM = 64 * 2**20  # A fit on less does not wait for the garbage of earlier ones.
_MEASURE_AT_ONCE = 2**27  # Values of the patches whose stain a fit measures; 4096 of 96 pixels.
_GIVE_BACK_AFTER = 256 * 2**20  # Pages of a memory map that may stay with the process.
_MAPPED_AROUND = 64 * 2**10  # Linux maps this much around each page that is touched.
_CHUNK = 1024


def reads_at_once(files: PatchFiles) -> bool:
    """Return whether files are few enough to become an array without being asked to."""
    return files.nbytes <= _READ_AT_ONCE


def read_if_small(files: PatchFiles) -> Any:
    """Return small files as an array, so that no epoch reads them again, and large ones unread."""
    return np.asarray(files) if files.nbytes <= _TRAIN_IN_MEMORY else files


def make_room(n_bytes: int) -> None:
    """Free the patches of earlier fits before many bytes are taken.

    A trained model and its data hold one another. Python frees such cycles by the number of objects
    and not by their memory, so the next fits may come first.
    """
    if n_bytes >= _MAKE_ROOM_FROM:
        gc.collect()


def most_to_measure(X: Any) -> int:
    """Return the number of patches that a fit may hold to measure their stain."""
    return max(1, _MEASURE_AT_ONCE // math.prod(X.shape[1:]))


def read_for_device(X: Any) -> np.ndarray | None:
    """Return all patches in memory, for a copy on a device, or None where they are too many."""
    if isinstance(X, PatchFiles) or X.nbytes > _TRAIN_IN_MEMORY:
        return None
    if _read_only_map(X) is None:
        return X.astype(_network_dtype(X.dtype), copy=False)
    # Chunk by chunk: memory never holds both the whole copy and all pages of the map.
    copy = np.empty(X.shape, dtype=_network_dtype(X.dtype))
    for i, chunk in enumerate(in_batches(X, _CHUNK)):
        copy[i * _CHUNK : i * _CHUNK + len(chunk)] = chunk
    return copy


def in_batches(X: Any, batch_size: int, dtype: Any = None) -> Iterator[np.ndarray]:
    """Yield X in batches; of files, read the next batch while the caller works on this one.

    `dtype` None is the one that a network is compiled for.
    """
    slices = [slice(start, start + batch_size) for start in range(0, len(X), batch_size)]
    reader = RowReader(X, dtype)
    if not isinstance(X, PatchFiles):
        yield from map(reader.__getitem__, slices)
        return
    with ThreadPoolExecutor(1) as thread:
        # Two are on their way at any time: one that is waited for, and one ahead.
        waiting = [thread.submit(reader.__getitem__, rows) for rows in slices[:2]]
        for rows in [*slices[2:], None, None][: len(slices)]:
            batch = waiting.pop(0).result()
            if rows is not None:
                waiting.append(thread.submit(reader.__getitem__, rows))
            yield batch


class RowReader:
    """The rows of X, in a type that a network is compiled for; pages of a map are given back."""

    def __init__(self, X: Any, dtype: Any = None) -> None:
        self._X = X
        self._dtype = _network_dtype(X.dtype) if dtype is None else dtype
        self._releaser = _PageReleaser(X)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        patches = self._X[rows]
        # A slice is not read yet, so what is given back are the pages of the batches before.
        self._releaser.touched(len(patches))
        return patches.astype(self._dtype, copy=False)


class _PageReleaser:
    """Give back the pages of a read-only memory map now and then; leave other arrays alone.

    The system leaves pages that were touched with the process while there is room, so one pass
    over a file of 6 GB looks, and may count, like 6 GB of memory. To read them again costs a copy
    from the file cache.
    """

    def __init__(self, array: Any) -> None:
        self._map = _read_only_map(array)
        self._row_bytes = abs(array.strides[0]) + _MAPPED_AROUND if self._map else 0
        self._touched = 0

    def touched(self, n_rows: int) -> None:
        """Count rows that were read, and give pages back when there are many."""
        if self._map is None:
            return
        self._touched += n_rows * self._row_bytes
        if self._touched >= _GIVE_BACK_AFTER:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


def _read_only_map(array: object) -> mmap.mmap | None:
    """Return the map behind an array if no write to it can be lost."""
    read_only = False
    while array is not None and hasattr(mmap, "MADV_DONTNEED"):
        if isinstance(array, mmap.mmap):
            return array if read_only else None
        # A private copy-on-write map, mode "c", would lose what was written to it.
        read_only = read_only or (isinstance(array, np.memmap) and array.mode == "r")
        array = getattr(array, "base", None)
    return None


def _network_dtype(dtype: np.dtype) -> type:
    """Return uint8 for bytes and float32 for all floats: a network is compiled for these two."""
    return np.uint8 if dtype == np.uint8 else np.float32

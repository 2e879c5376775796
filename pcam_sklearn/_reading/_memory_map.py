"""Memory maps larger than memory: give back the pages that were read."""

import mmap

import numpy as np

_RELEASE_AFTER = 256 * 2**20
_CHUNK = 1024
_MAPPED_AROUND = 64 * 2**10  # Linux maps this much around each page that is touched.


class PageReleaser:
    """Give back the pages of a read-only memory map now and then; leave other arrays alone.

    The system leaves pages that were touched with the process while there is room, so one pass
    over a file of 6 GB looks, and may count, like 6 GB of memory. To read them again costs a copy
    from the file cache.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._map = _read_only_map(array)
        self._row_bytes = abs(array.strides[0]) + _MAPPED_AROUND if self._map else 0
        self._touched = 0

    def touched(self, n_rows: int) -> None:
        """Count rows that were read, and give pages back when there are many."""
        if self._map is None:
            return
        self._touched += n_rows * self._row_bytes
        if self._touched >= _RELEASE_AFTER:
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


def copy_from_map(array: np.ndarray) -> np.ndarray:
    """Copy an array out of a read-only memory map; return any other array itself."""
    if _read_only_map(array) is None:
        return array
    # In chunks: at no time does memory hold both the whole copy and all pages of the map.
    releaser = PageReleaser(array)
    copy = np.empty(array.shape, dtype=array.dtype)
    for start in range(0, len(array), _CHUNK):
        copy[start : start + _CHUNK] = array[start : start + _CHUNK]
        releaser.touched(_CHUNK)
    return copy

"""Memory maps larger than memory: pages that were read are given back."""

import mmap

import numpy as np

_RELEASE_AFTER = 256 * 2**20
_CHUNK = 1024
_MAPPED_AROUND = 64 * 2**10  # Linux maps as much around a page that is touched.


class PageReleaser:
    """Give back the pages of a read-only memory map now and then.

    The system keeps pages that were touched with the process for as long as there is room, so a
    pass over a file of 6 GB looks, and may count, like 6 GB of memory. Reading them again costs
    a copy from the file cache. Other arrays are left alone.

    Parameters
    ----------
    array : ndarray
        An array, or a view of a memory map.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn._reading._memory_map import PageReleaser
    >>> PageReleaser(np.zeros(3)).touched(2)
    """

    def __init__(self, array: np.ndarray) -> None:
        self._map = _read_only_map(array)
        self._row_bytes = abs(array.strides[0]) + _MAPPED_AROUND if self._map else 0
        self._touched = 0

    def touched(self, n_rows: int) -> None:
        """Count rows that were read, and give pages back when they have become many.

        Parameters
        ----------
        n_rows : int
            Rows of the array read since the last call.
        """
        if self._map is None:
            return
        self._touched += n_rows * self._row_bytes
        if self._touched >= _RELEASE_AFTER:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


def _read_only_map(array: object) -> mmap.mmap | None:
    """Return the map behind an array, if no write to it can be lost."""
    read_only = False
    while array is not None and hasattr(mmap, "MADV_DONTNEED"):
        if isinstance(array, mmap.mmap):
            return array if read_only else None
        # A private copy-on-write map, mode "c", would lose what was written to it.
        read_only = read_only or (isinstance(array, np.memmap) and array.mode == "r")
        array = getattr(array, "base", None)
    return None


def copied_from_map(array: np.ndarray) -> np.ndarray:
    """Copy an array out of a read-only memory map, page by page; return others as they are.

    Parameters
    ----------
    array : ndarray
        An array, or a view of a memory map.

    Returns
    -------
    array : ndarray
        In memory.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn._reading._memory_map import copied_from_map
    >>> copied_from_map(np.arange(3))
    array([0, 1, 2])
    """
    if _read_only_map(array) is None:
        return array
    releaser = PageReleaser(array)
    copy = np.empty(array.shape, dtype=array.dtype)
    for start in range(0, len(array), _CHUNK):
        copy[start : start + _CHUNK] = array[start : start + _CHUNK]
        releaser.touched(_CHUNK)
    return copy

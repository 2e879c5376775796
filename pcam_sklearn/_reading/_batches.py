"""Patches in batches, and every budget of memory: what is read at once and what piece by piece."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pcam_sklearn._reading._memory_map import PageReleaser, copy_from_map
from pcam_sklearn._reading._patch_files import PatchFiles

_READ_AT_ONCE = 256 * 2**20  # `PatchReader(in_memory="auto")` gives an array up to here.
_TRAIN_IN_MEMORY = 2**30  # A fit reads files once, and copies patches to a device, up to here.


def reads_at_once(X: PatchFiles) -> bool:
    """Return whether files are few enough to become an array without being asked to."""
    return X.nbytes <= _READ_AT_ONCE


def read_if_small(X: Any) -> Any:
    """Return small files as an array, so that no epoch reads them again."""
    return np.asarray(X) if isinstance(X, PatchFiles) and X.nbytes <= _TRAIN_IN_MEMORY else X


def read_for_device(X: Any) -> np.ndarray | None:
    """Return all patches in memory, for a copy on a device, or None where they are too many."""
    if isinstance(X, PatchFiles) or X.nbytes > _TRAIN_IN_MEMORY:
        return None
    return _as_network_input(copy_from_map(X))


class RowReader:
    """The rows of X, in a type that a network is compiled for; pages of a map are given back."""

    def __init__(self, X: Any) -> None:
        self._X = X
        self._releaser = PageReleaser(X)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        patches = self._X[rows]
        self._releaser.touched(len(patches))
        return _as_network_input(patches)


def in_batches(X: Any, batch_size: int) -> Iterator[np.ndarray]:
    """Yield X in batches; of files, read the next batch while the caller works on this one."""
    slices = [slice(start, start + batch_size) for start in range(0, len(X), batch_size)]
    reader = RowReader(X)
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


def _as_network_input(patches: np.ndarray) -> np.ndarray:
    """Return bytes as they are and floats of any precision as float32: two compiled types."""
    return patches.astype(np.uint8 if patches.dtype == np.uint8 else np.float32, copy=False)

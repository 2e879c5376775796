"""Patches that stay in their files until they are asked for."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pcam_sklearn._reading._tiff import fill_rows, read_image

_NAMED = 5
_CHUNK = 512
# From the file cache a file takes 10 us, and threads only get into each other's way; from the disk,
# or where it has to be decoded, it takes 100 to 300 us, and four threads halve that.
_PROBE, _SLOW_FILE, _THREADS = 64, 60e-6, 4
_SMALL = 2**30


class PatchFiles:
    """A read-only array of patches whose pixels lie in image files.

    It has an array's shape, is indexed by rows, and ``np.asarray`` reads it whole; in between its
    pixels take no memory.

    Parameters
    ----------
    paths : ndarray of str, shape (n_samples,)
        The files.
    file_shape : tuple of int
        Height, width and 3: the shape of the image in every file.
    crop_size : int or None, default=None
        Side of the center that is read; None reads all.
    finish : callable or None, default=None
        What is done to each batch that was read, before it is given out.
    dtype : dtype, default=uint8
        What `finish` returns.
    patch_shape : tuple of int or None, default=None
        The shape of one patch that `finish` returns; None is what is read.
    """

    ndim = 4

    def __init__(
        self,
        paths: np.ndarray,
        file_shape: tuple[int, int, int],
        crop_size: int | None = None,
        *,
        finish: Callable[[np.ndarray], np.ndarray] | None = None,
        dtype: Any = np.uint8,
        patch_shape: tuple[int, int, int] | None = None,
    ) -> None:
        self._paths = paths
        self._crop_size = crop_size
        self._finish = finish
        self.file_shape = file_shape
        read_shape = (crop_size, crop_size, 3) if crop_size else file_shape
        self.shape = (len(paths), *(patch_shape or read_shape))
        self.dtype = np.dtype(dtype)

    @property
    def nbytes(self) -> int:
        """The memory it would take, read whole."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        patches = self._read(rows)
        return self._finish(patches) if self._finish else patches

    def _read(self, rows: slice | np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        try:
            return read_patches(self._paths[rows], self.file_shape, self._crop_size, out)
        except UnreadablePatchesError:
            check_files(self._paths, self.file_shape)  # Raises for all the files that fail.
            raise

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.empty(self.shape, dtype=self.dtype)
        if self._finish is None:
            self._read(slice(None), array)
        else:
            for start in range(0, len(self), _CHUNK):
                array[start : start + _CHUNK] = self[start : start + _CHUNK]
        return array if dtype is None else array.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    def mapped(
        self,
        finish: Callable[[np.ndarray], np.ndarray],
        patch_shape: tuple[int, int, int],
        dtype: Any,
        crop_size: int | None = None,
    ) -> "PatchFiles":
        """Return the same files with another treatment of each batch.

        Parameters
        ----------
        finish, patch_shape, dtype
            As in the class.
        crop_size : int or None, default=None
            Read the center alone.

        Returns
        -------
        files : PatchFiles
            Nothing is read yet.
        """
        return PatchFiles(
            self._paths,
            self.file_shape,
            crop_size or self._crop_size,
            finish=finish,
            patch_shape=patch_shape,
            dtype=dtype,
        )


def read_if_small(X: Any) -> Any:
    """Read patches into memory where they fit well, so that no epoch reads them again.

    Parameters
    ----------
    X : ndarray or PatchFiles
        The patches.

    Returns
    -------
    X : ndarray or PatchFiles
        An ndarray up to 1 GB, otherwise X.
    """
    return np.asarray(X) if isinstance(X, PatchFiles) and X.nbytes <= _SMALL else X


class UnreadablePatchesError(ValueError):
    """Some files are missing, damaged, or of another shape than the others."""


def read_patches(
    paths: Sequence[str] | np.ndarray,
    file_shape: tuple[int, int, int],
    crop_size: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Read files of one shape into one array.

    Parameters
    ----------
    paths : sequence of str
        The files.
    file_shape : tuple of int
        The shape that every image must have.
    crop_size : int or None, default=None
        Side of the center to keep; None keeps all.
    out : ndarray of shape (n_samples, height, width, 3), uint8, default=None
        Where to put the pixels; None makes a new array.

    Returns
    -------
    patches : ndarray of shape (n_samples, height, width, 3)
        uint8 RGB; `out` where it was given.

    Raises
    ------
    UnreadablePatchesError
        For the first file that cannot be read or has another shape; `check_files` tells of all.
    """
    height, width = (crop_size or side for side in file_shape[:2])
    patches = np.empty((len(paths), height, width, 3), dtype=np.uint8) if out is None else out

    def read(rows: slice) -> None:
        _read_into(patches[rows], paths[rows], file_shape, crop_size)

    start = time.perf_counter()
    read(slice(0, _PROBE))
    slow = time.perf_counter() - start > _PROBE * _SLOW_FILE
    if not slow:
        read(slice(_PROBE, None))
    else:
        parts = [slice(i, i + _PROBE) for i in range(_PROBE, len(paths), _PROBE)]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(read, parts))
    return patches


def _read_into(
    patches: np.ndarray,
    paths: Sequence[str] | np.ndarray,
    file_shape: tuple[int, int, int],
    crop_size: int | None,
) -> None:
    """Fill `patches`, a block of bands at a time: one copy cuts the columns of all of them."""
    height, width = file_shape[:2]
    top, left = _start(height, crop_size), _start(width, crop_size)
    columns = slice(left, left + patches.shape[2])
    bands = np.empty((_PROBE, patches.shape[1], width, 3), dtype=np.uint8)
    for start in range(0, len(paths), _PROBE):
        block = paths[start : start + _PROBE]
        for path, band in zip(block, bands, strict=False):
            _read_band(path, top, band, (height, width))
        patches[start : start + len(block)] = bands[: len(block), :, columns]


def check_files(
    paths: Sequence[str] | np.ndarray, file_shape: tuple[int, int, int]
) -> UnreadablePatchesError:
    """Read every file again and raise one error that speaks of all that fail.

    Parameters
    ----------
    paths : sequence of str
        The files.
    file_shape : tuple of int
        The shape that every image must have.

    Returns
    -------
    error : UnreadablePatchesError
        For files that failed a moment ago and can be read now.

    Raises
    ------
    UnreadablePatchesError
        If any file cannot be read or has another shape.
    """
    unreadable, misshapen = [], []
    for path in paths:
        image = open_image(path)
        if image is None:
            unreadable.append(str(path))
        elif image.shape != tuple(file_shape):
            misshapen.append(f"{path} {image.shape}")
    total, told = len(paths), []
    if unreadable:
        told.append(
            f"{len(unreadable)} of {total} files cannot be read as images, they are missing or "
            f"damaged: {_named(unreadable)}."
        )
    if misshapen:
        told.append(
            f"{len(misshapen)} of {total} files differ from the first patch's shape {file_shape}: "
            f"{_named(misshapen)}. The patches of one call must have one size: resize the files, "
            "or read them apart."
        )
    if told:
        raise UnreadablePatchesError(" ".join(told))
    return UnreadablePatchesError("Files failed and can be read now; are they being written?")


def open_image(path: str) -> np.ndarray | None:
    """Return the RGB image in a file, or None where there is none.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    image : ndarray of shape (height, width, 3) or None
        uint8 RGB.
    """
    try:
        return read_image(path)
    except OSError:
        return None


def read_ahead(X: Any, batch_size: int) -> Iterator[np.ndarray]:
    """Give X in batches, the next one being read while the caller works on the last.

    Parameters
    ----------
    X : ndarray or PatchFiles
        The patches.
    batch_size : int
        Patches a batch.

    Yields
    ------
    batch : ndarray
        At most `batch_size` patches.
    """
    slices = [slice(start, start + batch_size) for start in range(0, len(X), batch_size)]
    if not isinstance(X, PatchFiles):
        yield from (X[rows] for rows in slices)
        return
    with ThreadPoolExecutor(1) as reader:
        waiting = [reader.submit(X.__getitem__, rows) for rows in slices[:2]]
        for rows in [*slices[2:], None, None][: len(slices)]:
            batch = waiting.pop(0).result()
            if rows is not None:
                waiting.append(reader.submit(X.__getitem__, rows))
            yield batch


def _read_band(path: str, top: int, band: np.ndarray, shape: tuple[int, int]) -> None:
    """Read the rows from `top` on, as many as `band` holds."""
    try:
        if fill_rows(path, top, shape, band):
            return
    except OSError:
        pass  # As any other file that cannot be read: `check_files` tells of all of them.
    image = open_image(path)
    if image is None or image.shape[:2] != shape:
        raise UnreadablePatchesError(f"{path} is no image of {shape[0]} x {shape[1]} pixels.")
    band[:] = image[top : top + len(band)]


def _start(side: int, crop_size: int | None) -> int:
    return (side - crop_size) // 2 if crop_size else 0


def _named(paths: list[str]) -> str:
    return ", ".join(paths[:_NAMED]) + (", ..." if len(paths) > _NAMED else "")

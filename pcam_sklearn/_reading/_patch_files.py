"""Patches that stay in their files until they are asked for."""

import operator
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pcam_sklearn._messages import first_few
from pcam_sklearn._reading._images import read_image
from pcam_sklearn._reading._rules import UnreadableImageError
from pcam_sklearn._reading._tiff import read_rows

_CHUNK = 512
# A file takes 10 us from the file cache, where threads only slow each other down. From the disk, or
# where it has to be decoded, it takes 100 to 300 us, which four threads halve. So time decides.
_PROBE, _SLOW_FILE, _THREADS = 64, 60e-6, 4
_BLOCK_BYTES = 16 * 2**20

Rows = slice | list[int] | np.ndarray


class PatchFiles:
    """A read-only array of patches whose pixels lie in image files.

    It is indexed by its rows; ``np.asarray`` reads it whole. `crop_size` reads the center alone.
    `finish` treats each batch that was read, one function after the other, and returns patches of
    `patch_shape` and `dtype`.
    """

    ndim = 4

    def __init__(
        self,
        paths: np.ndarray,
        file_shape: tuple[int, int, int],
        crop_size: int | None = None,
        *,
        finish: Sequence[Callable[[np.ndarray], np.ndarray]] = (),
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

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice) or np.ndim(rows):
            patches = self._read(rows)
            for finish in self._finish:
                patches = finish(patches)
            return patches
        row = operator.index(rows)
        if not -len(self) <= row < len(self):
            raise IndexError(f"there is no patch {row} among {len(self)}")
        return self[[row]][0]

    def _read(self, rows: Rows, out: np.ndarray | None = None) -> np.ndarray:
        try:
            return read_patches(self._paths[rows], self.file_shape, self._crop_size, out)
        except UnreadablePatchesError as error:
            raise explain_failures(self._paths, self.file_shape) from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.empty(self.shape, dtype=self.dtype)
        if not self._finish:
            self._read(slice(None), array)
        else:
            for start in range(0, len(self), _CHUNK):
                array[start : start + _CHUNK] = self[start : start + _CHUNK]
        return array if dtype is None else array.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    @property
    def is_whole(self) -> bool:
        """True if the patches are the images in the files, neither cut nor treated."""
        return self._crop_size is None and not self._finish

    def mapped(
        self,
        finish: Callable[[np.ndarray], np.ndarray],
        patch_shape: tuple[int, int, int],
        dtype: Any,
        crop_size: int | None = None,
    ) -> "PatchFiles":
        """Return the same files, unread, with a further treatment of each batch.

        `crop_size` reads the center alone, which only whole patches allow.
        """
        return PatchFiles(
            self._paths,
            self.file_shape,
            crop_size or self._crop_size,
            finish=(*self._finish, finish),
            patch_shape=patch_shape,
            dtype=dtype,
        )


class UnreadablePatchesError(ValueError):
    """Files that are missing or damaged, or whose shape differs from that of the others."""


def read_patches(
    paths: Sequence[str] | np.ndarray,
    file_shape: tuple[int, int, int],
    crop_size: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return the uint8 RGB pixels of files of one shape, in `out` where it is given.

    The first file that cannot be read, or has another shape, raises UnreadablePatchesError.
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
    """Fill `patches` block by block: one copy cuts the columns of all bands of a block."""
    height, width = file_shape[:2]
    top, left = _start(height, crop_size), _start(width, crop_size)
    columns = slice(left, left + patches.shape[2])
    n = max(1, min(_PROBE, _BLOCK_BYTES // (patches.shape[1] * width * 3)))
    bands = np.empty((n, patches.shape[1], width, 3), dtype=np.uint8)
    for start in range(0, len(paths), n):
        block = paths[start : start + n]
        for path, band in zip(block, bands, strict=False):
            _read_band(path, top, band, (height, width))
        patches[start : start + len(block)] = bands[: len(block), :, columns]


def explain_failures(
    paths: Sequence[str] | np.ndarray, file_shape: tuple[int, int, int]
) -> UnreadablePatchesError:
    """Read all files again, and return one error about those that fail."""
    unreadable, misshapen = [], []
    for path in paths:
        image = open_image(path)
        if isinstance(image, str):
            unreadable.append(f"{path} ({image})")
        elif image.shape != tuple(file_shape):
            misshapen.append(f"{path} {image.shape}")
    total, found = len(paths), ""
    if unreadable:
        found += (
            f"{len(unreadable)} of {total} files cannot be read as images: "
            f"{first_few(unreadable)}. "
        )
    if misshapen:
        found += (
            f"{len(misshapen)} of {total} files differ from the first patch's shape {file_shape}: "
            f"{first_few(misshapen)}. The patches of one call must have one size: resize the "
            "files, or read them apart."
        )
    # Files may be written by another program at this moment.
    return UnreadablePatchesError(found.strip() or "Files failed that can be read now; try again.")


def open_image(path: str) -> np.ndarray | str:
    """Return the uint8 RGB image in a file, or the reason why it cannot be read."""
    try:
        return read_image(path)
    except OSError as error:
        return str(error.strerror or error)
    except UnreadableImageError as error:
        return str(error)
    except ValueError as error:  # A path may hold what no file system takes.
        return f"it is no path: {error}"


def _read_band(path: str, top: int, band: np.ndarray, shape: tuple[int, int]) -> None:
    """Fill `band` with the rows from `top` on."""
    try:
        if read_rows(path, top, out=band, shape=shape) is not None:
            return
    except (OSError, ValueError):
        pass  # `explain_failures` tells of this file together with all others that fail.
    image = open_image(path)
    if isinstance(image, str) or image.shape[:2] != shape:
        raise UnreadablePatchesError(f"{path} is no image of {shape[0]} x {shape[1]} pixels.")
    band[:] = image[top : top + len(band)]


def _start(side: int, crop_size: int | None) -> int:
    return (side - crop_size) // 2 if crop_size else 0

"""Patches by offset: Kaggle's TIFF files are a short header and then the raw pixels.

A general decoder takes seven times as long on such a file as reading the bytes does. Whatever is
not laid out like that is left to OpenCV, so that both ways give the same pixels.
"""

import os
import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

# Tags whose value decides how the pixels lie; TIFF 6.0, section 8 ("Baseline field reference").
_MUST_BE = {258: {8}, 259: {1}, 262: {2}, 277: {3}}  # 8 bits, not compressed, RGB, 3 samples
_MAY_BE = {266: {1}, 274: {1}, 284: {1}, 317: {1}, 339: {1}}
_LIE = (256, 257, 273, 278, 279)  # width, height, strip offset, rows per strip, strip byte count
_WORDS = {254, 270, 271, 272, 282, 283, 296, 305, 306, 315, 33432}  # resolution, software, date ...
_UNDERSTOOD = {*_MUST_BE, *_MAY_BE, *_LIE, *_WORDS}
_NUMBERS = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4)}  # field type -> struct code, size
_HEADER_LIMIT = 4096


class _Layout(NamedTuple):
    offset: int  # of the first pixel: the length of the header
    shape: tuple[int, int]
    file_size: int


# Kaggle's headers differ in the second they were written alone, so a few hundred of them stand for
# all of its files: recognising one is a look-up.
_KAGGLE_HEADER = 287
_KNOWN_LIMIT = 4096
_known: dict[bytes, _Layout] = {}

_BY_OFFSET = hasattr(os, "preadv")  # not on Windows


def read_rows(
    path: str | os.PathLike[str],
    first_row: int = 0,
    last_row: int | None = None,
    *,
    shape: tuple[int, int] | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray | None:
    """Read whole rows of a plain TIFF file by their offset.

    Plain means: uncompressed 8-bit RGB in one strip, after a header of at most 4 KiB that holds
    everything else, and no byte missing. The header is checked on every call.

    Parameters
    ----------
    path : path-like
        The file.
    first_row, last_row : int, default=0 and None
        The rows wanted, the last one excluded; None reads to the end.
    shape : (int, int), default=None
        The height and width that the image must have; None takes any.
    out : ndarray of shape (rows, width, 3), uint8, C-contiguous, default=None
        Where to put the pixels (and what to return); None makes a new array.

    Returns
    -------
    ndarray of shape (rows, width, 3), uint8, or None
        The pixels in RGB order; None if the file is not plain, is cut short, has another `shape`
        or has not that many rows. Let OpenCV (`read_image`) try then.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If `out` has another shape or type than the rows.

    Examples
    --------
    >>> import cv2, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "patch.png")
    ...     _ = cv2.imwrite(name, np.zeros((96, 96, 3), np.uint8))
    ...     print(read_rows(name))
    None
    """
    if not _BY_OFFSET:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe is not waited for
    try:
        layout = _layout_of(descriptor)
        if layout is None or os.lseek(descriptor, 0, os.SEEK_END) < layout.file_size:
            return None
        height, width = layout.shape
        if last_row is None:
            last_row = height
        if not 0 <= first_row < last_row <= height or (shape and layout.shape != shape):
            return None
        wanted = (last_row - first_row, width, 3)
        if out is None:
            out = np.empty(wanted, np.uint8)
        elif out.shape != wanted or out.dtype != np.uint8:
            raise ValueError(f"out is {out.dtype} {out.shape}; it must be uint8 {wanted}")
        offset = layout.offset + first_row * 3 * width
        return out if os.preadv(descriptor, [out.data], offset) == out.nbytes else None
    finally:
        os.close(descriptor)


def fill_rows(path: str, first_row: int, shape: tuple[int, int], out: np.ndarray) -> bool:
    """Read rows of a plain TIFF file into an array, with as few steps as there can be.

    Parameters
    ----------
    path : str
        The file.
    first_row : int
        The first row wanted; as many follow as `out` holds.
    shape : (int, int)
        The height and width that the image must have.
    out : ndarray of shape (rows, width, 3), uint8, C-contiguous
        Where to put the pixels.

    Returns
    -------
    bool
        Whether the file is plain, whole and of that shape, and `out` is filled.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    if not _BY_OFFSET:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        layout = _layout_of(descriptor)
        if layout is None or layout.shape != shape:
            return False
        if os.lseek(descriptor, 0, os.SEEK_END) < layout.file_size:
            return False
        offset = layout.offset + first_row * 3 * shape[1]
        # An array is a buffer, which its type hints do not say.
        return os.preadv(descriptor, [out], offset) == out.nbytes  # type: ignore[list-item]
    finally:
        os.close(descriptor)


def read_image(path: str | os.PathLike[str]) -> np.ndarray | None:
    """Read a whole image file as RGB: by offset if it is plain, through OpenCV otherwise.

    Parameters
    ----------
    path : path-like
        The file, in any format that OpenCV reads.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, or None
        The pixels in RGB order; None if OpenCV cannot read the file.

    Raises
    ------
    OSError
        If the file cannot be opened, or is a folder or a pipe.
    """
    plain = read_rows(path)
    if plain is not None:
        return plain
    with open(path, "rb") as file:  # OpenCV would not say why a file cannot be opened
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        content = np.frombuffer(file.read(), np.uint8)
    try:  # Decoded from memory: a name that is no text crashes OpenCV.
        bgr = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """Return how many bytes of its pixels a plain TIFF file lacks; 0 for every other file."""
    with open(path, "rb") as file:
        layout = _parse_header(file.read(_HEADER_LIMIT))
    return 0 if layout is None else max(0, layout.file_size - os.path.getsize(path))


def _layout_of(descriptor: int) -> _Layout | None:
    head = os.pread(descriptor, _KAGGLE_HEADER, 0)
    layout = _known.get(head)
    if layout is None:
        layout = _parse_header(os.pread(descriptor, _HEADER_LIMIT, 0))
        if layout and layout.offset == _KAGGLE_HEADER and len(_known) < _KNOWN_LIMIT:
            _known[head] = layout
    return layout


def _parse_header(head: bytes) -> _Layout | None:
    """Return the layout that the first bytes of a file describe; None if it is not plain."""
    layout = _describe(head)
    # A second look, at what stands before the pixels alone: a layout is a matter of its header.
    return layout if layout is not None and _describe(head[: layout.offset]) == layout else None


def _describe(head: bytes) -> _Layout | None:
    try:
        fields = list(_tags(head))
    except struct.error:  # the directory goes on behind these bytes
        return None
    tags = dict(fields)
    if len(tags) < len(fields) or not tags.keys() <= _UNDERSTOOD:
        return None
    if not all(tag in tags and set(tags[tag]) == allowed for tag, allowed in _MUST_BE.items()):
        return None
    if not all(set(tags[tag]) == allowed for tag, allowed in _MAY_BE.items() if tag in tags):
        return None
    lie = [tags.get(tag, ()) for tag in _LIE]
    if any(len(values) != 1 for values in lie):
        return None
    width, height, offset, rows_per_strip, n_bytes = (values[0] for values in lie)
    if not 8 < offset <= len(head) or not 0 < n_bytes == 3 * rows_per_strip * width:
        return None
    if rows_per_strip != height:
        return None
    return _Layout(offset, (height, width), offset + n_bytes)


def _tags(head: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Give the numeric fields of the first directory: tag, values."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None:
        return
    (directory,) = struct.unpack_from(order + "I", head, 4)
    (n_fields,) = struct.unpack_from(order + "H", head, directory)
    for at in range(directory + 2, directory + 2 + 12 * n_fields, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", head, at)
        if kind not in _NUMBERS or count > _HEADER_LIMIT:
            yield tag, ()
            continue
        code, size = _NUMBERS[kind]
        inline = count * size <= 4
        where = at + 8 if inline else struct.unpack_from(order + "I", head, at + 8)[0]
        yield tag, struct.unpack_from(f"{order}{count}{code}", head, where)

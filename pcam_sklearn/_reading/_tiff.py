"""Patches by offset: Kaggle's TIFF files are a short header followed by the raw pixels.

A general decoder takes seven times as long on such a file as reading its bytes does. `_images`
reads every file of another layout, and both ways give the same pixels. "Plain" means: uncompressed
8-bit RGB in one strip, after a header of at most 4 KiB that holds everything else.
"""

import errno
import os
import struct
from typing import NamedTuple

import numpy as np

from pcam_sklearn._reading._rules import MAX_PIXELS, UnreadableImageError
from pcam_sklearn._reading._tiff_fields import read_directory

# Tags that decide how the pixels lie; TIFF 6.0, section 8 ("Baseline field reference").
_MUST_BE = {258: {8}, 259: {1}, 262: {2}, 277: {3}}  # 8 bits, not compressed, RGB, 3 samples
_MAY_BE = {266: {1}, 274: {1}, 284: {1}, 317: {1}, 339: {1}}
_PLACES = (256, 257, 273, 278, 279)  # width, height, strip offset, rows per strip, strip byte count
_UNDERSTOOD = {*_MUST_BE, *_MAY_BE, *_PLACES}  # Others of `read_directory` make a file not plain.
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_HEADER_LIMIT = 4096


class _Layout(NamedTuple):
    offset: int  # The first pixel, behind the header.
    shape: tuple[int, int]
    file_size: int


# Kaggle's headers differ only in the second they were written, so a few hundred of them stand for
# all of its files: to recognise one is a look-up.
_KAGGLE_HEADER = 287
_KNOWN_LIMIT = 4096
_known: dict[bytes, _Layout] = {}

_BY_OFFSET = hasattr(os, "preadv")  # Windows lacks it.


def read_rows(
    path: str | os.PathLike[str],
    first_row: int = 0,
    *,
    out: np.ndarray | None = None,
    shape: tuple[int, int] | None = None,
) -> np.ndarray | None:
    """Return the rows of a plain TIFF file from `first_row` on, as many as `out` holds.

    None leaves the file to `read_image`: it is not plain, cut short, or of another `shape`.
    """
    if not _BY_OFFSET:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # Opening a pipe does not block.
    try:
        layout = _layout_of(descriptor)
        if layout is None or (shape is not None and layout.shape != shape):
            return None
        if os.lseek(descriptor, 0, os.SEEK_END) < layout.file_size:
            return None
        height, width = layout.shape
        if out is None:
            out = np.empty((height - first_row, width, 3), np.uint8)
        if out.shape[1] != width or not 0 <= first_row <= height - len(out):
            return None
        offset = layout.offset + first_row * 3 * width
        # An array is a buffer, which its type hints do not say.
        n_read = os.preadv(descriptor, [out], offset)  # type: ignore[list-item]
        return out if n_read == out.nbytes else None
    finally:
        os.close(descriptor)


def _layout_of(descriptor: int) -> _Layout | None:
    try:
        head = os.pread(descriptor, _KAGGLE_HEADER, 0)
    except OSError as error:
        if error.errno == errno.ESPIPE:
            return None  # A pipe has no places.
        raise
    layout = _known.get(head)
    if layout is None:
        layout = _parse_header(os.pread(descriptor, _HEADER_LIMIT, 0))
        if layout and layout.offset == _KAGGLE_HEADER and len(_known) < _KNOWN_LIMIT:
            _known[head] = layout
    return layout


def _parse_header(head: bytes) -> _Layout | None:
    """Return the layout that the first bytes of a file describe; None if it is not plain."""
    layout = _describe(head)
    # The bytes before the pixels must say the same by themselves: no field may lie in the pixels.
    return layout if layout is not None and _describe(head[: layout.offset]) == layout else None


def _describe(head: bytes) -> _Layout | None:
    order = _ORDERS.get(head[:4])
    if order is None:
        return None
    try:
        tags = read_directory(head, order)
    except (struct.error, UnreadableImageError):  # The directory may go on behind these bytes.
        return None
    if not tags.keys() <= _UNDERSTOOD:
        return None
    if not all(tag in tags and set(tags[tag]) == allowed for tag, allowed in _MUST_BE.items()):
        return None
    if not all(set(tags[tag]) == allowed for tag, allowed in _MAY_BE.items() if tag in tags):
        return None
    places = [tags.get(tag, ()) for tag in _PLACES]
    if any(len(values) != 1 for values in places):
        return None
    width, height, offset, rows_per_strip, n_bytes = (values[0] for values in places)
    if not 8 < offset <= len(head) or not 0 < n_bytes == 3 * rows_per_strip * width:
        return None
    if rows_per_strip != height or height * width > MAX_PIXELS:
        return None
    return _Layout(offset, (height, width), offset + n_bytes)

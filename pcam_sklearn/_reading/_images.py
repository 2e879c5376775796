"""An image file of any kind to RGB pixels: all of them, or an error that says why not."""

import os
import stat

import cv2
import numpy as np

from pcam_sklearn._reading._formats import read_header
from pcam_sklearn._reading._rules import (
    MAX_PIXELS,
    UnreadableImageError,
    check_opaque,
    check_size,
    to_bytes,
)
from pcam_sklearn._reading._tiff import read_rows
from pcam_sklearn._reading._tiff_image import decode_tiff

# Room for uncompressed pixels of 16 bits, alpha and headers. No smaller image needs more.
_MAX_BYTES = 10 * MAX_PIXELS
_OPENCV_NO_MEMORY = -4


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the RGB pixels of an image file.

    A file that cannot be opened raises OSError. One that is not decoded for certain raises
    UnreadableImageError, whose message does not hold the path.
    """
    plain = read_rows(path)
    if plain is not None:
        return plain
    status = os.stat(path)  # To open a pipe would wait for somebody to write to it.
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("it is no regular file")
    with open(path, "rb") as file:  # OpenCV would not say why a file cannot be opened.
        if status.st_size > _MAX_BYTES:
            raise UnreadableImageError(
                f"it has {status.st_size:,} bytes, more than any patch; cut patches from it"
            )
        content = file.read()
    try:
        return decode_image(content)
    except MemoryError as error:
        raise UnreadableImageError("it takes more memory than there is") from error


def decode_image(content: bytes) -> np.ndarray:
    """Return the RGB pixels of the image that these bytes are, upright and complete."""
    if not content:
        raise UnreadableImageError("it is empty")
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return decode_tiff(content)
    header = read_header(content)
    check_size(header.width, header.height)
    pixels = to_bytes(_decode(content, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH))
    if sorted(pixels.shape[:2]) != sorted((header.height, header.width)):
        raise UnreadableImageError("its header tells another size than its pixels")
    if header.may_be_transparent:
        # OpenCV drops alpha along with turning an image upright, or returns both as they are.
        whole = _decode(content, cv2.IMREAD_UNCHANGED)
        if whole.shape[2:] == (4,):
            check_opaque(whole[..., 3])
        elif header.transparent_gray is not None:
            check_opaque(np.where(whole == header.transparent_gray, np.uint8(0), np.uint8(255)))
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _decode(content: bytes, flags: int) -> np.ndarray:
    # From memory, because a file name that is not valid text crashes OpenCV.
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        if error.code == _OPENCV_NO_MEMORY:
            raise MemoryError from error
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError("its pixels cannot be decoded; it is damaged")
    return pixels

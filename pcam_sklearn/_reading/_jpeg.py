"""The segments of a JPEG image: a decoder goes on where they are broken, and fills with gray."""

import struct
from typing import NamedTuple

from pcam_sklearn._reading._rules import CutShortError, UnreadableImageError

_START, _END, _SCAN, _RESTARTS = 0xD8, 0xD9, 0xDA, range(0xD0, 0xD8)
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SEGMENTS = {*_FRAMES, 0xC4, _SCAN, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}


class JpegFrame(NamedTuple):
    """The size of an image, and whether its colors come in many scans."""

    width: int
    height: int
    colors: int
    many_scans: bool


def read_jpeg_frame(data: bytes) -> JpegFrame:
    """Return the size of a JPEG image; raise unless its segments lead from its start to its end."""
    if not data.startswith(b"\xff\xd8"):
        raise UnreadableImageError("its JPEG data have no start")
    frame, at, scanned = None, 2, 0
    while (marker := data[(at := _behind_marker(data, at)) - 1]) != _END:
        if marker in _RESTARTS:
            continue
        if marker not in _SEGMENTS or (marker in _FRAMES and frame is not None):
            raise UnreadableImageError("its JPEG data are damaged")
        if marker in _FRAMES:
            frame = _read_frame(data, at, marker)
        (length,) = _unpack(">H", data, at)
        if marker == _SCAN:
            scanned += _unpack(">HB", data, at)[1]
        at += length
    _check_rest(data, at)
    # A progressive image comes in many scans. In others each color comes once.
    if frame is None or scanned < frame.colors or (scanned > frame.colors and not frame.many_scans):
        raise UnreadableImageError("its JPEG data hold a part of an image, or no image")
    return frame


def _behind_marker(data: bytes, at: int) -> int:
    """Return the place behind the next marker, which is 0xFF and a byte other than 0 and 0xFF."""
    at = data.find(b"\xff", at)
    while 0 <= at < len(data) - 1:
        if data[at + 1] not in (0, 0xFF):
            return at + 2
        # 0xFF and 0 are a byte of the pixels.
        at = data.find(b"\xff", at + (1 if data[at + 1] else 2))
    raise CutShortError("its JPEG data have no end")


def _check_rest(data: bytes, at: int) -> None:
    # Some cameras add a second image.
    if data[at:].strip(b"\0") and not data.startswith(b"\xff\xd8", at):
        raise UnreadableImageError("its JPEG data go on behind their end; it is damaged")


def _unpack(form: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as error:
        raise CutShortError("its JPEG data have no end") from error


def _read_frame(data: bytes, at: int, marker: int) -> JpegFrame:
    _, bits, height, width, colors = _unpack(">HBHHB", data, at)
    if bits != 8 or colors not in (1, 3):
        raise UnreadableImageError(
            f"it has {colors} colors of {bits} bits (CMYK?); save it as RGB with 8 bits"
        )
    return JpegFrame(width, height, colors, marker == _FRAMES[2])

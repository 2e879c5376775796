"""The segments of a JPEG image: a decoder goes on where they are broken, and fills with gray."""

import re
import struct
from typing import NamedTuple

from pcam_sklearn._reading._rules import CutShortError, UnreadableImageError

_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # 0xFF and 0 is a byte of the pixels.
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
    while True:
        match = _MARKER.search(data, at)
        if match is None:
            raise CutShortError("its JPEG data have no end")
        marker = match[1][0]
        if marker == _END:
            break
        if marker not in _RESTARTS:
            if marker not in _SEGMENTS or (marker in _FRAMES and frame is not None):
                raise UnreadableImageError("its JPEG data are damaged")
            if marker in _FRAMES:
                frame = _read_frame(data, match.end(), marker)
            if marker == _SCAN:
                scanned += data[match.end() + 2] if match.end() + 2 < len(data) else 0
        at = match.end() + (0 if marker in _RESTARTS else _length(data, match.end()))
    # Some cameras add a second image.
    if data[match.end() :].strip(b"\0") and not data.startswith(b"\xff\xd8", match.end()):
        raise UnreadableImageError("its JPEG data go on behind their end; it is damaged")
    # A progressive image comes in many scans. In others each color comes once.
    if frame is None or scanned < frame.colors or (scanned > frame.colors and not frame.many_scans):
        raise UnreadableImageError("its JPEG data hold a part of an image, or no image")
    return frame


def _length(data: bytes, at: int) -> int:
    if at + 2 > len(data):
        raise CutShortError("its JPEG data have no end")
    length: int = struct.unpack_from(">H", data, at)[0]
    return length


def _read_frame(data: bytes, at: int, marker: int) -> JpegFrame:
    try:
        _, bits, height, width, colors = struct.unpack_from(">HBHHB", data, at)
    except struct.error as error:
        raise CutShortError("its JPEG data have no end") from error
    if bits != 8 or colors not in (1, 3):
        raise UnreadableImageError(
            f"it has {colors} colors of {bits} bits (CMYK?); save it as RGB with 8 bits"
        )
    return JpegFrame(width, height, colors, marker == _FRAMES[2])

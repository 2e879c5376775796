"""Headers of PNG, JPEG, WebP, BMP and PNM files: size, alpha, where they end.

OpenCV decodes these formats. It is asked only where the file is complete and small enough, and
where the meaning of its colors is certain.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pcam_sklearn._reading._jpeg import read_jpeg_frame
from pcam_sklearn._reading._rules import UnreadableImageError, check_end

_UNKNOWN = "it is no TIFF, PNG, JPEG, WebP, BMP or PNM image"
_BMP_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)  # red, green, blue: the only order that is read
_BMP_HEADS = (40, 52, 56, 108, 124)  # lengths of the headers that Windows knows
_PNM = re.compile(rb"P([1-7])" + rb"(?:\s|#[^\n]*\n)+(\d+)" * 3 + rb"\s")


class Header(NamedTuple):
    """Facts about an image before it is decoded."""

    width: int
    height: int
    may_be_transparent: bool = False
    transparent_gray: int | None = None  # The value as it is decoded, of a gray image.


def read_header(content: bytes) -> Header:
    """Return the header of an image; raise unless it is complete and of a kind that is read."""
    read = next((read for start, read in _READERS if content.startswith(start)), None)
    if read is None:
        raise UnreadableImageError(_UNKNOWN)
    try:
        return read(content)
    except (struct.error, IndexError) as error:
        raise UnreadableImageError("its header is cut short or damaged") from error


def _read_png(content: bytes) -> Header:
    header, bits, is_gray = Header(0, 0), 8, False
    for kind, data in _png_chunks(content):
        if kind == b"IHDR":
            width, height, bits, color = struct.unpack_from(">IIBB", data)
            header, is_gray = Header(width, height, color in (4, 6)), color == 0
        elif kind == b"tRNS" and is_gray:
            (gray,) = struct.unpack_from(">H", data)
            # Values of less than 8 bits are stretched to 8.
            scale = {1: 255, 2: 85, 4: 17}.get(bits, 1)
            header = header._replace(may_be_transparent=True, transparent_gray=gray * scale)
        elif kind == b"tRNS":
            header = header._replace(may_be_transparent=True)
    return header


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the name and the data of each chunk, of which the checksum is right."""
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        check_end(at + length + 12 - len(content))
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        data = memoryview(content)[at + 4 : at + 8 + length]
        if zlib.crc32(data) != checksum:
            raise UnreadableImageError("the checksum of its PNG data is wrong; it is damaged")
        yield kind, data[4:]
        at += length + 12


def _read_jpeg(content: bytes) -> Header:
    frame = read_jpeg_frame(content)
    return Header(frame.width, frame.height)


def _read_webp(content: bytes) -> Header:
    (size,), kind = struct.unpack_from("<I", content, 4), content[12:16]
    if content[8:12] != b"WEBP":
        raise UnreadableImageError(_UNKNOWN)
    check_end(size + 8 - len(content))
    if len(content) > size + 8 + size % 2:  # OpenCV would read on.
        raise UnreadableImageError("its WebP data go on behind their end; it is damaged")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1))
    if kind == b"VP8X":
        if content[20] & 2:
            raise UnreadableImageError("it is an animation")
        width, height = (int.from_bytes(content[i : i + 3], "little") + 1 for i in (24, 27))
        return Header(width, height, bool(content[20] & 16))
    width, height = struct.unpack_from("<HH", content, 26)
    return Header(width & 0x3FFF, height & 0x3FFF)


def _read_bmp(content: bytes) -> Header:
    start, head, width, height, _, bits, code = struct.unpack_from("<IIiiHHI", content, 10)
    if bits not in (8, 24, 32) or code not in (0, 3) or head not in _BMP_HEADS:
        raise UnreadableImageError(f"it is a BMP image of kind {code} with {bits} bits; save a PNG")
    if code == 3 and struct.unpack_from("<III", content, 54) != _BMP_MASKS:
        raise UnreadableImageError("it is a BMP image with unusual colors; save it as PNG")
    row_bytes = (width * bits + 31) // 32 * 4
    end = start + row_bytes * abs(height)
    check_end(end - len(content))
    has_alpha = head >= 56 and bits == 32 and struct.unpack_from("<I", content, 66) != (0,)
    # OpenCV does not return the alpha of BMP images.
    if has_alpha and content[start + 3 : end : 4].strip(b"\xff"):
        raise UnreadableImageError("it has transparent pixels; put it on a white background")
    return Header(width, abs(height))


def _read_pnm(content: bytes) -> Header:
    match = _PNM.match(content)
    if match is None or match[1] not in b"56" or int(match[4]) != 255:
        raise UnreadableImageError("it is no binary PPM or PGM image with 8 bits; save it as PNG")
    width, height = int(match[2]), int(match[3])
    end = match.end() + width * height * (3 if match[1] == b"6" else 1)
    check_end(end - len(content))
    # Only one byte may stand between the header and the pixels, which would be shifted by one.
    if content[match.end() - 1 : match.end() + 1] == b"\r\n" and len(content) == end + 1:
        raise UnreadableImageError("a line of its header ends with two bytes, CR and LF")
    return Header(width, height)


_READERS: tuple[tuple[bytes, Callable[[bytes], Header]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _read_png),
    (b"\xff\xd8\xff", _read_jpeg),
    (b"RIFF", _read_webp),
    (b"BM", _read_bmp),
    (b"P5", _read_pnm),
    (b"P6", _read_pnm),
)

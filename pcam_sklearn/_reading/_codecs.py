"""Compressed pieces of a TIFF file to bytes: all of them, or an error.

OpenCV reads 8-bit TIFF files by a way that takes a damaged piece for zeros. So pieces are unpacked
here, by zlib or by the strict way that OpenCV has for 16 bits.
"""

import struct
import zlib
from itertools import accumulate

import cv2
import numpy as np

from pcam_sklearn._reading._jpeg import read_jpeg_frame
from pcam_sklearn._reading._rules import UnreadableImageError

LZW, JPEG, PACKBITS = 5, 7, 32773
DEFLATE = (8, 32946)
_CLEAR, _END = 256, 257  # LZW codes


def unpack(
    pieces: list[bytes], compression: int, piece_rows: int, n_rows: int, row_bytes: int
) -> np.ndarray:
    """Return the bytes of pieces, one below the other, of shape (n_rows, row_bytes).

    Each piece holds `piece_rows` rows, and the last one those that are left.
    """
    if compression == LZW and not row_bytes % 2:
        return _unpack_strictly(pieces, piece_rows, n_rows, row_bytes)
    unpacked = []
    for i, piece in enumerate(pieces):
        size = min(piece_rows, n_rows - i * piece_rows) * row_bytes
        data = _unpack_piece(piece, compression, size, piece_rows * row_bytes)
        if len(data) < size:
            raise UnreadableImageError(f"it holds {len(data):,} of {size:,} bytes; it is damaged")
        unpacked.append(data[:size])
    return np.frombuffer(b"".join(unpacked), np.uint8).reshape(n_rows, row_bytes)


def _unpack_piece(data: bytes, compression: int, size: int, most: int) -> bytes:
    if compression in DEFLATE:
        return _inflate(data, most)
    if compression == LZW:
        return _unpack_lzw(data, size)
    return _unpack_packbits(data, most) if compression == PACKBITS else data


def _inflate(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(data, most + 1)
    except zlib.error as error:
        raise UnreadableImageError(f"its deflate data are damaged: {error}") from error
    if not stream.eof:  # The checksum is at the end.
        raise UnreadableImageError("its deflate data have no end; it is damaged")
    return unpacked


def _unpack_strictly(
    pieces: list[bytes], piece_rows: int, n_rows: int, row_bytes: int
) -> np.ndarray:
    """Unpack LZW of an even number of bytes per row, as if they were values of 16 bits."""
    shape = n_rows, row_bytes // 2
    file = _as_16_bits(pieces, piece_rows, *shape)
    try:
        values = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None or values.dtype != np.uint16 or values.shape != shape:
        raise UnreadableImageError("its LZW data are damaged")
    return values.astype("<u2", copy=False).view(np.uint8)


def _as_16_bits(pieces: list[bytes], piece_rows: int, height: int, width: int) -> np.ndarray:
    """Return a gray TIFF file with these strips, of which OpenCV unpacks all bytes or none."""
    n, start = len(pieces), 8 + 2 + 9 * 12 + 4
    counts = [len(piece) for piece in pieces]
    offsets = [start + 8 * n + before for before in accumulate(counts, initial=0)][:n]
    # A list of one value stands in the field itself.
    places = (start, start + 4 * n) if n > 1 else (offsets[0], counts[0])
    fields = (
        *((256, 1, width), (257, 1, height), (258, 1, 16), (259, 1, LZW), (262, 1, 1)),
        *((273, n, places[0]), (277, 1, 1), (278, 1, piece_rows), (279, n, places[1])),
    )
    head = struct.pack("<2sHIH", b"II", 42, 8, len(fields))
    for tag, count, value in fields:
        head += struct.pack("<HHII", tag, 4, count, value)
    head += struct.pack(f"<{1 + 2 * n}I", 0, *offsets, *counts)
    return np.frombuffer(b"".join([head, *pieces]), np.uint8)


def _unpack_lzw(data: bytes, n: int) -> bytes:
    """Unpack LZW in Python, for an odd number of bytes per row, which 16 bits cannot hold."""
    out, table, before = bytearray(), _first_table(), b""
    bits = n_bits = 0
    width = 9
    for byte in data:
        bits, n_bits = bits << 8 | byte, n_bits + 8
        if n_bits < width:
            continue
        n_bits -= width
        code, bits = bits >> n_bits, bits & (1 << n_bits) - 1
        if code == _END or len(out) >= n:
            break
        if code == _CLEAR:
            table, before, width = _first_table(), b"", 9
            continue
        if code > len(table) or (not before and code >= _CLEAR):
            raise UnreadableImageError("its LZW data are damaged")
        new = before + before[:1] if code == len(table) else table[code]
        if before and len(table) < 4096:
            table.append(before + new[:1])
        out, before = out + new, new
        # A code grows one entry before it has to, as TIFF writes it.
        width = min(12, (len(table) + 1).bit_length())
    return bytes(out)


def _first_table() -> list[bytes]:
    return [bytes([value]) for value in range(256)] + [b"", b""]


def _unpack_packbits(data: bytes, most: int) -> bytes:
    out, at = bytearray(), 0
    while at < len(data):
        count = data[at]
        if count < 128:
            out += data[at + 1 : at + 2 + count]
            at += count + 2
        else:
            # 128 stands for nothing.
            out += data[at + 1 : at + 2] * (257 - count if count > 128 else 0)
            at += 2 if count > 128 else 1
        if len(out) > most:  # Other decoders drop what is too much.
            raise UnreadableImageError("its PackBits data hold more than its pixels; it is damaged")
    return bytes(out)


def unpack_jpeg(data: bytes, tables: bytes, *, is_rgb: bool) -> np.ndarray:
    """Return the pixels of a piece that is a JPEG image: gray, or red, green, blue."""
    read_jpeg_frame(data)
    # A decoder guesses how colors are stored. This segment, of Adobe, tells it.
    adobe = struct.pack(">2sH5sHHHB", b"\xff\xee", 14, b"Adobe", 100, 0, 0, 0 if is_rgb else 1)
    head = b"\xff\xd8" + adobe + tables.removeprefix(b"\xff\xd8").removesuffix(b"\xff\xd9")
    image = (head + data.removeprefix(b"\xff\xd8")).replace(b"JFIF\0", b"none\0", 1)
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype != np.uint8:
        raise UnreadableImageError("its JPEG data cannot be decoded")
    return pixels[..., None] if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

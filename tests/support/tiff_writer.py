"""An independent writer of TIFF files: every compression and layout that is read."""

import struct
import zlib
from itertools import product

import cv2
import numpy as np


def write_tiff(
    pixels: np.ndarray,
    *,
    compression: int = 1,
    predictor: int = 1,
    planar: int = 1,
    rows: int | None = None,
    tile: tuple[int, int] | None = None,
    order: str = "<",
    photometric: int | None = None,
    lost: int = 0,
    **changes: tuple[int, ...],
) -> bytes:
    """Return an image (height, width, samples) of 8 or 16 bits as a TIFF file.

    `changes` replaces or adds a field by its number, as ``t274=(6,)``; () leaves it out. The last
    piece says that it is `lost` bytes shorter than it is.
    """
    height, width, samples = pixels.shape
    pieces = cut(pixels, planar, rows, tile)
    packed = [pack(piece, compression, predictor, order) for piece in pieces]
    bits = 8 * pixels.dtype.itemsize
    fields = {
        256: (width,), 257: (height,), 258: (bits,) * samples, 259: (compression,),
        262: (photometric if photometric is not None else 2 if samples > 2 else 1,),
        277: (samples,), 284: (planar,), 317: (predictor,),
    }  # fmt: skip
    if tile:
        fields |= {322: (tile[1],), 323: (tile[0],)}
    else:
        fields |= {278: (rows or height,)}
    places, sizes = (324, 325) if tile else (273, 279)
    counts = list(map(len, packed))
    counts[-1] -= lost
    fields |= {places: counts, sizes: counts}
    fields |= {int(name[1:]): values for name, values in changes.items()}
    fields = {tag: values for tag, values in fields.items() if len(values)}
    start = len(directory(order, fields))
    if f"t{places}" not in changes:
        fields[places] = [start + sum(map(len, packed[:i])) for i in range(len(packed))]
    return directory(order, fields) + b"".join(packed)


def directory(order, fields):
    """Return everything before the pixels: header, directory, and the values behind it."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    start = len(head) + 2 + 12 * len(fields) + 4
    entries, behind = struct.pack(order + "H", len(fields)), b""
    for tag, values in sorted(fields.items()):
        code, kind = ("H", 3) if tag in (258, 262, 320, 338, 339) else ("I", 4)
        data = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(data) > 4:
            behind += data + bytes(len(data) % 2)
            data = struct.pack(order + "I", start + len(behind) - len(data) - len(data) % 2)
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
    return head + entries + bytes(4) + behind


def cut(pixels, planar, rows, tile):
    """Return the strips or tiles of an image; tiles are padded at the edges."""
    height, width, samples = pixels.shape
    step = tile or (rows or height, width)
    planes = [pixels] if planar == 1 else [pixels[..., i : i + 1] for i in range(samples)]
    pieces = []
    for plane, top, left in product(planes, range(0, height, step[0]), range(0, width, step[1])):
        piece = plane[top : top + step[0], left : left + step[1]]
        if tile:
            missing = [(0, step[i] - piece.shape[i]) for i in (0, 1)]
            piece = np.pad(piece, [*missing, (0, 0)], mode="edge")
        pieces.append(piece)
    return pieces


def pack(piece, compression, predictor, order):
    """Return the compressed bytes of one piece."""
    if compression == 7:
        bgr = np.ascontiguousarray(piece[..., ::-1])
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    if predictor == 2:
        piece = piece.copy()
        piece[:, 1:] -= piece[:, :-1].copy()
    data = piece.astype(piece.dtype.newbyteorder(order)).tobytes()
    packers = {1: bytes, 5: lzw, 8: zlib.compress, 32946: zlib.compress, 32773: packbits}
    return packers.get(compression, bytes)(data)


def packbits(data):
    """Return PackBits: runs of equal bytes, and 128 bytes at most as they are."""
    out, at = b"", 0
    while at < len(data):
        run = len(data[at : at + 128]) - len(data[at : at + 128].lstrip(data[at : at + 1]))
        if run > 2:
            out, at = out + bytes([257 - run]) + data[at : at + 1], at + run
        else:
            part = data[at : at + 128]
            out, at = out + bytes([len(part) - 1]) + part, at + len(part)
    return out


def lzw(data):
    """Return LZW as TIFF has it: most significant bit first, codes widened one code early."""
    table, codes, before = {}, [(256, 9)], b""

    def width():
        return min(12, (258 + len(table)).bit_length())

    for i in range(len(data)):
        byte = data[i : i + 1]
        if before == b"" or before + byte in table:
            before += byte
            continue
        codes.append((table.get(before, before[0]), width()))
        table[before + byte] = 258 + len(table)
        before = byte
        if len(table) == 4094 - 258:
            codes.append((256, 12))
            table = {}
    codes.append((table.get(before, before[0]), width()))
    # The reader adds an entry for this code as well.
    table[b"end"] = 0
    bits = "".join(f"{code:0{n}b}" for code, n in [*codes, (257, width())])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")

"""An independent writer of the TIFF layout of Kaggle's patches."""

import struct
from pathlib import Path

import numpy as np


def plain_tiff(pixels: np.ndarray, *, order: str = "<", gap: int = 24, **changes: int) -> bytes:
    """Return pixels as an uncompressed TIFF file of one strip, the directory first.

    `changes` replaces the value of a field, by name; -1 leaves the field out.
    """
    height, width = pixels.shape[:2]
    fields = {
        "width": (256, "I", width),
        "height": (257, "I", height),
        "bits": (258, "H", 8),
        "compression": (259, "H", 1),
        "photometric": (262, "H", 2),
        "offset": (273, "I", 0),
        "orientation": (274, "H", 1),
        "samples": (277, "H", 3),
        "rows": (278, "I", height),
        "bytes": (279, "I", pixels.nbytes),
        "planar": (284, "H", 1),
    }
    kept = {name: field for name, field in fields.items() if changes.get(name) != -1}
    end = 8 + 2 + 12 * len(kept) + 4
    start = end + 6 + gap
    directory = b""
    for name, (tag, code, value) in kept.items():
        value = changes.get(name, start if name == "offset" else value)
        kind = {"H": 3, "I": 4}[code]
        if name == "bits":
            directory += struct.pack(order + "HHII", tag, kind, 3, end)
        else:
            directory += struct.pack(order + "HHI", tag, kind, 1)
            directory += struct.pack(order + code, value).ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    head += struct.pack(order + "H", len(kept)) + directory + struct.pack(order + "I", 0)
    head += struct.pack(order + "3H", *[changes.get("bits", 8)] * 3) + b"\0" * gap
    return head + pixels.tobytes()


def write_plain(path: Path, pixels: np.ndarray) -> None:
    """Write pixels as Kaggle does: the header of such a patch is 287 bytes long."""
    content = plain_tiff(pixels, gap=287 - (8 + 2 + 12 * 11 + 4 + 6))
    assert len(content) == 287 + pixels.nbytes
    path.write_bytes(content)

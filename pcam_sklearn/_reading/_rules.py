"""Rules for images of every format: not too large, opaque, with all of their bits."""

import numpy as np

# 4,096 x 4,096. Compressed, a file of one megabyte can hold a thousand times as many.
MAX_PIXELS = 2**24
# No tissue is darker than a quarter of the scale all over, so fewer bits than 16 were scaled to it.
_DEEP_ENOUGH = 2**14


class UnreadableImageError(ValueError):
    """An image that is not decoded for certain; the message says why, without the path."""


class CutShortError(UnreadableImageError):
    """An image whose file ends before its pixels do."""


def check_end(missing: int) -> None:
    """Raise if bytes are missing at the end of a file."""
    if missing > 0:
        raise CutShortError(f"{missing:,} bytes are missing at its end")


def check_size(width: int, height: int) -> None:
    """Raise if an image has no pixels, or so many that it is no patch."""
    if width < 1 or height < 1:
        raise UnreadableImageError(f"it is {width} x {height} pixels large")
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(
            f"{width} x {height} pixels are more than the {MAX_PIXELS:,} that a patch may have; "
            "cut patches from it"
        )


def check_opaque(alpha: np.ndarray) -> None:
    """Raise if a pixel is transparent: its color depends on what is behind it."""
    n = int((alpha != np.iinfo(alpha.dtype).max).sum())
    if n:
        raise UnreadableImageError(
            f"{n:,} of its {alpha.size:,} pixels are transparent; put it on a white background"
        )


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Return the upper 8 of 16 bits; raise if the values leave the upper bits empty."""
    if pixels.dtype == np.uint8:
        return pixels
    largest = int(pixels.max())
    if 0 < largest < _DEEP_ENOUGH:
        raise UnreadableImageError(
            f"its 16-bit values end at {largest:,}, so it would be almost black; scale them to "
            "65,535, or save it with 8 bits"
        )
    return (pixels >> 8).astype(np.uint8)

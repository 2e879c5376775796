"""The pixels of a TIFF file of any layout: pieces unpacked, put together, turned into RGB."""

import numpy as np

from pcam_sklearn._reading._codecs import JPEG, unpack, unpack_jpeg
from pcam_sklearn._reading._rules import (
    UnreadableImageError,
    check_end,
    check_opaque,
    to_bytes,
)
from pcam_sklearn._reading._tiff_fields import Layout, read_layout


def decode_tiff(content: bytes) -> np.ndarray:
    """Return the uint8 RGB pixels of the first image in a TIFF file, complete and upright."""
    layout = read_layout(content)
    samples = _read_samples(content, layout)
    if layout.samples > layout.colors:
        check_opaque(samples[..., layout.colors])
        samples = samples[..., : layout.colors]
    return np.ascontiguousarray(_turn(_to_rgb(samples, layout), layout.orientation))


def _read_samples(content: bytes, layout: Layout) -> np.ndarray:
    """Return the samples of all pixels, as they are stored."""
    pieces = [_cut(content, *place) for place in zip(layout.offsets, layout.counts, strict=True)]
    n = len(pieces) // layout.planes
    planes = [_read_plane(pieces[i : i + n], layout) for i in range(0, len(pieces), n)]
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


def _cut(content: bytes, offset: int, count: int) -> bytes:
    check_end(offset + count - len(content))
    return content[offset : offset + count]


def _read_plane(pieces: list[bytes], layout: Layout) -> np.ndarray:
    """Return an array (height, width, samples) of the pixels in the strips or tiles of a plane."""
    (height, width), (piece_height, piece_width) = layout.size, layout.piece
    down, across = layout.grid
    n_rows = len(pieces) * piece_height if layout.is_tiled else height
    rows = _read_rows(pieces, layout, n_rows)
    if not layout.is_tiled:
        return rows
    tiles = rows.reshape(down, across, piece_height, piece_width, -1).swapaxes(1, 2)
    whole = tiles.reshape(down * piece_height, across * piece_width, -1)
    return whole[:height, :width]


def _read_rows(pieces: list[bytes], layout: Layout, n_rows: int) -> np.ndarray:
    """Return the samples of pieces one below the other, of shape (n_rows, piece width, samples)."""
    (height, width), samples = layout.piece, layout.samples // layout.planes
    if layout.compression == JPEG:
        return _read_jpegs(pieces, layout, (n_rows, width, samples))
    row_bytes = width * samples * layout.bits // 8
    rows = unpack(pieces, layout.compression, height, n_rows, row_bytes)
    values = rows.view(np.uint8 if layout.bits == 8 else f"{layout.order}u2")
    if layout.predictor == 2:
        values = _add_up(values.astype(values.dtype.newbyteorder("=")), samples)
    return values.reshape(n_rows, width, samples)


def _add_up(rows: np.ndarray, samples: int) -> np.ndarray:
    """Turn differences from the pixel on the left into values, in place."""
    shift = samples
    while shift < rows.shape[1]:
        # Sums of 2, 4, 8 ... pixels: four times as fast as `cumsum`, which goes value by value.
        rows[:, shift:] += rows[:, :-shift]
        shift *= 2
    return rows


def _read_jpegs(pieces: list[bytes], layout: Layout, shape: tuple[int, int, int]) -> np.ndarray:
    height, pixels = layout.piece[0], np.empty(shape, np.uint8)
    for i, piece in enumerate(pieces):
        image = unpack_jpeg(piece, layout.tables, is_rgb=layout.photometric == 2)
        rows = pixels[i * height : (i + 1) * height]
        if len(image) < len(rows) or image.shape[1:] != shape[1:]:
            raise UnreadableImageError(f"its JPEG data are of another shape, {image.shape}")
        rows[:] = image[: len(rows)]
    return pixels


def _to_rgb(samples: np.ndarray, layout: Layout) -> np.ndarray:
    if layout.photometric == 3:
        palette = np.array(layout.palette, np.uint16).reshape(3, 256).T
        # Old programs wrote palettes of 8 bits.
        return (palette >> 8 if palette.max() > 255 else palette).astype(np.uint8)[samples[..., 0]]
    samples = to_bytes(samples)
    if layout.photometric == 0:
        samples = 255 - samples
    return np.repeat(samples, 3, axis=2) if layout.colors == 1 else samples


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels as they were seen: TIFF 6.0, field 274."""
    if orientation > 4:
        pixels, orientation = pixels.transpose(1, 0, 2), orientation - 4
    vertical, horizontal = orientation in (3, 4), orientation in (2, 3)
    return pixels[:: -1 if vertical else 1, :: -1 if horizontal else 1]

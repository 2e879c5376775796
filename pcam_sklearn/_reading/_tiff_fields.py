"""The first directory of a TIFF file, and the layouts that are decoded for certain."""

import struct
from dataclasses import dataclass

from pcam_sklearn._reading._codecs import DEFLATE, JPEG, LZW, PACKBITS
from pcam_sklearn._reading._rules import UnreadableImageError, check_size

# Everything that decides on pixels: TIFF 6.0. Other fields are words, dates and resolutions.
_DEFAULTS: dict[int, tuple[int, ...]] = {
    256: (), 257: (), 258: (1,), 259: (1,), 262: (), 266: (1,), 273: (), 274: (1,), 277: (1,),
    278: (2**32 - 1,), 279: (), 284: (1,), 317: (1,), 320: (), 322: (), 323: (), 324: (), 325: (),
    338: (), 339: (1,), 347: (),
}  # fmt: skip
_NUMBERS = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}  # field type -> struct code
_COMPRESSIONS = {
    2: "CCITT", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old JPEG", 33003: "JPEG 2000",
    33005: "JPEG 2000", 33007: "ECW", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA",
    50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_READ = (1, LZW, JPEG, PACKBITS, *DEFLATE)
_COLORS = {0: 1, 1: 1, 2: 3, 3: 1, 6: 3}  # photometric interpretation -> samples
_SINGLE = (256, 257, 259, 262, 266, 274, 277, 278, 284, 317)
_MOST_VALUES = 2**20  # The smallest tiles of the largest patch are 65,536.
_OF_TILES = (322, 323, 324, 325)


@dataclass(frozen=True)
class Layout:
    """Places of the pixels in a TIFF file: pieces, which are strips or tiles."""

    order: str
    is_tiled: bool
    size: tuple[int, int]  # height, width
    piece: tuple[int, int]  # height, width
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    bits: int
    samples: int
    planes: int
    compression: int
    photometric: int
    predictor: int
    orientation: int
    palette: tuple[int, ...]
    tables: bytes

    @property
    def colors(self) -> int:
        """The samples of a pixel without alpha."""
        return _COLORS[self.photometric]

    @property
    def grid(self) -> tuple[int, int]:
        """The number of pieces that cover the image: down, across."""
        (height, width), (piece_height, piece_width) = self.size, self.piece
        return -(-height // piece_height), -(-width // piece_width)


def read_layout(content: bytes) -> Layout:
    """Return the layout of the first image; raise where it is not decoded for certain."""
    order, fields = _read_fields(content)
    one = {tag: _single(tag, values) for tag, values in fields.items() if tag in _SINGLE}
    width, height = one[256], one[257]
    check_size(width, height)
    is_tiled = any(fields[tag] for tag in _OF_TILES)
    if is_tiled:
        piece = _single(323, fields[323]), _single(322, fields[322])
    else:
        piece = min(one[278], height), width
    check_size(*piece[::-1])
    layout = Layout(
        order,
        is_tiled,
        (height, width),
        piece,
        offsets=fields[324 if is_tiled else 273],
        counts=fields[325 if is_tiled else 279],
        bits=fields[258][0],
        samples=one[277],
        planes=one[277] if one[284] == 2 else 1,
        compression=one[259],
        photometric=one[262],
        predictor=one[317],
        orientation=one[274],
        palette=fields[320],
        tables=bytes(min(value, 255) for value in fields[347]),
    )
    _check_layout(layout, fields)
    return layout


def _single(tag: int, values: tuple[int, ...]) -> int:
    if len(values) != 1:
        raise UnreadableImageError(f"its field {tag} has {len(values)} values instead of one")
    return values[0]


def _check_layout(layout: Layout, fields: dict[int, tuple[int, ...]]) -> None:
    """Raise unless each field has a value of which the meaning is certain."""
    code = layout.compression
    if code not in _READ:
        raise UnreadableImageError(
            f"its compression is {_COMPRESSIONS.get(code, 'unknown')} ({code}), which is not read; "
            "save it as PNG, or as TIFF with deflate"
        )
    extra = layout.samples - _COLORS.get(layout.photometric, 0)
    alike = len(set(fields[258])) == 1 and set(fields[339]) == {1}
    allowed = {
        f"{fields[258]} bits": alike and layout.bits in (8, 16),
        f"sample format {fields[339]}": alike,
        f"color code {layout.photometric}": layout.photometric in _COLORS,
        f"{layout.samples} samples": extra in (0, 1),
        "a palette": layout.photometric != 3 or _is_palette(layout),
        "damaged JPEG tables": max(fields[347], default=0) < 256,
        "YCbCr by plane": layout.photometric != 6 or layout.planes == 1,
        "YCbCr without JPEG": layout.photometric != 6 or code == JPEG,
        f"JPEG with {layout.bits} bits": code != JPEG or (layout.bits == 8 and not extra),
        "JPEG that is inverted": code != JPEG or layout.photometric in (1, 2, 6),
        f"predictor {layout.predictor}": layout.predictor == 1
        or (layout.predictor == 2 and code in (LZW, *DEFLATE)),
        f"bit order {fields[266][0]}": fields[266] == (1,),
        f"plane code {fields[284][0]}": fields[284][0] in (1, 2),
        f"orientation {layout.orientation}": 1 <= layout.orientation <= 8,
    }
    wrong = [name for name, is_read in allowed.items() if not is_read]
    if wrong:
        raise UnreadableImageError(f"it has {wrong[0]}, which is not read; save it as PNG")
    _check_pieces(layout)


def _is_palette(layout: Layout) -> bool:
    return layout.bits == 8 and layout.samples == 1 and len(layout.palette) == 3 * 256


def _check_pieces(layout: Layout) -> None:
    down, across = layout.grid
    wanted = down * across * layout.planes
    if len(layout.offsets) != wanted or len(layout.counts) != wanted:
        raise UnreadableImageError(
            f"it lists {len(layout.offsets)} offsets and {len(layout.counts)} sizes for the "
            f"{wanted} pieces of its pixels; it is damaged"
        )


def _read_fields(content: bytes) -> tuple[str, dict[int, tuple[int, ...]]]:
    """Return the byte order and the fields that decide on pixels, with TIFF's defaults."""
    order = "<" if content[:2] == b"II" else ">"
    try:
        found = read_directory(content, order)
    except (struct.error, OverflowError) as error:
        raise UnreadableImageError("its directory is cut short or damaged") from error
    return order, {**_DEFAULTS, **found}


def read_directory(content: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """Return the fields that decide on pixels; raise, also struct.error, for a damaged one."""
    is_big = struct.unpack_from(order + "H", content, 2)[0] == 43  # BigTIFF
    word, head = ("Q", 8) if is_big else ("I", 4)
    (at,) = struct.unpack_from(order + word, content, head)
    (n_fields,) = struct.unpack_from(order + ("Q" if is_big else "H"), content, at)
    at += 8 if is_big else 2
    found: dict[int, tuple[int, ...]] = {}
    for _ in range(n_fields):
        tag, kind, count = struct.unpack_from(f"{order}HH{word}", content, at)
        if tag in _DEFAULTS:
            if tag in found or kind not in _NUMBERS or not 0 < count <= _MOST_VALUES:
                raise UnreadableImageError(f"its field {tag} is damaged")
            size = count * struct.calcsize(_NUMBERS[kind])
            place = at + 4 + head
            if size > head:
                (place,) = struct.unpack_from(order + word, content, place)
            found[tag] = struct.unpack_from(f"{order}{count}{_NUMBERS[kind]}", content, place)
        at += 4 + 2 * head
    return found

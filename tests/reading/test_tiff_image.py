"""TIFF files of every layout: pixels are right to the bit, or the error says what is not read."""

from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiff_writer import write_tiff

from pcam_sklearn import PatchReader
from pcam_sklearn._reading._images import decode_image
from pcam_sklearn._reading._rules import CutShortError, UnreadableImageError

LOSSLESS = [1, 5, 8, 32946, 32773]
RNG = np.random.default_rng(0)
# Smooth, so that compression finds something to do.
PATCH = cv2.GaussianBlur(RNG.integers(0, 256, (40, 36, 3), np.uint8), (0, 0), 1)


def expected(pixels):
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]


@pytest.mark.slow
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 36),
    samples=st.sampled_from([1, 3]),
    deep=st.booleans(),
    compression=st.sampled_from(LOSSLESS),
    predictor=st.sampled_from([1, 2]),
    planar=st.sampled_from([1, 2]),
    order=st.sampled_from("<>"),
    rows=st.none() | st.integers(1, 40),
    tile=st.none() | st.tuples(st.sampled_from([1, 16]), st.sampled_from([1, 16])),
)
def test_any_layout_is_read_to_the_bit(height, width, samples, deep, predictor, **layout):
    pixels = PATCH[:height, :width, :samples].copy()
    if deep:
        pixels = pixels.astype(np.uint16) * 257
        pixels[0, 0] = 65535
    if layout["compression"] in (5, 8, 32946):
        layout["predictor"] = predictor
    content = write_tiff(pixels, **layout)
    assert np.array_equal(decode_image(content), expected(pixels))


@pytest.mark.parametrize("compression", LOSSLESS)
def test_a_layout_is_read_as_opencv_reads_it(compression):
    content = write_tiff(PATCH, compression=compression, rows=7)
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decode_image(content), bgr[..., ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright_as_opencv_turns_it(orientation):
    content = write_tiff(PATCH, t274=(orientation,))
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decode_image(content), bgr[..., ::-1])


@pytest.mark.parametrize("options", [{}, {"rows": 16}, {"tile": (16, 16)}], ids=str)
def test_jpeg_in_a_tiff_file_is_read_up_to_its_rounding(options):
    smooth = cv2.GaussianBlur(PATCH, (0, 0), 4)
    read = decode_image(write_tiff(smooth, compression=7, photometric=6, **options))
    assert abs(read.astype(int) - smooth).max() <= 8


def test_gray_that_counts_from_white_is_inverted():
    gray = PATCH[..., :1]
    assert np.array_equal(decode_image(write_tiff(gray, photometric=0)), expected(255 - gray))


def test_a_palette_gives_its_colors():
    palette = RNG.integers(0, 65536, (3, 256))
    content = write_tiff(PATCH[..., :1], photometric=3, t320=tuple(palette.ravel()))
    assert np.array_equal(decode_image(content), (palette.T >> 8)[PATCH[..., 0]])


# Not read


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (2, "CCITT"), (3, "CCITT fax 3"), (4, "CCITT fax 4"), (6, "old JPEG"), (9, "unknown"),
        (32771, "unknown"), (32809, "unknown"), (33003, "JPEG 2000"), (33005, "JPEG 2000"),
        (33007, "ECW"), (34712, "JPEG 2000"), (34887, "LERC"), (34925, "LZMA"),
        (50000, "Zstandard"), (50001, "WebP"), (50002, "JPEG XL"), (52546, "JPEG XL"),
        (0, "unknown"), (65000, "unknown"),
    ],
)  # fmt: skip
def test_a_compression_that_is_not_read_is_named_with_its_file(tmp_path, code, name):
    path = tmp_path / "patch.tif"
    path.write_bytes(write_tiff(PATCH, compression=code))
    with pytest.raises(ValueError, match=rf"patch\.tif \(its compression is {name} \({code}\)"):
        PatchReader().transform([path])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t258": (1,) * 3}, "bits"),
        ({"t258": (8, 8, 16)}, "bits"),
        ({"t258": (32,) * 3}, "bits"),
        ({"t339": (2,) * 3}, "sample format|bits"),
        ({"t262": (5,)}, "color code 5"),
        ({"t262": (6,)}, "YCbCr without JPEG"),
        ({"t262": (8,)}, "color code 8"),
        ({"t266": (2,)}, "bit order 2"),
        ({"t284": (3,)}, "plane code 3"),
        ({"t274": (9,)}, "orientation 9"),
        ({"t277": (6,)}, "6 samples"),
        ({"t317": (3,)}, "predictor 3"),
        ({"t317": (2,)}, "predictor 2"),
        ({"t262": ()}, "field 262 has 0 values"),
        ({"t256": (0,)}, "0 x 40 pixels"),
        ({"t279": (100, 100)}, "1 offsets and 2 sizes"),
        ({"photometric": 6, "compression": 7, "planar": 2}, "YCbCr by plane"),
        ({"compression": 7, "t347": (70_000,)}, "damaged JPEG tables"),
    ],
    ids=str,
)
def test_a_meaning_that_is_not_certain_is_an_error(changes, message):
    with pytest.raises(UnreadableImageError, match=message):
        decode_image(write_tiff(PATCH, **changes))


@pytest.mark.parametrize(
    "pixels",
    [np.dstack([PATCH, PATCH[..., 0]]), PATCH[..., :2], np.dstack([PATCH, PATCH[..., 0] * 0])],
    ids=["RGBA", "gray and alpha", "nothing to be seen"],
)
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_transparent_pixels_are_an_error_and_never_multiplied(pixels, kind):
    with pytest.raises(UnreadableImageError, match="transparent; put it on a white background"):
        decode_image(write_tiff(pixels, t338=(kind,)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("samples", [1, 3])
def test_alpha_that_is_all_opaque_is_left_out(dtype, samples):
    pixels = PATCH[..., :samples].astype(dtype) * (257 if dtype == np.uint16 else 1)
    opaque = np.full_like(pixels[..., :1], np.iinfo(dtype).max)
    read = decode_image(write_tiff(np.dstack([pixels, opaque]), t338=(2,)))
    assert np.array_equal(read, expected(pixels))


# Damaged


LAYOUTS = [
    {"compression": 7, "photometric": 6},
    {"tile": (16, 16)},
    *(
        {"compression": compression, "planar": planar, "rows": rows}
        for compression in LOSSLESS
        for planar in (1, 2)
        for rows in (7, 40)
    ),
]


WRITTEN = [write_tiff(PATCH, **layout) for layout in LAYOUTS]


@pytest.mark.parametrize("content", WRITTEN, ids=map(str, LAYOUTS))
@pytest.mark.parametrize("lost", [1, 2, 100, 1000, 2500, 4000, 10_000])
def test_a_file_that_ends_before_its_pixels_is_an_error(content, lost):
    with pytest.raises(UnreadableImageError, match=r"missing at its end|empty|cut short|no TIFF"):
        decode_image(content[: max(0, len(content) - lost)])


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("width", [36, 35])
@pytest.mark.parametrize("lost", [4, 300])
def test_a_piece_that_holds_too_little_is_an_error(compression, planar, width, lost):
    pixels = PATCH[:39, :width]
    content = write_tiff(pixels, compression=compression, planar=planar, lost=lost)
    with pytest.raises(UnreadableImageError, match="damaged"):
        decode_image(content)


@pytest.mark.parametrize("compression", [8, 32946, 32773])
def test_a_piece_that_unpacks_to_more_than_its_pixels_is_an_error(compression):
    content = write_tiff(PATCH, compression=compression, t257=(20,), t278=(20,))
    with pytest.raises(UnreadableImageError, match="damaged"):
        decode_image(content)


def test_an_empty_field_is_an_error():
    content = bytearray(write_tiff(PATCH))
    place = content.index((258).to_bytes(2, "little") + b"\x03\0")
    content[place + 4 : place + 8] = bytes(4)
    with pytest.raises(UnreadableImageError, match="field 258 is damaged"):
        decode_image(bytes(content))


def test_tiles_larger_than_any_patch_are_an_error():
    content = write_tiff(PATCH, tile=(16, 16), t322=(2**20,), t323=(2**20,))
    with pytest.raises(UnreadableImageError, match="pixels are more than"):
        decode_image(content)


def test_a_jpeg_piece_without_its_end_is_an_error():
    content = write_tiff(PATCH, compression=7, photometric=6, lost=300)
    with pytest.raises(CutShortError, match="its JPEG data have no end"):
        decode_image(content)


@given(at=st.integers(0, 3000), bit=st.integers(0, 7))
def test_a_flipped_bit_in_deflate_data_is_found_by_its_checksum_or_changes_nothing(at, bit):
    content = bytearray(write_tiff(PATCH, compression=8))
    content[-1 - at] ^= 1 << bit
    with suppress(UnreadableImageError):
        # A few bits before the checksum stand for nothing.
        assert np.array_equal(decode_image(bytes(content)), PATCH)


@pytest.mark.slow
@given(data=st.data())
def test_any_damage_gives_an_image_or_an_error_that_says_why(data):
    content = bytearray(data.draw(st.sampled_from(WRITTEN)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadableImageError):
        assert decode_image(bytes(content)).dtype == np.uint8

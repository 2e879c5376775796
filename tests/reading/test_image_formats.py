"""PNG, JPEG, WebP, BMP and PNM: whole, opaque, of a sensible size and depth, or an error."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from support.quiet import quiet_opencv

from pcam_sklearn import PatchReader
from pcam_sklearn._reading import _images
from pcam_sklearn._reading._images import decode_image
from pcam_sklearn._reading._rules import MAX_PIXELS, UnreadableImageError

RNG = np.random.default_rng(0)
PATCH = cv2.GaussianBlur(RNG.integers(0, 256, (40, 36, 3), np.uint8), (0, 0), 1)
ENDINGS = {"png": {}, "jpeg": {}, "webp": {"lossless": True}, "bmp": {}, "ppm": {}}


@pytest.fixture(scope="module", autouse=True)
def _quiet_opencv():
    with quiet_opencv():
        yield


def saved(image, kind, **options):
    """Return an array or an image of Pillow as the bytes of a file."""
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opaque(pixels=PATCH):
    return np.dstack([pixels, np.full_like(pixels[..., 0], 255)])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
@pytest.mark.parametrize("kind", ["png", "bmp"])
def test_any_kind_of_colors_is_read_as_pillow_reads_it(kind, mode):
    image = Image.fromarray(PATCH).convert(mode)
    content = saved(image, kind)
    if (kind, mode) == ("bmp", "1"):
        with pytest.raises(UnreadableImageError, match="with 1 bits; save a PNG"):
            decode_image(content)
    else:
        assert np.array_equal(decode_image(content), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["png", "webp", "bmp", "tiff"])
def test_opaque_alpha_is_left_out_in_every_format(kind):
    content = saved(opaque(), kind, **ENDINGS.get(kind, {}))
    assert np.array_equal(decode_image(content), PATCH)


@pytest.mark.parametrize("alpha", [0, 1, 254])
@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_one_transparent_pixel_is_an_error_in_every_format(kind, alpha):
    pixels = opaque()
    pixels[3, 4, 3] = alpha
    with pytest.raises(UnreadableImageError, match=r"1 of its 1,440 pixels are transparent"):
        decode_image(saved(pixels, kind, **ENDINGS.get(kind, {})))


def test_transparent_pixels_of_a_bmp_image_are_an_error():
    pixels = opaque()
    pixels[3, 4, 3] = 0
    content = bytearray(saved(pixels, "bmp"))
    # Pillow writes the old header, in which the fourth byte means nothing.
    (start,) = struct.unpack_from("<I", content, 10)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(108 - 56)
    struct.pack_into("<II", content, 10, 14 + 108, 108)
    struct.pack_into("<I", content, 30, 3)
    new = bytes(content[: 14 + 40]) + masks + bytes(content[start:])
    with pytest.raises(UnreadableImageError, match="transparent"):
        decode_image(new)


@pytest.mark.parametrize("transparency", [3, (1, 2, 3)], ids=["palette", "color"])
def test_a_transparent_color_counts_only_where_it_is_used(transparency):
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    image = image.quantize(4) if isinstance(transparency, int) else image
    content = saved(image, "png", transparency=transparency)
    assert not decode_image(content).any()
    image = Image.fromarray(np.tile(np.array([[1, 2, 3]], np.uint8), (8, 8, 1)))
    with pytest.raises(UnreadableImageError, match="transparent"):
        decode_image(saved(image, "png", transparency=(1, 2, 3)))


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_transparent_gray_counts_only_where_it_is_used(bits):
    gray = np.zeros((8, 8), np.uint8)
    gray[0] = 1
    deep = {1: gray > 0, 8: gray, 16: gray.astype(np.uint16) << 15}[bits]
    used, unused = (1 << 15, 2) if bits == 16 else (1, 2)
    image = Image.fromarray(deep)
    with pytest.raises(UnreadableImageError, match="8 of its 64 pixels are transparent"):
        decode_image(saved(image, "png", transparency=used))
    if bits > 1:
        assert decode_image(saved(image, "png", transparency=unused)).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_fewer_bits_in_a_16_bit_file_are_an_error_instead_of_a_black_patch(kind, bits):
    deep = np.full((8, 8, 3), 2**bits - 1, np.uint16)
    content = cv2.imencode(f".{kind}", deep)[1].tobytes()
    with pytest.raises(UnreadableImageError, match=rf"end at {2**bits - 1:,}, .* save it with 8"):
        decode_image(content)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_all_16_bits_become_the_upper_8(kind):
    deep = RNG.integers(0, 65536, (8, 8, 3)).astype(np.uint16)
    content = cv2.imencode(f".{kind}", deep)[1].tobytes()
    assert np.array_equal(decode_image(content), deep[..., ::-1] >> 8)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bits_of_zeros_are_black(kind):
    content = cv2.imencode(f".{kind}", np.zeros((8, 8, 3), np.uint16))[1].tobytes()
    assert not decode_image(content).any()


@pytest.mark.parametrize("kind", ENDINGS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_an_error(kind, share):
    content = saved(PATCH, kind, **ENDINGS[kind])
    with pytest.raises(UnreadableImageError):
        decode_image(content[: int(share * len(content))])


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_data_that_go_on_behind_their_end_are_an_error(kind):
    with pytest.raises(UnreadableImageError, match="go on behind their end; it is damaged"):
        decode_image(saved(PATCH, kind) + b"more")


def test_zeros_and_a_second_image_behind_a_jpeg_image_do_no_harm():
    content = saved(PATCH, "jpeg")
    for more in (bytes(100), content):
        assert np.array_equal(decode_image(content + more), decode_image(content))


@pytest.mark.parametrize("marker", [0x01, 0x40, 0xC3, 0xC8, 0xCC, 0xD8])
def test_a_jpeg_image_with_broken_segments_is_an_error(marker):
    content = bytearray(saved(PATCH, "jpeg"))
    content[-20:-18] = bytes([0xFF, marker])
    with pytest.raises(UnreadableImageError, match="JPEG data are damaged"):
        decode_image(bytes(content))


@pytest.mark.parametrize("progressive", [False, True])
def test_each_color_of_a_jpeg_image_comes_once_unless_it_is_progressive(progressive):
    content = saved(PATCH, "jpeg", progressive=progressive)
    assert decode_image(content).shape == PATCH.shape
    scan = content.rfind(b"\xff\xda")
    repeated = content[:-2] + content[scan:]
    if progressive:
        assert decode_image(repeated).shape == PATCH.shape
    else:
        with pytest.raises(UnreadableImageError, match="a part of an image"):
            decode_image(repeated)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_flipped_bit_in_png_data_is_found_by_its_checksum(share):
    content = bytearray(saved(PATCH, "png"))
    content[int(share * len(content))] ^= 1
    with pytest.raises(UnreadableImageError, match="checksum"):
        decode_image(bytes(content))


@pytest.mark.parametrize("kind", ["gif", "jpeg2000", "ico", "tga", "pcx"])
def test_a_format_that_is_not_read_is_an_error_that_lists_those_that_are(kind):
    with pytest.raises(UnreadableImageError, match="no TIFF, PNG, JPEG, WebP, BMP or PNM"):
        decode_image(saved(PATCH, kind))


def test_a_bigtiff_file_is_read():
    content = saved(PATCH, "tiff", big_tiff=True)
    assert content[2] == 43
    assert np.array_equal(decode_image(content), PATCH)


def test_of_several_images_in_a_tiff_file_the_first_is_read():
    images = [Image.fromarray(pixels) for pixels in (PATCH, 255 - PATCH)]
    content = saved(images[0], "tiff", save_all=True, append_images=images[1:])
    assert np.array_equal(decode_image(content), PATCH)


def test_colors_for_print_are_an_error():
    image = Image.fromarray(PATCH).convert("CMYK")
    with pytest.raises(UnreadableImageError, match=r"4 colors .*save it as RGB"):
        decode_image(saved(image, "jpeg"))


def test_an_animation_is_an_error():
    frames = [Image.fromarray(PATCH), Image.fromarray(255 - PATCH)]
    content = saved(frames[0], "webp", save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImageError, match="animation"):
        decode_image(content)


@pytest.mark.parametrize(
    "header", [b"P6 12 40 255\n", b"P6\r\n12\r\n40\r\n255\n", b"P6 # a\n12 # b\n40\n# c\n255\n"]
)
def test_comments_and_line_ends_of_a_pnm_header_are_skipped(header):
    pixels = PATCH[:, :12]
    assert np.array_equal(decode_image(header + pixels.tobytes()), pixels)


def test_a_pnm_header_that_ends_with_two_bytes_is_an_error_instead_of_shifted_pixels():
    with pytest.raises(UnreadableImageError, match="ends with two bytes, CR and LF"):
        decode_image(b"P6 12 40 255\r\n" + PATCH[:, :12].tobytes())


@pytest.mark.parametrize(
    "header", [b"P2 8 8 255\n", b"P6 8 8 15\n", b"P5 8 8 65535\n", b"P4 8 8\n"]
)
def test_other_kinds_of_pnm_are_an_error(header):
    with pytest.raises(UnreadableImageError, match=r"PNM|PPM"):
        decode_image(header + bytes(400))


# Too large


def bomb(width, height):
    """Return a PNG file of a few kilobytes that claims to have this many black pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(2**20))
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("size", [(30_000, 30_000), (MAX_PIXELS + 1, 1), (1, 2**31 - 1)])
def test_an_image_of_more_pixels_than_a_patch_is_refused_before_it_is_unpacked(
    tmp_path, monkeypatch, size
):
    monkeypatch.setattr(_images.cv2, "imdecode", None)
    (tmp_path / "bomb.png").write_bytes(bomb(*size))
    with pytest.raises(ValueError, match=r"bomb\.png \(.* pixels are more than the 16,777,216"):
        PatchReader().transform([tmp_path / "bomb.png"])


@pytest.mark.parametrize("kind", ["jpeg", "webp", "bmp", "ppm"])
def test_other_formats_have_the_same_bound(monkeypatch, kind):
    content = saved(PATCH, kind)
    monkeypatch.setattr("pcam_sklearn._reading._rules.MAX_PIXELS", 40 * 36 - 1)
    with pytest.raises(UnreadableImageError, match="cut patches from it"):
        decode_image(content)


def test_a_file_of_more_bytes_than_any_patch_is_not_read(tmp_path):
    path = tmp_path / "slide.svs"
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"slide\.svs \(it has 1,099,511,627,776 bytes"):
        PatchReader().transform([path])


def test_too_little_memory_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "patch.png"
    path.write_bytes(saved(PATCH, "png"))

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(_images, "decode_image", fail)
    with pytest.raises(ValueError, match=r"patch\.png \(it takes more memory than there is\)"):
        PatchReader().transform([path])


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_crop_larger_than_an_image_is_an_error_that_names_the_file(tmp_path, in_memory):
    (tmp_path / "patch.png").write_bytes(saved(PATCH, "png"))
    reader = PatchReader(crop_size=37, in_memory=in_memory)
    with pytest.raises(ValueError, match=r"patch\.png has 36 x 40 pixels; pass at most 36"):
        reader.transform([tmp_path / "patch.png"])

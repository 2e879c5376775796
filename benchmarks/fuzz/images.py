"""Damaged images: TIFF of every compression and layout, PNG, JPEG, WebP and BMP."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
from damage import damage_bytes
from outcomes import ELSE, RIGHT, UNSEEN, outcome_of_error
from PIL import Image, ImageOps

from pcam_sklearn import PatchReader

COUNT = 24_000
DATA = Path(__file__).parents[2] / "tests" / "data"
ROUNDING = 3  # Two versions of a JPEG decoder may differ by this much.
TIFF_COMPRESSIONS = (
    None, "lzw", "zlib", "adobe_deflate", "packbits", "jpeg", "jpeg", "zstd", "lzma", "webp",
    "jpeg2000", "jpegxl",
)  # fmt: skip


def run(case, rng, folder):
    """Write an image, damage it in three cases of four, read it, and compare."""
    pixels = draw_pixels(rng)
    sort, ending, content, expected = WRITERS[case % len(WRITERS)](pixels, rng)
    damage = "whole"
    if case // len(WRITERS) % 4:
        damage, content = damage_bytes(content, rng)
    path = folder / f"patch.{ending}"
    path.write_bytes(content)
    sort = f"{sort}, {damage}"
    try:
        read = PatchReader().transform([path])[0]
    except Exception as error:
        return sort, *outcome_of_error(error, path)
    outcome, detail = compare(read, expected, path, tolerance=ROUNDING if "JPEG" in sort else 0)
    return sort, RIGHT if outcome == UNSEEN and damage == "whole" else outcome, detail


def compare(read, expected, path, tolerance):
    """Return the outcome for pixels: those that were written, or those that others read."""
    if expected is not None and same(read, expected, 0):
        return RIGHT, ""
    opinions = [opinion(path) for opinion in (by_tifffile, by_pillow)]
    if any(isinstance(o, np.ndarray) and same(read, o, tolerance) for o in opinions):
        return UNSEEN, ""
    return ELSE, f"{read.shape} {[o.shape if hasattr(o, 'shape') else o for o in opinions]}"


def same(read, other, tolerance):
    return read.shape == other.shape and abs(read.astype(int) - other).max() <= tolerance


# Other decoders


def by_tifffile(path):
    """Return the RGB pixels as tifffile reads them, or what it says."""
    try:
        with tifffile.TiffFile(path) as file:
            return to_rgb(file.pages[0])
    except Exception as error:
        return repr(error)[:80]


def to_rgb(page):
    pixels = page.asarray()
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels.reshape(page.imagelength, page.imagewidth, -1)
    if page.photometric == 3:
        colors = page.colormap >> (8 if page.colormap.max() > 255 else 0)
        return colors.astype(np.uint8)[:, pixels[..., 0]].transpose(1, 2, 0)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if page.photometric == 0:
        pixels = 255 - pixels
    pixels = pixels[..., :3] if pixels.shape[2] > 2 else np.repeat(pixels[..., :1], 3, axis=2)
    turn = page.tags.valueof(274, 1)
    if turn > 4:
        pixels, turn = pixels.swapaxes(0, 1), turn - 4
    return pixels[:: -1 if turn in (3, 4) else 1, :: -1 if turn in (2, 3) else 1]


def by_pillow(path):
    """Return the RGB pixels as Pillow reads them, or what it says."""
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:
        return repr(error)[:80]


# Writers: each returns a name, the ending, the bytes, and the pixels if they are kept to the bit.


def write_tiff(pixels, rng):
    compression = TIFF_COMPRESSIONS[rng.integers(len(TIFF_COMPRESSIONS))]
    of_images = compression in ("jpeg", "webp", "jpeg2000", "jpegxl")
    deep = not of_images and rng.random() < 0.2
    samples = 3 if of_images else int(rng.choice([1, 3, 3, 3, 4]))
    stored = np.dstack([pixels, np.full_like(pixels[..., :1], 255)])[..., :samples]
    expected = np.repeat(stored, 3, axis=2) if samples == 1 else stored[..., :3]
    if deep:
        stored = stored.astype(np.uint16) * 257
    planar = "separate" if samples > 1 and not of_images and rng.random() < 0.3 else None
    options = {
        "compression": compression,
        "photometric": "minisblack" if samples == 1 else "rgb",
        "planarconfig": planar or ("contig" if samples > 1 else None),
        "extrasamples": ["unassalpha"] if samples == 4 else None,
        "byteorder": str(rng.choice(["<", ">"])),
        "bigtiff": bool(rng.random() < 0.2),
        "tile": (16, 32) if rng.random() < 0.25 else None,
        "metadata": None,
        "extratags": [(274, "H", 1, int(rng.integers(1, 9)), True)] if rng.random() < 0.2 else [],
    }
    if options["tile"] is None and rng.random() < 0.5:
        options["rowsperstrip"] = int(rng.integers(1, len(pixels) + 1))
    if compression in ("lzw", "zlib", "adobe_deflate") and rng.random() < 0.5:
        options["predictor"] = True
    if planar:
        stored = np.moveaxis(stored, -1, 0)
    file = io.BytesIO()
    tifffile.imwrite(file, stored[..., 0] if samples == 1 else stored, **options)
    kept = compression in (None, "lzw", "zlib", "adobe_deflate", "packbits")
    if options["extratags"] or not kept:
        expected = None
    name = {None: "uncompressed", "jpeg": "JPEG"}.get(compression, compression)
    return f"TIFF {name}", "tif", file.getvalue(), expected


def write_tiff_by_pillow(pixels, rng):
    compressions = ["tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_jpeg", "raw"]
    compression = str(rng.choice(compressions))
    modes = ["RGB", "L"] if compression == "tiff_jpeg" else ["RGB", "RGBA", "P", "L"]
    mode = str(rng.choice(modes))
    image = Image.fromarray(pixels).convert(mode)
    content = save(image, "TIFF", compression=None if compression == "raw" else compression)
    lossless = compression != "tiff_jpeg"
    name = "JPEG" if compression == "tiff_jpeg" else compression
    return f"TIFF of Pillow {name}", "tif", content, to_array(image) if lossless else None


def write_png(pixels, rng):
    mode = str(rng.choice(["RGB", "RGBA", "L", "LA", "P"]))
    image = Image.fromarray(pixels).convert(mode)
    return "PNG", "png", save(image, "PNG"), to_array(image)


def write_jpeg(pixels, rng):
    options = {
        "quality": int(rng.integers(30, 101)),
        "progressive": bool(rng.random() < 0.3),
        "subsampling": int(rng.integers(3)),
    }
    mode = str(rng.choice(["RGB", "RGB", "L"]))
    return "JPEG", "jpg", save(Image.fromarray(pixels).convert(mode), "JPEG", **options), None


def write_webp(pixels, rng):
    lossless = bool(rng.random() < 0.5)
    image = Image.fromarray(pixels)
    content = save(image, "WEBP", lossless=lossless, quality=int(rng.integers(30, 101)))
    name = "WebP without loss" if lossless else "WebP"
    return name, "webp", content, pixels if lossless else None


def write_bmp(pixels, rng):
    mode = str(rng.choice(["RGB", "L", "P", "RGBA"]))
    image = Image.fromarray(pixels).convert(mode)
    return "BMP", "bmp", save(image, "BMP"), to_array(image)


def save(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def to_array(image):
    return np.asarray(image.convert("RGB"))


WRITERS = (
    write_tiff, write_tiff, write_tiff, write_tiff, write_tiff_by_pillow, write_png, write_jpeg,
    write_webp, write_bmp,
)  # fmt: skip


def draw_pixels(rng):
    """Return a piece of a real patch, of any size."""
    patches = real_patches()
    height, width = (int(rng.choice([96, 96, 32, rng.integers(1, 97)])) for _ in range(2))
    return np.ascontiguousarray(patches[rng.integers(len(patches))][:height, :width])


@cache
def real_patches():
    """Return the patches of the tests, which are uncompressed behind 287 bytes."""
    paths = sorted(DATA.glob("t*/*.tif"))
    return [
        np.frombuffer(path.read_bytes(), np.uint8, 96 * 96 * 3, 287).reshape(96, 96, 3)
        for path in paths
    ]

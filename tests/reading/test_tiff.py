"""Reading by offset returns the pixels that OpenCV reads, or leaves the file to the decoders."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plain_tiff import plain_tiff, write_plain
from support.quiet import quiet_opencv

from pcam_sklearn._reading._images import read_image
from pcam_sklearn._reading._rules import MAX_PIXELS, UnreadableImageError
from pcam_sklearn._reading._tiff import read_rows

PIXELS = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)


def rows_of(path, first, last, width=96):
    """Return some rows, or None where the file is left to OpenCV."""
    return read_rows(path, first, out=np.empty((last - first, width, 3), np.uint8))


@pytest.fixture(scope="module", autouse=True)
def _quiet_opencv():
    with quiet_opencv():
        yield


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tiff") / "patch.tif"


def opencv(path: Path) -> np.ndarray | None:
    try:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # The header claims a million pixels.
        return None
    return None if bgr is None else bgr[:, :, ::-1]


@pytest.mark.parametrize(
    ("sample", "n_patches"),
    [("sample_folder", 40), pytest.param("whole_sample", 4044, marks=pytest.mark.slow)],
)
def test_every_real_patch_is_read_as_opencv_reads_it(request, sample, n_patches):
    paths = sorted(request.getfixturevalue(sample).glob("t*/*.tif"))
    assert len(paths) == n_patches
    for path in paths:
        expected = opencv(path)
        assert np.array_equal(read_rows(path, shape=(96, 96)), expected)
        assert np.array_equal(rows_of(path, 32, 64), expected[32:64])


@pytest.mark.slow
@given(
    order=st.sampled_from("<>"),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    gap=st.integers(0, 300),
    data=st.data(),
)
def test_any_rows_of_any_plain_file_are_those_of_opencv(scratch, order, height, width, gap, data):
    pixels = np.random.default_rng(gap).integers(0, 256, (height, width, 3), np.uint8)
    scratch.write_bytes(plain_tiff(pixels, order=order, gap=gap))
    first = data.draw(st.integers(0, height - 1))
    last = data.draw(st.integers(first + 1, height))
    assert np.array_equal(rows_of(scratch, first, last, width), opencv(scratch)[first:last])


@given(at=st.integers(0, 179), value=st.integers(0, 255))
def test_a_header_with_a_wrong_byte_is_declined_or_read_as_opencv_does(scratch, at, value):
    content = bytearray(plain_tiff(PIXELS[:8, :8]))
    content[at] = value
    scratch.write_bytes(content)
    rows, expected = read_rows(scratch), opencv(scratch)
    assert rows is None or np.array_equal(rows, expected)


@given(length=st.integers(0, 287 + 27648 - 1))
def test_a_file_that_is_cut_short_anywhere_is_declined(scratch, length):
    write_plain(scratch, PIXELS)
    os.truncate(scratch, length)
    assert rows_of(scratch, 0, 1) is None
    with pytest.raises(UnreadableImageError, match=r"empty|no TIFF|directory|missing at its end"):
        read_image(scratch)


@pytest.mark.parametrize(
    "changes",
    [
        {"compression": 5},
        {"photometric": 1},
        {"samples": 4},
        {"bits": 16},
        {"planar": 2},
        {"orientation": 3},
        {"bytes": 1000},
        {"bytes": -1},
        {"offset": -1},
        {"compression": -1},
        {"offset": 2},
    ],
    ids=str,
)
def test_a_layout_that_is_not_plain_is_declined(tmp_path, changes):
    path = tmp_path / "patch.tif"
    path.write_bytes(plain_tiff(PIXELS, **changes))
    assert read_rows(path) is None


def test_a_compressed_file_and_other_formats_are_no_plain_files(tmp_path):
    for name in ("patch.png", "packed.tif"):
        path = tmp_path / name
        cv2.imwrite(str(path), np.ascontiguousarray(PIXELS[:, :, ::-1]))
        assert read_rows(path) is None
        assert np.array_equal(read_image(path), PIXELS)


def test_bytes_after_the_pixels_do_no_harm(tmp_path):
    path = tmp_path / "patch.tif"
    path.write_bytes(plain_tiff(PIXELS) + b"more")
    assert np.array_equal(read_rows(path), PIXELS)


@pytest.mark.parametrize("rows", [(-1, 3), (90, 97), (96, 97), (200, 201)])
def test_rows_that_are_not_there_are_declined(tmp_path, rows):
    path = tmp_path / "patch.tif"
    write_plain(path, PIXELS)
    assert rows_of(path, *rows) is None


def test_an_image_of_another_shape_than_wanted_is_declined(tmp_path):
    path = tmp_path / "patch.tif"
    path.write_bytes(plain_tiff(PIXELS[:64]))
    assert read_rows(path, 32, shape=(96, 96)) is None


def test_rows_are_put_where_the_caller_wants_them(tmp_path):
    path = tmp_path / "patch.tif"
    write_plain(path, PIXELS)
    batch = np.zeros((2, 32, 96, 3), np.uint8)
    rows = batch[1]
    assert read_rows(path, 32, out=rows) is rows
    assert np.array_equal(batch[1], PIXELS[32:64])
    assert not batch[0].any()


def test_rows_of_another_width_are_declined(tmp_path):
    path = tmp_path / "patch.tif"
    write_plain(path, PIXELS)
    assert rows_of(path, 32, 64, width=95) is None


def test_a_missing_file_is_an_error_that_names_its_path(tmp_path):
    for read in (read_rows, read_image):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.tif"):
            read(tmp_path / "nowhere.tif")


def test_the_bytes_that_a_cut_file_lacks_are_counted(tmp_path):
    path = tmp_path / "patch.tif"
    write_plain(path, PIXELS)
    os.truncate(path, 27935 - 1000)
    with pytest.raises(UnreadableImageError, match="1,000 bytes are missing at its end"):
        read_image(path)


def test_a_plain_file_larger_than_any_patch_is_declined(tmp_path):
    path = tmp_path / "slide.tif"
    path.write_bytes(plain_tiff(np.zeros((1, MAX_PIXELS + 1, 3), np.uint8)))
    assert read_rows(path) is None
    with pytest.raises(UnreadableImageError, match=r"16777217 x 1 pixels are more than"):
        read_image(path)


def test_where_the_system_cannot_read_by_offset_every_file_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "patch.tif"
    write_plain(path, PIXELS)
    monkeypatch.setattr("pcam_sklearn._reading._tiff._BY_OFFSET", False)
    assert read_rows(path) is None
    assert np.array_equal(read_image(path), PIXELS)

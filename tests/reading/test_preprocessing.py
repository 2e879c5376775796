"""From files to patches to the input of a network, against OpenCV, Pillow and slicing by hand."""

import hashlib
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.base import clone
from support.quiet import quiet_opencv

from pcam_sklearn import CenterCropNormalizer, PatchReader

RNG = np.random.default_rng(0)
PATCH = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)
PATCHES = RNG.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _quiet_opencv():
    with quiet_opencv():
        yield


def save(path, pixels=PATCH):
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    return [save(folder / f"{i}.png", patch) for i, patch in enumerate(PATCHES)]


# --- PatchReader


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "ppm", "webp"])
def test_channels_come_in_the_order_red_green_blue(tmp_path, ending):
    path = tmp_path / f"patch.{ending}"
    Image.fromarray(PATCH).save(path, **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(PatchReader().transform([path])[0], PATCH)


def test_a_jpeg_is_read_as_pillow_reads_it_up_to_rounding(tmp_path):
    smooth = cv2.GaussianBlur(PATCH, (0, 0), 8)
    path = save(tmp_path / "patch.jpg", smooth)
    read = PatchReader().transform([path])[0].astype(int)
    assert abs(read - np.asarray(Image.open(path)).astype(int)).max() <= 2


def test_real_patches_hash_to_their_names_so_their_channels_are_rgb(sample_folder):
    paths = sorted(sample_folder.glob("t*/*.tif"))
    for path, patch in zip(paths, PatchReader().transform(paths), strict=True):
        assert hashlib.sha1(patch.tobytes()).hexdigest() == path.stem


@pytest.mark.parametrize(
    "as_paths",
    [
        list,
        tuple,
        lambda paths: [str(path) for path in paths],
        lambda paths: [np.str_(path) for path in paths],
        lambda paths: np.array([str(path) for path in paths]),
        lambda paths: np.array(paths, dtype=object),
        lambda paths: np.array([str(path) for path in paths], dtype=np.dtypes.StringDType()),
        lambda paths: pd.Series(paths, index=[7, 3, 5]),
        lambda paths: pd.Series([str(path) for path in paths], index=[7, 3, 5]),
        lambda paths: pd.Series([str(path) for path in paths], dtype="string"),
        lambda paths: pd.Index([str(path) for path in paths]),
    ],
    ids=[
        "list of Path", "tuple", "list of str", "list of np.str_", "array of str",
        "array of objects", "array of StringDType", "Series of Path", "Series of str",
        "Series of string", "Index",
    ],
)  # fmt: skip
def test_paths_may_come_in_any_one_dimensional_container(files, as_paths):
    assert np.array_equal(PatchReader().transform(as_paths(files)), PATCHES)


@given(order=st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_patches_come_in_the_order_of_the_paths(files, order):
    read = PatchReader().fit_transform([files[i] for i in order])
    assert np.array_equal(read, PATCHES[order])
    assert read.dtype == np.uint8


@pytest.mark.parametrize("name", ["ä é ñ.png", "测试 картинка.png", "with space & 'quote'.png"])
def test_a_file_name_may_hold_any_letters(tmp_path, name):
    assert np.array_equal(PatchReader().transform([save(tmp_path / name)])[0], PATCH)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names")
def test_a_file_name_that_is_not_text_is_read_or_refused(tmp_path):
    code = (
        "import os, sys, shutil\n"
        "from pcam_sklearn import PatchReader\n"
        "odd = os.fsdecode(os.fsencode(sys.argv[1]) + b'\\xff.png')\n"
        "shutil.copy(sys.argv[1], odd)\n"
        "try: print(PatchReader().transform([odd]).shape)\n"
        "except ValueError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(save(tmp_path / "patch.png"))]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_gray_opaque_and_deep_images_become_rgb_bytes(tmp_path):
    gray, deep = tmp_path / "gray.png", tmp_path / "deep.png"
    cv2.imwrite(str(gray), PATCH[..., 0])
    cv2.imwrite(str(deep), PATCH[..., ::-1].astype(np.uint16) * 257)
    opaque = save(tmp_path / "opaque.png", np.dstack([PATCH, np.full_like(PATCH[..., :1], 255)]))
    read = PatchReader().transform([gray, deep, opaque])
    assert np.array_equal(read, [np.repeat(PATCH[..., :1], 3, axis=2), PATCH, PATCH])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_patches_pass_through_as_the_very_same_object(dtype):
    X = PATCHES.astype(dtype)
    assert PatchReader().transform(X) is X


def test_a_memory_map_passes_through_unread(tmp_path):
    np.save(tmp_path / "X.npy", PATCHES)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert PatchReader().transform(X) is X


def test_fitting_reads_no_file():
    PatchReader().fit(["no such file.png"])


def test_the_caller_s_paths_are_not_changed(files):
    paths = np.array(files, dtype=object)
    before = paths.copy()
    PatchReader().transform(paths)
    assert (paths == before).all()


def failure(paths):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        PatchReader().transform(paths)
    return str(caught.value)


def test_a_missing_file_is_an_error_that_names_its_path(files, tmp_path):
    missing = tmp_path / "missing.png"
    message = failure([*files, missing])
    assert "1 of 4 files" in message
    assert str(missing) in message


def test_all_missing_files_are_counted_and_the_first_ones_named(files, tmp_path):
    missing = [tmp_path / f"missing{i}.png" for i in range(9)]
    message = failure([missing[0], *files, *missing[1:]])
    assert "9 of 12 files" in message
    assert [f"missing{i}.png" in message for i in range(9)] == [True] * 5 + [False] * 4


def test_if_every_file_is_missing_the_error_says_so(tmp_path):
    assert "7 of 7 files" in failure([tmp_path / f"{i}.png" for i in range(7)])


@pytest.mark.parametrize("content", [b"", b"no image", save], ids=["empty", "text", "cut short"])
def test_a_damaged_file_is_an_error_that_names_its_path(files, tmp_path, content):
    path = tmp_path / "damaged.tif"
    path.write_bytes(save(path).read_bytes()[:500] if content is save else content)
    message = failure([files[0], path])
    assert "1 of 2 files" in message
    assert str(path) in message


def test_a_folder_is_an_error_that_names_its_path(files, tmp_path):
    message = failure([files[0], tmp_path])
    assert "1 of 2 files" in message
    assert str(tmp_path) in message


def test_files_of_another_shape_are_counted_and_named_with_their_shape(files, tmp_path):
    odd = [save(tmp_path / f"odd{i}.png", PATCH[: 40 + i]) for i in range(2)]
    message = failure([files[0], odd[0], files[1], odd[1]])
    assert "2 of 4 files" in message
    assert f"{odd[0]} (40, 96, 3)" in message
    assert f"{odd[1]} (41, 96, 3)" in message


def test_one_error_lists_missing_files_and_files_of_another_shape(files, tmp_path):
    odd, missing = save(tmp_path / "odd.png", PATCH[:40]), tmp_path / "missing.png"
    message = failure([files[0], odd, missing])
    assert "odd.png" in message
    assert "missing.png" in message


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "0 sample"),
        (np.array([], dtype=str), "0 sample"),
        ("patch.png", r"For a single path pass \[path\]"),
        (Path("patch.png"), r"For a single path pass \[path\]"),
        ([["patch.png"]], r"got shape \(1, 1\)"),
        (pd.DataFrame({"path": ["patch.png"]}), r"got shape \(1, 1\).* pass np\.ravel\(X\)"),
        ([b"patch.png"], r"1 of 1 are not, the first is b'patch.png' .* pass \[os.fsdecode"),
        (np.array([b"patch.png"]), r"dtype \|S9\. .* pass \[os.fsdecode"),
        ({"patch.png"}, r"got a set; pass sorted\(X\)"),
        ({"patch.png": 1}.keys(), r"got a dict_keys; pass list\(X\)"),
        (np.ma.array(["a.png", "b.png"], mask=[0, 1]), "1 of 2 paths are masked"),
        (["a\0.png"], r"cannot be read as images: .* \(it is no path: .*null"),
        (["patch.png", None], "1 of 2 are not, the first is None"),
        (pd.Series(["patch.png", None]), "1 of 2 are not"),
        ([1, 2], "2 of 2 are not, the first is 1 of type int"),
        (np.arange(3), "dtype int64"),
        (PATCH, r"For a single patch pass X\[np.newaxis\]"),
        ([PATCH, PATCH], r"np\.asarray"),
    ],
    ids=str,
)
def test_anything_but_paths_and_patches_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        PatchReader().transform(X)


# --- CenterCropNormalizer


def expected(X, crop_size, input_size):
    """Return the crops of byte patches as floats, patch by patch and in double precision."""
    crops = []
    for patch in X:
        height, width = (min(side, input_size) for side in patch.shape[:2])
        patch = cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA)
        patch = cv2.resize(patch, (input_size, input_size), interpolation=cv2.INTER_LINEAR)
        top = (input_size - crop_size) // 2
        crops.append(patch[top : top + crop_size, top : top + crop_size] / 255)
    return np.array(crops)


sides = st.integers(1, 24)


@given(crop_size=sides, border=st.integers(0, 9), height=sides, width=sides, seed=st.integers(0, 9))
def test_any_crop_of_any_patches_is_resized_cut_and_scaled(crop_size, border, height, width, seed):
    X = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    normalizer = CenterCropNormalizer(crop_size, crop_size + border)
    Xt = normalizer.fit_transform(X)
    assert Xt.dtype == np.float32
    np.testing.assert_allclose(Xt, expected(X, crop_size, crop_size + border), rtol=1e-6)


@pytest.mark.parametrize("height", [95, 96, 384])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_side_that_shrinks_is_averaged_whatever_the_other_one_does(height, axis):
    stripes = np.zeros((1, height, 384, 3), np.uint8)
    stripes[:, :, ::4] = 255
    X = stripes if axis == 2 else stripes.swapaxes(1, 2)
    assert (CenterCropNormalizer(96, dtype="uint8").transform(X) == 64).all()


@given(crop_size=sides, border=st.integers(0, 9), side=sides)
def test_bytes_become_the_same_floats_now_or_in_the_network(crop_size, border, side):
    X = np.random.default_rng(side).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    as_bytes = CenterCropNormalizer(crop_size, crop_size + border, "uint8").transform(X)
    as_floats = CenterCropNormalizer(crop_size, crop_size + border).transform(X)
    assert as_bytes.dtype == np.uint8
    assert np.array_equal(as_bytes / np.float32(255), as_floats)


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble", ">f4"])
@pytest.mark.parametrize("out", ["float32", "uint8"])
def test_floats_in_0_to_1_give_what_their_bytes_give(dtype, out):
    normalizer = CenterCropNormalizer(dtype=out)
    X = (PATCHES / np.float64(255)).astype(dtype)
    assert np.array_equal(normalizer.transform(X), normalizer.transform(PATCHES))


def test_every_byte_survives_the_way_through_floats():
    X = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    floats = CenterCropNormalizer(16, 16).transform(X)
    assert np.array_equal(CenterCropNormalizer(16, 16, "uint8").transform(floats), X)


def test_a_patch_twice_as_big_shrinks_to_the_mean_of_its_2x2_blocks():
    X = RNG.integers(0, 256, (1, 192, 192, 3), dtype=np.uint8)
    blocks = X.reshape(1, 96, 2, 96, 2, 3).mean(axis=(2, 4))
    Xt = CenterCropNormalizer(96, dtype="uint8").transform(X)
    assert abs(Xt - blocks).max() <= 0.5


@given(side=st.integers(1, 400), value=st.sampled_from([0.0, 0.3, 0.99999994, 1.0]))
def test_resized_floats_stay_between_0_and_1(side, value):
    Xt = CenterCropNormalizer(96).transform(np.full((1, side, side, 3), value, np.float32))
    assert Xt.min() >= 0
    assert Xt.max() <= 1
    np.testing.assert_allclose(Xt, value, atol=1e-6)


@given(n=st.integers(1, 3))
def test_the_other_patches_do_not_change_what_becomes_of_a_patch(n):
    X = RNG.integers(0, 256, (3, 50, 60, 3), dtype=np.uint8)
    normalizer = CenterCropNormalizer()
    apart = np.concatenate([normalizer.transform(X[:n]), normalizer.transform(X[-1:])])
    assert np.array_equal(apart, normalizer.transform(X)[[*range(n), 2]])


@pytest.mark.parametrize(
    "laid_out",
    [
        np.asfortranarray,
        lambda X: X[:, ::-1, ::-1, ::-1][:, ::-1, ::-1, ::-1],
        lambda X: np.repeat(X, 2, axis=2)[:, :, ::2],
        list,
    ],
    ids=["Fortran order", "negative strides", "strides", "list of arrays"],
)
@pytest.mark.parametrize("side", [96, 50])
def test_the_layout_in_memory_does_not_matter(laid_out, side):
    X = np.ascontiguousarray(PATCHES[:, :side, :side])
    normalizer = CenterCropNormalizer()
    assert np.array_equal(normalizer.transform(laid_out(X)), normalizer.transform(X))


def test_a_read_only_memory_map_of_bytes_becomes_a_view_of_it(tmp_path):
    np.save(tmp_path / "X.npy", PATCHES)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    Xt = CenterCropNormalizer(dtype="uint8").transform(X)
    assert np.shares_memory(Xt, X)
    assert not Xt.flags.writeable


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("side", [96, 32, 50])
def test_floats_that_come_out_can_be_written_to_and_leave_X_alone(dtype, side):
    X = (np.ones((2, side, side, 3)) * (255 if dtype == np.uint8 else 1)).astype(dtype)
    before = X.copy()
    CenterCropNormalizer(32, side).transform(X)[:] = 0
    CenterCropNormalizer(32).transform(X)[:] = 0
    assert np.array_equal(X, before)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (PATCH, r"got \(96, 96, 3\)\. For a single patch pass X\[np.newaxis\]"),
        (PATCHES[..., :1], r"\(n_samples, height, width, 3\), got \(3, 96, 96, 1\)"),
        (np.zeros((2, 96, 96, 4), np.uint8), r"got \(2, 96, 96, 4\)"),
        (PATCHES.reshape(3, -1), r"got \(3, 27648\)"),
        (PATCHES[:0], "0 sample"),
        (PATCHES[:, :0], r"at least one pixel, got shape \(3, 0, 96, 3\)"),
        (PATCHES[:, :0] / 255, r"at least one pixel, got shape \(3, 0, 96, 3\)"),
        (PATCHES.astype(np.int64), r"got dtype int64; pass X\.astype\(np\.uint8\)\."),
        (PATCHES > 3, r"got dtype bool; pass X\.astype\(np\.uint8\) \* 255\."),
        (PATCHES.astype(object), r"got dtype object; pass X\.astype\(np\.uint8\)\."),
        (
            (PATCHES / 255).astype(object),
            r"dtype object; if 1 is white, pass X\.astype\(np\.float32\)\.",
        ),
        (np.where(PATCHES == 7, None, PATCHES), r"got dtype object\."),
        (PATCHES.astype("datetime64[s]"), r"got dtype datetime64\[s\]\."),
        (PATCHES.astype(np.uint16) << 4, r"up to 4080; .* pass X / np\.float32\(65535\)\."),
        (PATCHES.astype(np.int16) - 1, r"values from -1 to 254; scale them to \[0, 1\]\."),
        (PATCHES / 255 - 1e-9, r"pass np\.clip\(X, 0, 1\)"),
        (PATCHES.astype(np.float32), r"from 0 to 255; .*X\.astype\(np\.uint8\)"),
        (PATCHES / -255, "from -1 to -0|from -1 to 0"),
        (np.where(PATCHES == 7, np.nan, 0.5), "NaN"),
        (np.where(PATCHES == 7, np.inf, 0.5), "from 0.5 to inf"),
        (np.array(["a.png", "b.png"]), "File paths go through PatchReader"),
        ([PATCH, PATCH[:50]], "inhomogeneous"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_but_patches_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        CenterCropNormalizer().transform(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"crop_size": 97}, "crop_size == 97, must be <= 96"),
        ({"crop_size": 0}, "crop_size == 0, must be >= 1"),
        ({"crop_size": 32.0}, "crop_size must be an instance of .*int.*, not float"),
        ({"input_size": 0}, "input_size == 0, must be >= 1"),
        ({"dtype": "float64"}, "must be 'float32' or 'uint8', got 'float64'"),
        ({"dtype": np.float32}, "must be 'float32' or 'uint8'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("call", ["fit", "transform"])
def test_a_parameter_out_of_range_is_refused(parameters, message, call):
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(CenterCropNormalizer(**parameters), call)(PATCHES)


# --- both


@pytest.mark.parametrize("transformer", [PatchReader(), CenterCropNormalizer()], ids=str)
def test_nothing_is_learned(transformer):
    before = vars(clone(transformer))
    assert vars(clone(transformer).fit(PATCHES)) == before
    assert np.array_equal(transformer.transform(PATCHES), transformer.fit_transform(PATCHES))


@pytest.mark.parametrize("transformer", [PatchReader(), CenterCropNormalizer()], ids=str)
def test_set_output_pandas_leaves_arrays_of_images_alone(transformer):
    with sklearn.config_context(transform_output="pandas"):
        assert type(transformer.fit_transform(PATCHES)) is np.ndarray


def test_a_normalizer_survives_pickling():
    normalizer = pickle.loads(pickle.dumps(CenterCropNormalizer(48, dtype="uint8")))
    assert normalizer.get_params() == {"crop_size": 48, "input_size": 96, "dtype": "uint8"}


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_resized_patches_take_the_memory_of_their_centers(dtype):
    patches = np.zeros((20, 8, 8, 3), dtype=np.uint8)
    normalizer = CenterCropNormalizer(crop_size=8, input_size=1024, dtype=dtype)
    tracemalloc.start()
    try:
        normalizer.transform(patches)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 1024 * 1024 * 3  # All of them, whole, take 20 times 3 MB.

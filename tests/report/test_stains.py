"""The colour group of each patch's slide, found from pixels wherever they lie."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.work import peak_bytes

from pcam_sklearn import CenterCropNormalizer, PatchReader
from pcam_sklearn._reading import _patch_files
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.report import stain_of_slides


def coloured(n=700, side=4, seed=0):
    """Return patches of slides of different colours, and their slides in no order."""
    rng = np.random.default_rng(seed)
    slides = rng.permutation(np.arange(n) % 9)
    X = rng.integers(0, 206, (n, side, side, 3), dtype=np.uint8)
    X[..., 0] += (6 * slides[:, np.newaxis, np.newaxis]).astype(np.uint8)
    X[..., 2] += 25
    return X, np.array([f"s{slide}" for slide in slides])


def by_means(X, groups):
    """Return the group of each patch by the mean colours of all pixels of its slide."""
    stain = np.empty(len(X), dtype="U6")
    for slide in np.unique(groups):
        red, _, blue = X[groups == slide].reshape(-1, 3).mean(axis=0)
        stain[groups == slide] = "pinker" if blue < red else "bluer"
    return stain


@pytest.mark.parametrize("seed", range(3))
def test_the_groups_are_those_of_the_means_of_all_pixels(seed):
    X, groups = coloured(seed=seed)
    stain = stain_of_slides(X, groups)
    assert set(stain) == {"pinker", "bluer"}
    np.testing.assert_array_equal(stain, by_means(X, groups))


@given(seed=st.integers(0, 10_000), dtype=st.sampled_from(["float32", "float64"]))
def test_bytes_and_floats_made_of_them_give_the_same_even_if_red_equals_blue(seed, dtype):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    # As much blue as red, in other pixels, where the rounding of floats could decide.
    X[1:, ..., 2] = rng.permutation(X[1:, ..., 0].ravel()).reshape(2, 6, 6)
    X[0, 0, 0] = 0, 0, 255
    groups = ["a", "b", "b"]
    expected = stain_of_slides(X, groups)
    assert expected is None or expected.tolist()[1:] == ["bluer", "bluer"]
    floats = stain_of_slides(X.astype(dtype) / np.array(255, dtype), groups)
    np.testing.assert_array_equal(floats, expected)


def test_paths_lists_and_unread_files_give_the_groups_of_their_pixels(sample_folder):
    data = load_kaggle(sample_folder)
    expected = by_means(PatchReader().transform(data.paths), data.groups)
    assert set(expected) == {"pinker", "bluer"}
    unread = PatchReader(in_memory=False).transform(data.paths)
    for X in (data.paths, list(data.paths), unread):
        np.testing.assert_array_equal(stain_of_slides(X, data.groups), expected)


def test_files_that_a_transformer_left_unread_are_taken_as_it_treats_them(sample_folder):
    data = load_kaggle(sample_folder)
    cut = CenterCropNormalizer(crop_size=32).transform(
        PatchReader(in_memory=False).transform(data.paths)
    )
    expected = stain_of_slides(np.asarray(cut), data.groups)
    np.testing.assert_array_equal(stain_of_slides(cut, data.groups), expected)


def test_every_file_is_read_once(sample_folder, monkeypatch):
    data, read = load_kaggle(sample_folder), Counter()
    original = _patch_files._read_band

    def count(path, *args):
        read[path] += 1
        original(path, *args)

    monkeypatch.setattr(_patch_files, "_read_band", count)
    stain_of_slides(data.paths, data.groups)
    assert read == Counter(data.paths.tolist())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_memory_map_takes_the_memory_of_a_batch(tmp_path, dtype):
    shape = (4000, 16, 16, 3)
    X = np.lib.format.open_memmap(tmp_path / "X.npy", mode="w+", dtype=dtype, shape=shape)
    X[:, 0, 0, 0] = 1
    X.flush()
    mapped, groups = np.load(tmp_path / "X.npy", mmap_mode="r"), np.arange(4000) % 5
    assert peak_bytes(lambda: stain_of_slides(mapped, groups)) < mapped.nbytes / 4
    assert set(stain_of_slides(mapped, groups)) == {"pinker"}


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_patches_of_other_channels_have_no_groups(channels):
    X = np.zeros((4, 8, 8, channels), dtype=np.uint8)
    assert stain_of_slides(X, list("aabb")) is None


def test_gray_patches_of_three_channels_have_no_groups():
    gray = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    assert stain_of_slides(np.repeat(gray, 3, axis=3), list("aabb")) is None


def test_slides_of_other_patches_are_an_error_that_gives_both_lengths():
    X, groups = coloured(n=5)
    with pytest.raises(ValueError, match="groups has 4 entries and X has 5"):
        stain_of_slides(X, groups[1:])


def test_missing_slides_are_an_error():
    X, _ = coloured(n=2)
    with pytest.raises(ValueError, match="groups"):
        stain_of_slides(X, ["a", None])

"""load_pcam turns the official files into a memory map, and finds any damage."""

import hashlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.official_files import SLIDES, make_meta, make_official, name, pack, write_h5

from pcam_sklearn.datasets import _meta, _npy, _official_h5
from pcam_sklearn.datasets._official import load_pcam


def load(folder: Path, split: str = "train", **options):
    return load_pcam(folder, split, progress=False, **options)


@pytest.mark.parametrize("packed", [False, True], ids=["h5", "h5.gz"])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_patches_and_labels_are_those_of_the_files(tmp_path, split, packed):
    patches, labels = make_official(tmp_path, split)
    if packed:
        pack(tmp_path / name(split, "x.h5"))
        pack(tmp_path / name(split, "y.h5"))
    pcam = load(tmp_path, split)
    assert np.array_equal(pcam.images, patches)
    assert np.array_equal(pcam.target, labels)
    assert pcam.target.dtype == np.int64


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(n=st.integers(1, 600), chunks=st.none() | st.integers(1, 700))
def test_files_of_any_length_and_chunking_come_out_whole(tmp_path_factory, n, chunks):
    folder = tmp_path_factory.mktemp("pcam")
    chunks = min(chunks, n) if chunks else None
    patches, _ = make_official(folder, "valid", n, chunks=chunks)
    assert np.array_equal(load(folder, "valid", verify=True).images, patches)
    (folder / name("valid", "x.npy")).unlink()


def test_images_are_a_read_only_memory_map(tmp_path):
    make_official(tmp_path)
    images = load(tmp_path).images
    assert isinstance(images, np.memmap)
    assert images.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_ids_of_training_patches_are_the_sha1_of_their_pixels(tmp_path):
    patches, _ = make_official(tmp_path)
    expected = [hashlib.sha1(patch.tobytes()).hexdigest() for patch in patches]
    assert load(tmp_path).ids.tolist() == expected
    assert load(tmp_path).ids.tolist() == expected  # Now from the stored digests.


@pytest.mark.parametrize("split", ["valid", "test"])
def test_no_file_of_a_split_in_kaggles_test_set_tells_kaggles_ids(tmp_path, split):
    patches, _ = make_official(tmp_path, split, 3)
    assert load(tmp_path, split).ids.tolist() == [f"{split}_0000{i}" for i in range(3)]
    digest = hashlib.sha1(patches[0].tobytes())
    for path in tmp_path.iterdir():
        assert digest.digest() not in path.read_bytes()
        assert digest.hexdigest().encode() not in path.read_bytes()


def test_slides_hospitals_and_coordinates_are_those_of_the_meta_file(tmp_path):
    make_official(tmp_path, n=4)
    pcam = load(tmp_path)
    assert pcam.groups.tolist() == [f"camelyon16_train_{slide}" for slide in SLIDES]
    assert pcam.hospital.tolist() == ["RUMC", "RUMC", "UMCU", "UMCU"]
    assert pcam.coordinates.tolist() == [[1000 + i, 5000 + i] for i in range(4)]
    assert pcam.coordinates.dtype == np.int64


def test_the_hospital_of_test_slides_is_unknown(tmp_path):
    make_official(tmp_path, "test", 4)
    assert set(load(tmp_path, "test").hospital) == {"unknown"}


def test_return_x_y_gives_the_patches_and_labels_alone(tmp_path):
    patches, labels = make_official(tmp_path)
    X, y = load(tmp_path, return_X_y=True)
    assert np.array_equal(X, patches)
    assert np.array_equal(y, labels)


def test_the_description_speaks_of_this_split(tmp_path):
    make_official(tmp_path, "valid", 12)
    assert "split 'valid': 12 patches" in load(tmp_path, "valid").DESCR


def test_without_a_meta_file_there_are_no_groups_and_a_warning_says_so(tmp_path):
    make_official(tmp_path)
    (tmp_path / name("train", "meta.csv")).unlink()
    with pytest.warns(UserWarning, match="cannot be split by slide"):
        pcam = load(tmp_path)
    assert pcam.groups is pcam.coordinates is pcam.hospital is None


def test_the_second_call_does_not_open_the_patches_again(tmp_path, monkeypatch):
    patches, _ = make_official(tmp_path)
    load(tmp_path)
    monkeypatch.setattr(_npy, "open_patches", None)
    assert np.array_equal(load(tmp_path).images, patches)


def test_the_h5_file_of_the_patches_may_be_deleted_afterwards(tmp_path):
    patches, _ = make_official(tmp_path)
    load(tmp_path)
    (tmp_path / name("train", "x.h5")).unlink()
    assert np.array_equal(load(tmp_path, verify=True).images, patches)


def test_a_read_only_folder_is_enough_once_the_map_is_there(tmp_path):
    patches, _ = make_official(tmp_path)
    load(tmp_path)
    before = sorted(os.listdir(tmp_path))
    tmp_path.chmod(0o555)
    try:
        assert np.array_equal(load(tmp_path).images, patches)
    finally:
        tmp_path.chmod(0o755)
    assert sorted(os.listdir(tmp_path)) == before


def test_another_h5_file_by_that_name_is_read_with_a_warning(tmp_path):
    make_official(tmp_path, n=12)
    load(tmp_path)
    patches, _ = make_official(tmp_path, n=13)
    with pytest.warns(UserWarning, match="no longer the file that"):
        pcam = load(tmp_path)
    assert np.array_equal(pcam.images, patches)


def damage(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("fault", ["first", "last", "short", "no record"])
def test_a_damaged_map_is_written_again_with_a_warning(tmp_path, fault):
    patches, _ = make_official(tmp_path)
    load(tmp_path)
    npy = tmp_path / name("train", "x.npy")
    if fault == "no record":
        npy.with_name(npy.name + ".json").unlink()
    elif fault == "short":
        os.truncate(npy, npy.stat().st_size - 1)
    else:
        damage(npy, 200 if fault == "first" else npy.stat().st_size - 1)
    with pytest.warns(UserWarning, match="written again from"):
        pcam = load(tmp_path)
    assert np.array_equal(pcam.images, patches)


def test_damage_in_the_middle_of_a_map_is_found_by_verify(tmp_path):
    make_official(tmp_path, n=600)
    load(tmp_path)
    damage(tmp_path / name("train", "x.npy"), 300 * 27_648)
    load(tmp_path)
    with pytest.warns(UserWarning, match="patches 256 to 511 have changed"):
        load(tmp_path, verify=True)


def test_a_damaged_map_without_its_source_is_an_error_that_says_what_is_wrong(tmp_path):
    make_official(tmp_path)
    load(tmp_path)
    (tmp_path / name("train", "x.h5")).unlink()
    damage(tmp_path / name("train", "x.npy"), 5000)
    with pytest.raises(ValueError, match=r"have changed, and there is no .*x\.h5"):
        load(tmp_path)


@pytest.mark.parametrize("fault", ["damaged", "cut", "empty", "header"])
def test_damaged_ids_are_made_again_from_the_map_with_a_warning(tmp_path, fault):
    make_official(tmp_path)
    expected = load(tmp_path).ids.tolist()
    (tmp_path / name("train", "x.h5")).unlink()
    path = tmp_path / name("train", "x.sha1.npy")
    if fault in ("cut", "empty"):
        os.truncate(path, 0 if fault == "empty" else 200)
    else:
        damage(path, 200 if fault == "damaged" else 25)
    with pytest.warns(UserWarning, match=r"x\.sha1\.npy is damaged; it is written again"):
        assert load(tmp_path).ids.tolist() == expected
    assert load(tmp_path).ids.tolist() == expected  # Without a warning.


def test_missing_ids_are_made_again_from_the_map(tmp_path):
    make_official(tmp_path)
    expected = load(tmp_path).ids.tolist()
    (tmp_path / name("train", "x.h5")).unlink()
    (tmp_path / name("train", "x.sha1.npy")).unlink()
    assert load(tmp_path).ids.tolist() == expected


def test_ids_are_not_made_from_patches_that_have_changed(tmp_path):
    make_official(tmp_path, n=600)
    load(tmp_path)
    damage(tmp_path / name("train", "x.npy"), 300 * 27_648)
    (tmp_path / name("train", "x.sha1.npy")).unlink()
    with pytest.raises(ValueError, match=r"x\.npy is damaged: its patches have changed; delete"):
        load(tmp_path)


def leftovers(folder: Path) -> list[str]:
    parts = ("x.h5", "x.h5.gz", "y.h5", "y.h5.gz", "meta.csv")
    return sorted(set(os.listdir(folder)) - {name("train", part) for part in parts})


def test_a_conversion_that_fails_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    make_official(tmp_path)

    def fail(images):
        raise OSError("disk full")

    monkeypatch.setattr(_npy, "_hash_patches", fail)
    with pytest.raises(OSError, match="disk full"):
        load(tmp_path)
    assert leftovers(tmp_path) == []


def test_what_was_written_is_read_back_and_compared(tmp_path, monkeypatch):
    make_official(tmp_path)
    monkeypatch.setattr(_npy, "_copy", lambda *args, **kw: wrong_copy(*args))
    with pytest.raises(OSError, match="does not hold what was written"):
        load(tmp_path)
    assert leftovers(tmp_path) == []


def wrong_copy(dataset, path: Path) -> bytes:
    with open(path, "wb") as file:
        np.save(file, np.zeros(dataset.shape, np.uint8))
    patches = np.concatenate([block.copy() for block in dataset.blocks()])
    return b"".join(hashlib.sha1(patch.tobytes()).digest() for patch in patches)


def test_a_packed_file_that_is_cut_short_is_an_error_and_leaves_nothing_behind(tmp_path):
    make_official(tmp_path)
    packed = pack(tmp_path / name("train", "x.h5"))
    os.truncate(packed, packed.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"cut short or damaged.*fetch_pcam"):
        load(tmp_path)
    assert leftovers(tmp_path) == []


def test_a_file_of_the_official_length_must_have_the_official_content(tmp_path, monkeypatch):
    make_official(tmp_path, n=12)
    monkeypatch.setitem(_official_h5.SIZES, "train", 12)
    with pytest.raises(ValueError, match="not 0781386bf6c2fb62d58ff18891466aca"):
        load(tmp_path)


def test_a_file_that_is_no_hdf5_is_an_error_that_names_it(tmp_path):
    make_official(tmp_path)
    (tmp_path / name("train", "x.h5")).write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(ValueError, match=r"train_x\.h5 is no HDF5 file"):
        load(tmp_path)


def test_a_file_with_another_dataset_is_an_error_that_names_what_it_holds(tmp_path):
    make_official(tmp_path)
    write_h5(tmp_path / name("train", "x.h5"), "mask", np.zeros((12, 96, 96, 3), np.uint8))
    with pytest.raises(ValueError, match=r"holds \['mask'\]; it must hold 'x'"):
        load(tmp_path)


@pytest.mark.parametrize(
    "values",
    [np.zeros((12, 96, 96, 3), np.float32), np.zeros((12, 96, 96, 1), np.uint8)],
    ids=["floats", "one channel"],
)
def test_patches_of_another_kind_are_an_error(tmp_path, values):
    make_official(tmp_path)
    write_h5(tmp_path / name("train", "x.h5"), "x", values)
    with pytest.raises(ValueError, match=r"must be uint8 \(n, 96, 96, 3\)"):
        load(tmp_path)


def test_labels_of_another_number_of_patches_are_an_error(tmp_path):
    make_official(tmp_path)
    write_h5(tmp_path / name("train", "y.h5"), "y", np.zeros((11, 1, 1, 1), np.uint8))
    with pytest.raises(ValueError, match=r"12 patches and .* 11 labels"):
        load(tmp_path)


def test_labels_other_than_0_and_1_are_an_error(tmp_path):
    make_official(tmp_path)
    write_h5(tmp_path / name("train", "y.h5"), "y", np.full((12, 1, 1, 1), 2, np.uint8))
    with pytest.raises(ValueError, match="12 labels are not 0 or 1, the first is 2 of patch 0"):
        load(tmp_path)


def test_a_meta_file_of_another_order_is_an_error(tmp_path):
    _, labels = make_official(tmp_path)
    make_meta(12, 1 - labels, "train").to_csv(tmp_path / name("train", "meta.csv"))
    with pytest.raises(ValueError, match="rows belong to other patches"):
        load(tmp_path)


def test_the_official_meta_file_is_accepted_whatever_its_labels(tmp_path, monkeypatch):
    _, labels = make_official(tmp_path)
    path = tmp_path / name("train", "meta.csv")
    make_meta(12, 1 - labels, "train").to_csv(path)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(_meta.ARCHIVE_MD5, path.name, md5)
    assert len(load(tmp_path).groups) == 12


def test_a_meta_file_of_another_length_is_an_error(tmp_path):
    make_official(tmp_path)
    path = tmp_path / name("train", "meta.csv")
    pd.read_csv(path, index_col=0).head(11).to_csv(path)
    with pytest.raises(ValueError, match="11 rows for 12 patches"):
        load(tmp_path)


def test_a_meta_file_without_slides_is_an_error(tmp_path):
    make_official(tmp_path)
    path = tmp_path / name("train", "meta.csv")
    pd.read_csv(path, index_col=0).drop(columns="wsi").to_csv(path)
    with pytest.raises(ValueError, match=r"it must have .*'wsi'"):
        load(tmp_path)


def test_everything_that_is_missing_is_named_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"valid_x\.h5\.gz and .*valid_y\.h5\.gz.*fetch_pc"):
        load(tmp_path, "valid")


def test_an_unknown_split_is_an_error_that_names_the_three(tmp_path):
    with pytest.raises(ValueError, match="'train', 'valid', 'test'; got 'validation'"):
        load(tmp_path, "validation")


def test_reading_takes_no_more_memory_than_a_few_hundred_patches(tmp_path):
    make_official(tmp_path, n=1500)
    tracemalloc.start()
    try:
        load(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 600 * 27_648


def test_the_progress_bar_counts_every_patch(tmp_path, capsys):
    make_official(tmp_path)
    load_pcam(tmp_path)
    assert "12/12" in capsys.readouterr().err

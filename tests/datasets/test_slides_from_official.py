"""slides_from_official tells the slides of Kaggle's training patches, none of its test patches."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.official_files import SLIDES, make_meta, make_official, name, pack, write_h5

from pcam_sklearn.datasets import (
    _meta,
    _official_h5,
    _slides,
    hospital_of_slide,
    slides_from_official,
)


def sha1(pixels: np.ndarray) -> str:
    return hashlib.sha1(pixels.tobytes()).hexdigest()


def files(folder, split="train"):
    return folder / name(split, "x.h5"), folder / name(split, "meta.csv")


@pytest.mark.parametrize("packed", [False, True], ids=["h5", "h5.gz"])
def test_each_id_is_put_on_the_slide_of_its_patch(tmp_path, packed):
    patches, _ = make_official(tmp_path, n=300, chunks=70)
    h5, meta = files(tmp_path)
    frame = slides_from_official(pack(h5) if packed else h5, meta)
    assert list(frame) == ["id", "slide", "hospital"]
    assert frame["id"].tolist() == [sha1(patch) for patch in patches]
    assert frame["slide"].tolist() == [f"camelyon16_train_{SLIDES[i % 4]}" for i in range(300)]
    assert frame["hospital"].tolist()[:4] == ["RUMC", "RUMC", "UMCU", "UMCU"]


def test_real_patches_get_the_ids_that_kaggle_gave_them(sample_folder, tmp_path):
    from pcam_sklearn._reading._images import read_image

    paths = sorted((sample_folder / "train").glob("*.tif"))
    patches = np.stack([read_image(path) for path in paths])
    h5, meta = files(tmp_path)
    write_h5(h5, "x", patches)
    write_h5(tmp_path / name("train", "y.h5"), "y", np.zeros((len(paths), 1, 1, 1), np.uint8))
    make_meta(len(paths), np.zeros(len(paths)), "train").to_csv(meta)
    assert slides_from_official(h5, meta)["id"].tolist() == [path.stem for path in paths]


def test_the_meta_data_may_be_a_frame(tmp_path):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    frame = pd.read_csv(meta, index_col=0)
    pd.testing.assert_frame_equal(slides_from_official(h5, frame), slides_from_official(h5, meta))


def test_a_patch_that_occurs_twice_on_a_slide_gets_one_row(tmp_path):
    patches, _ = make_official(tmp_path, n=8)
    patches[4] = patches[0]  # Both are on the first slide.
    h5, meta = files(tmp_path)
    write_h5(h5, "x", patches)
    frame = slides_from_official(h5, meta)
    assert len(frame) == 7
    assert frame["id"].is_unique


def test_a_patch_on_two_slides_is_put_on_the_first_with_a_warning(tmp_path):
    patches, _ = make_official(tmp_path, n=8)
    patches[3] = patches[0]
    h5, meta = files(tmp_path)
    write_h5(h5, "x", patches)
    with pytest.warns(UserWarning, match="1 ids occur on more than one slide"):
        frame = slides_from_official(h5, meta)
    assert frame.set_index("id")["slide"][sha1(patches[0])] == "camelyon16_train_normal_001"


@pytest.mark.parametrize("split", ["valid", "test"])
def test_files_of_the_other_splits_are_refused(tmp_path, split):
    make_official(tmp_path, split)
    h5, meta = files(tmp_path, split)
    with pytest.raises(ValueError, match=f"split {split!r}.*Kaggle's test set"):
        slides_from_official(h5, meta)


def test_a_meta_file_of_another_split_is_refused(tmp_path):
    make_official(tmp_path, "train")
    make_official(tmp_path, "valid")
    with pytest.raises(ValueError, match="Kaggle's test set"):
        slides_from_official(files(tmp_path)[0], files(tmp_path, "valid")[1])


def test_test_slides_are_refused_under_any_file_name(tmp_path):
    make_official(tmp_path, "test")
    h5, meta = files(tmp_path, "test")
    h5.rename(tmp_path / "patches.h5")
    meta.rename(tmp_path / "meta.csv")
    with pytest.raises(ValueError, match="not training slides, 'camelyon16_test_001' first"):
        slides_from_official(tmp_path / "patches.h5", tmp_path / "meta.csv")


def test_the_official_content_of_another_split_is_refused_under_any_file_name(
    tmp_path, monkeypatch
):
    make_official(tmp_path, "train")
    h5, meta = files(tmp_path)
    md5 = hashlib.md5(h5.read_bytes()).hexdigest()
    monkeypatch.setitem(_slides.H5_MD5, name("valid", "x.h5"), md5)
    with pytest.raises(ValueError, match="under another name"):
        slides_from_official(h5, meta)


def test_as_many_patches_as_another_split_has_are_refused(tmp_path, monkeypatch):
    make_official(tmp_path, "train", 12)
    monkeypatch.setitem(_slides.SIZES, "valid", 12)
    with pytest.raises(ValueError, match="under another name"):
        slides_from_official(*files(tmp_path))


def test_files_that_do_not_belong_together_are_an_error(tmp_path):
    make_official(tmp_path, n=12)
    h5, meta = files(tmp_path)
    with pytest.raises(ValueError, match="meta has 11 rows for 12 patches"):
        slides_from_official(h5, pd.read_csv(meta, index_col=0).head(11))


WRONG = {
    "float32": lambda patches: patches.astype(np.float32) / 255,
    "int64": lambda patches: patches.astype(np.int64),
    "int8": lambda patches: patches.view(np.int8),
    "channels first": lambda patches: patches.transpose(0, 3, 1, 2),
    "32 pixels": lambda patches: patches[:, 32:64, 32:64],
    "flat": lambda patches: patches.reshape(len(patches), -1),
    "RGBA": lambda patches: np.concatenate([patches, patches[..., :1]], axis=-1),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_pixels_that_would_give_other_ids_are_refused(tmp_path, change):
    patches, _ = make_official(tmp_path)
    h5, meta = files(tmp_path)
    write_h5(h5, "x", np.ascontiguousarray(change(patches)))
    with pytest.raises(ValueError, match=r"train_x\.h5: x is .* must be uint8 \(n, 96, 96, 3\)"):
        slides_from_official(h5, meta)


def test_no_patch_at_all_is_refused(tmp_path):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    write_h5(h5, "x", np.zeros((0, 96, 96, 3), np.uint8))
    with pytest.raises(ValueError, match="holds no patch"):
        slides_from_official(h5, meta)


def test_a_file_of_the_official_length_must_have_the_official_content(tmp_path, monkeypatch):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    monkeypatch.setitem(_official_h5.SIZES, "train", 12)
    with pytest.raises(ValueError, match="damaged: the MD5"):
        slides_from_official(h5, meta)


@pytest.mark.parametrize("as_frame", [False, True], ids=["file", "frame"])
def test_meta_data_whose_labels_are_those_of_other_patches_are_refused(tmp_path, as_frame):
    _, labels = make_official(tmp_path)
    h5, meta = files(tmp_path)
    other = make_meta(12, 1 - labels, "train")
    other.to_csv(meta)
    with pytest.raises(ValueError, match="differs from the label of 12 patches"):
        slides_from_official(h5, other if as_frame else meta)


@pytest.mark.parametrize("as_frame", [False, True], ids=["file", "frame"])
@pytest.mark.parametrize("with_labels", [True, False], ids=["labels", "no labels"])
def test_an_index_out_of_order_is_refused(tmp_path, as_frame, with_labels):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    write_h5(tmp_path / name("train", "y.h5"), "y", np.zeros((12, 1, 1, 1), np.uint8))
    mixed = make_meta(12, np.zeros(12), "train").iloc[::-1]
    mixed.to_csv(meta)
    if not with_labels:
        (tmp_path / name("train", "y.h5")).unlink()
    with pytest.raises(ValueError, match="in another order than the patches"):
        slides_from_official(h5, mixed if as_frame else meta)


@pytest.mark.parametrize("lacks", ["labels", "column"])
def test_an_order_that_nothing_proves_is_a_warning(tmp_path, lacks):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    frame = pd.read_csv(meta, index_col=0)
    if lacks == "labels":
        (tmp_path / name("train", "y.h5")).unlink()
    else:
        frame = frame[["wsi"]]
    with pytest.warns(UserWarning, match="nothing shows that the rows of meta are in the order"):
        assert len(slides_from_official(h5, frame)) == 12


def test_the_official_meta_file_needs_no_labels(tmp_path, monkeypatch):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    (tmp_path / name("train", "y.h5")).unlink()
    md5 = hashlib.md5(meta.read_bytes()).hexdigest()
    monkeypatch.setitem(_meta.ARCHIVE_MD5, meta.name, md5)
    assert len(slides_from_official(h5, meta)) == 12


@pytest.mark.parametrize("slide", [None, np.nan, "", " "], ids=repr)
def test_a_row_without_a_slide_is_refused(tmp_path, slide):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    frame = pd.read_csv(meta, index_col=0)
    frame.loc[7, "wsi"] = slide
    with pytest.raises(ValueError, match=r"1 rows that name no slide \(wsi\), the first is row 7"):
        slides_from_official(h5, frame)


def test_a_frame_without_slides_is_an_error(tmp_path):
    make_official(tmp_path)
    with pytest.raises(ValueError, match="it must have 'wsi'"):
        slides_from_official(files(tmp_path)[0], pd.DataFrame({"slide": ["a"]}))


def test_the_caller_s_frame_is_not_changed(tmp_path):
    make_official(tmp_path)
    h5, meta = files(tmp_path)
    frame = pd.read_csv(meta, index_col=0)
    before = frame.copy()
    slides_from_official(h5, frame)
    pd.testing.assert_frame_equal(frame, before)


def test_every_training_slide_of_camelyon16_has_its_hospital():
    normal = [hospital_of_slide(f"camelyon16_train_normal_{i:03d}") for i in range(1, 161)]
    tumor = [hospital_of_slide(f"camelyon16_train_tumor_{i:03d}") for i in range(1, 112)]
    assert normal == ["RUMC"] * 100 + ["UMCU"] * 60
    assert tumor == ["RUMC"] * 70 + ["UMCU"] * 41


@given(st.text())
def test_the_hospital_of_any_other_name_is_unknown(text):
    assert hospital_of_slide(text) == "unknown"


@pytest.mark.parametrize(
    "slide",
    ["camelyon16_test_001", "g56", "train_normal_161", "train_tumor_112", "train_tumor_000", "x1"],
)
def test_a_name_that_does_not_tell_is_unknown(slide):
    assert hospital_of_slide(slide) == "unknown"

"""Find and load the patches of DATA: Kaggle's layout, official files, synthetic patches, ids."""

import hashlib
from functools import partial

import cv2
import numpy as np
import pytest
from support.cli_runs import make_kaggle
from support.official_files import make_official

from pcam_sklearn.cli._patches import (
    TO_LEARN,
    TO_MEASURE,
    TO_PREDICT,
    load_labelled_patches,
    load_patches,
    read_ids,
)
from pcam_sklearn.datasets import make_patches


def load(data, subset=None, slides=None, default=TO_LEARN):
    return load_patches(str(data), subset, slides, 0, default=default, progress=False)


def test_a_kaggle_folder_is_recognized_by_its_names(tmp_path):
    patches = load(make_kaggle(tmp_path / "kaggle"))
    assert patches.name == "kaggle (train)"
    assert patches.X[0].endswith(".tif")


def test_a_part_that_kaggle_has_not_is_an_error_that_names_the_option(tmp_path):
    with pytest.raises(ValueError, match=r"--subset valid .* --subset train or --subset test"):
        load(make_kaggle(tmp_path / "kaggle"), subset="valid")


@pytest.mark.parametrize(("default", "part"), [(TO_LEARN, "train"), (TO_MEASURE, "test")])
def test_official_files_are_recognized_by_their_names(tmp_path, default, part):
    make_official(tmp_path / "pcam", part)
    patches = load(tmp_path / "pcam", default=default)
    assert patches.name == f"pcam ({part})"
    assert isinstance(patches.X, np.memmap)


def test_the_hospital_is_known_from_the_names_of_slides(tmp_path):
    make_official(tmp_path, "train")
    assert set(load(tmp_path).hospital) == {"RUMC", "UMCU"}


def test_synthetic_patches_of_another_seed_share_neither_id_nor_slide(monkeypatch):
    few = partial(make_patches, n_samples=20, n_slides=4)
    monkeypatch.setattr("pcam_sklearn.cli._patches.make_patches", few)
    first, other = (
        load_patches("synthetic", None, None, seed, default=TO_LEARN, progress=False)
        for seed in (0, 1)
    )
    assert not set(first.ids) & set(other.ids)
    assert not set(first.groups) & set(other.groups)


def test_a_missing_folder_is_an_error_that_names_everything_allowed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no-such.*Kaggle.*official.*synthetic"):
        load(tmp_path / "no-such")


def test_a_folder_of_other_things_is_an_error_that_names_them(tmp_path):
    (tmp_path / "holiday.txt").touch()
    with pytest.raises(ValueError, match=r"holds holiday\.txt; pass"):
        load(tmp_path)


def test_a_folder_of_both_kinds_is_an_error(tmp_path):
    make_official(tmp_path)
    make_kaggle(tmp_path)
    with pytest.raises(ValueError, match="two folders"):
        load(tmp_path)


def test_slides_are_for_a_kaggle_folder(tmp_path):
    with pytest.raises(ValueError, match="--slides"):
        load("synthetic", slides=tmp_path / "slides.csv")


def test_synthetic_patches_have_no_subset():
    with pytest.raises(ValueError, match="--subset"):
        load("synthetic", subset="test")


def test_a_quoted_comma_in_a_table_of_ids_belongs_to_the_id(tmp_path):
    (tmp_path / "some.csv").write_text('note,id\n"a, b",first\nc,"second, of two"\n')
    assert read_ids(tmp_path / "some.csv") == ["first", "second, of two"]


def test_a_quoted_comma_in_a_list_of_ids_belongs_to_the_id(tmp_path):
    (tmp_path / "some.txt").write_text('first\n\n"second, of two"\n')
    assert read_ids(tmp_path / "some.txt") == ["first", "second, of two"]


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n1,2\n", b"id,label\n", b"  \n \n", b"id\n\xff\xfe", b'"' + b"a\n" * 99_999],
    ids=["empty", "without id", "header only", "blanks", "no UTF-8", "a quote that never ends"],
)
def test_a_file_without_ids_is_an_error_that_names_both_forms(tmp_path, content):
    (tmp_path / "some.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"one id per line.*column id"):
        read_ids(tmp_path / "some.csv")


# Folders of images


def write(root, *names, side=96):
    """Write an image of its own gray for each name, and return the folder."""
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((side, side, 3), value, np.uint8))
    return root


BY_CLASS = ("0/a.png", "0/b.png", "1/a.png")
pytestmark = pytest.mark.filterwarnings("ignore:the slides of the images:UserWarning")


def test_a_folder_by_class_is_recognized_and_its_ids_are_paths_within_it(tmp_path):
    patches = load(write(tmp_path / "mine", *BY_CLASS))
    assert patches.name == "mine"
    assert patches.ids.tolist() == ["0/a.png", "0/b.png", "1/a.png"]
    assert patches.target.tolist() == [0, 0, 1]
    assert patches.groups is None


@pytest.mark.parametrize(("default", "part"), [(TO_LEARN, "train"), (TO_MEASURE, "test")])
def test_parts_by_class_are_taken_as_kaggle_s_parts_are(tmp_path, default, part):
    names = [f"{part}/{name}" for part in ("train", "test") for name in BY_CLASS]
    patches = load(write(tmp_path / "mine", *names), default=default)
    assert patches.name == f"mine ({part})"
    assert patches.ids[0] == "0/a.png"
    assert patches.X[0] == str(tmp_path / "mine" / part / "0/a.png")


def test_a_patch_is_known_by_its_pixels_under_any_name(tmp_path):
    names = load(write(tmp_path / "mine", *BY_CLASS)).digests().tolist()
    assert names == [
        hashlib.sha256(np.full((96, 96, 3), value, np.uint8)).hexdigest()[:32] for value in range(3)
    ]
    (tmp_path / "mine").rename(tmp_path / "yours")
    assert load(tmp_path / "yours").digests().tolist() == names


def test_a_part_and_its_folder_give_the_same_ids(tmp_path):
    write(tmp_path, *(f"train/{name}" for name in BY_CLASS))
    assert load(tmp_path).ids.tolist() == load(tmp_path / "train").ids.tolist()


def test_a_plain_part_beside_parts_by_class_is_predicted(tmp_path):
    write(tmp_path, *(f"train/{name}" for name in BY_CLASS), "test/x.png", "test/y 1.png")
    patches = load(tmp_path, default=TO_PREDICT)
    assert patches.ids.tolist() == ["x.png", "y 1.png"]
    assert not len(patches.target)


def test_a_plain_folder_has_its_names_as_ids(tmp_path):
    patches = load(write(tmp_path / "slide7", "x.png", "y.jpg"), default=TO_PREDICT)
    assert (patches.name, patches.ids.tolist()) == ("slide7", ["x.png", "y.jpg"])


def test_a_plain_folder_cannot_be_learned_from(tmp_path):
    write(tmp_path, "x.png")
    with pytest.raises(ValueError, match=r"no labels, .* subfolder of images for each class"):
        load_labelled_patches(str(tmp_path), None, None, 0, default=TO_LEARN, progress=False)


def test_slides_of_a_folder_by_class_may_be_given(tmp_path):
    write(tmp_path / "mine", *BY_CLASS)
    table = "id,slide\n0/a.png,camelyon16_train_tumor_001\n0/b.png,s2\n1/a.png,s2\n"
    (tmp_path / "slides.csv").write_text(table)
    patches = load(tmp_path / "mine", slides=tmp_path / "slides.csv")
    assert patches.groups.tolist() == ["camelyon16_train_tumor_001", "s2", "s2"]
    assert patches.hospital.tolist() == ["RUMC", "unknown", "unknown"]


def test_names_of_classes_are_told_with_the_label_they_get(tmp_path):
    write(tmp_path, "cancer/a.png", "healthy/a.png")
    with pytest.warns(UserWarning, match="'healthy' are taken for tumour, label 1, .*'cancer'"):
        load(tmp_path)


@pytest.mark.filterwarnings("ignore:in .* are taken for tumour")
def test_more_than_two_classes_are_an_error(tmp_path):
    write(tmp_path, "a/1.png", "b/1.png", "c/1.png")
    with pytest.raises(ValueError, match="holds 3 classes, a, b, c; two can be told apart"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "subset", "message"),
    [
        (BY_CLASS, "train", "--subset train is for folders with train/ or test/"),
        (
            [f"train/{name}" for name in BY_CLASS],
            "valid",
            "no folder valid; pass --subset .* train",
        ),
    ],
    ids=["without parts", "another part"],
)
def test_a_part_that_is_not_there_is_an_error(tmp_path, names, subset, message):
    write(tmp_path, *names)
    with pytest.raises(FileNotFoundError, match=message):
        load(tmp_path, subset)


def test_the_default_part_that_is_not_there_is_an_error_that_names_another(tmp_path):
    write(tmp_path, *(f"train/{name}" for name in BY_CLASS))
    with pytest.raises(FileNotFoundError, match="no folder test; pass --subset train"):
        load(tmp_path, default=TO_MEASURE)


@pytest.mark.parametrize("side", [32, 97, 224])
@pytest.mark.parametrize("kind", ["folder", "kaggle"])
def test_images_that_will_be_resized_are_mentioned(tmp_path, kind, side):
    if kind == "folder":
        write(tmp_path, *BY_CLASS, side=side)
    else:
        write(tmp_path, "test/a.png", side=side)
    with pytest.warns(UserWarning, match=f"{side} x {side} pixels and are resized to 96 x 96"):
        load(tmp_path, default=TO_PREDICT)


def test_a_damaged_first_image_is_left_to_the_reading(tmp_path):
    write(tmp_path, *BY_CLASS)
    (tmp_path / "0" / "a.png").write_bytes(b"no image")
    assert len(load(tmp_path)) == 3

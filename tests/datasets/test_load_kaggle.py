"""load_kaggle lists the patches of Kaggle's folder, and refuses tables that do not fit."""

import csv
import re
import string
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcam_sklearn.datasets import load_kaggle

IDS = ["c3", "a1", "b2"]
SAFE = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=40)


def write_table(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def folder(tmp_path):
    """Return a sound folder: three labelled patches on two slides, and two test patches."""
    for subset, ids in (("train", IDS), ("test", ["z9", "y8"])):
        (tmp_path / subset).mkdir()
        for identifier in ids:
            (tmp_path / subset / f"{identifier}.tif").touch()
    write_table(tmp_path / "train_labels.csv", ["id", "label"], zip(IDS, [0, 1, 1], strict=True))
    write_table(
        tmp_path / "slides.csv", ["id", "slide"], [["a1", "s1"], ["b2", "s2"], ["c3", "s1"]]
    )
    return tmp_path


def label(folder, rows):
    write_table(folder / "train_labels.csv", ["id", "label"], rows)


# The list of patches.


def test_the_patches_come_in_the_order_of_the_labels(folder):
    data = load_kaggle(folder)
    assert data.ids.tolist() == IDS
    assert data.target.tolist() == [0, 1, 1]
    assert data.paths.tolist() == [
        str(folder / "train" / f"{identifier}.tif") for identifier in IDS
    ]


def test_slides_are_joined_on_the_id(folder):
    assert load_kaggle(folder).groups.tolist() == ["s1", "s1", "s2"]


def test_everything_is_a_plain_one_dimensional_array(folder):
    data = load_kaggle(folder)
    kinds = {name: (data[name].dtype.kind, data[name].ndim) for name in data if name != "DESCR"}
    text = ("U", 1)
    assert kinds == {"paths": text, "target": ("i", 1), "ids": text, "groups": text}


def test_a_folder_may_be_given_as_text(folder):
    assert load_kaggle(str(folder)).paths.tolist() == load_kaggle(folder).paths.tolist()


def test_x_and_y_alone_are_the_paths_and_the_labels(folder):
    paths, target = load_kaggle(folder, return_X_y=True)
    data = load_kaggle(folder)
    np.testing.assert_array_equal(paths, data.paths)
    np.testing.assert_array_equal(target, data.target)


def test_the_description_counts_patches_and_slides(folder):
    assert "3 files, 2 of them positive, 2 slides" in load_kaggle(folder).DESCR


def test_test_patches_are_the_files_that_are_there_sorted(folder):
    write_table(folder / "sample_submission.csv", ["id", "label"], [["z9", 0], ["x7", 0]])
    data = load_kaggle(folder, subset="test")
    assert data.ids.tolist() == ["y8", "z9"]
    assert data.paths.tolist() == [str(folder / "test" / f"{i}.tif") for i in ("y8", "z9")]


def test_test_patches_have_neither_labels_nor_slides(folder):
    data = load_kaggle(folder, subset="test")
    assert data.target is None
    assert data.groups is None


def test_test_patches_need_no_training_data(folder):
    (folder / "train_labels.csv").unlink()
    assert len(load_kaggle(folder, "test").paths) == 2


def test_files_without_a_label_are_left_out_with_a_warning(folder):
    (folder / "train" / "unlabelled.tif").touch()
    with pytest.warns(UserWarning, match=r"1 of the 4 patches in .*train are left out.*unlabelled"):
        assert load_kaggle(folder).ids.tolist() == IDS


def test_a_folder_of_png_files_is_listed_too(folder):
    for path in (folder / "train").iterdir():
        path.rename(path.with_suffix(".png"))
    assert load_kaggle(folder).paths[0] == str(folder / "train" / "c3.png")


def test_slides_may_be_given_as_a_table_or_its_file(folder, tmp_path):
    table = pd.read_csv(folder / "slides.csv", dtype=str)
    table["slide"] = "other-" + table["slide"]
    table.to_csv(tmp_path / "others.csv", index=False)
    from_table = load_kaggle(folder, slides=table).groups
    from_file = load_kaggle(folder, slides=tmp_path / "others.csv").groups
    expected = ["other-" + slide for slide in load_kaggle(folder).groups]
    assert from_table.tolist() == from_file.tolist() == expected


def test_a_table_that_lacks_a_patch_is_refused(folder):
    table = pd.read_csv(folder / "slides.csv", dtype=str)[1:]
    with pytest.raises(ValueError, match="slides has no slide for 1 of"):
        load_kaggle(folder, slides=table)


def test_slides_may_be_in_a_packed_file(folder, tmp_path):
    pd.read_csv(folder / "slides.csv").to_csv(tmp_path / "packed.csv.gz", index=False)
    slides = load_kaggle(folder, slides=tmp_path / "packed.csv.gz").groups
    assert slides.tolist() == load_kaggle(folder).groups.tolist()


def test_slides_of_test_patches_are_refused(folder):
    with pytest.raises(ValueError, match="only training patches have slides"):
        load_kaggle(folder, subset="test", slides=folder / "slides.csv")


def test_slides_of_more_patches_than_are_labelled_are_no_error(folder):
    with open(folder / "slides.csv", "a") as file:
        file.write("elsewhere,s3\n")
    assert load_kaggle(folder).groups.tolist() == ["s1", "s1", "s2"]


def test_ids_that_look_like_numbers_or_nan_stay_text(folder):
    ids = ["007", "NA", "1e5"]
    for old, identifier in zip(IDS, ids, strict=True):
        (folder / "train" / f"{old}.tif").rename(folder / "train" / f"{identifier}.tif")
    label(folder, [[identifier, 1] for identifier in ids])
    write_table(folder / "slides.csv", ["id", "slide"], [[i, "01"] for i in ids])
    data = load_kaggle(folder)
    assert data.ids.tolist() == ids
    assert data.groups.tolist() == ["01"] * 3


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        SAFE.map(str.lower), st.tuples(st.booleans(), st.sampled_from("pqr")), min_size=1
    )
)
def test_any_folder_is_listed_as_a_plain_reading_of_its_tables_says(rows):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "train").mkdir()
        for identifier in rows:
            (root / "train" / f"{identifier}.tif").touch()
        label(root, [[identifier, int(positive)] for identifier, (positive, _) in rows.items()])
        slides = [[identifier, slide] for identifier, (_, slide) in rows.items()]
        write_table(root / "slides.csv", ["id", "slide"], slides[::-1])
        data = load_kaggle(root)
        assert all(Path(path).is_file() for path in data.paths)
    assert data.ids.tolist() == [Path(path).stem for path in data.paths] == list(rows)
    found = zip(data.target.tolist(), data.groups.tolist(), strict=True)
    assert list(found) == [(int(positive), slide) for positive, slide in rows.values()]


# Unknown slides.


def test_without_slides_a_warning_says_what_a_random_split_does_and_what_helps(folder):
    (folder / "slides.csv").unlink()
    with pytest.warns(UserWarning, match=r"random split .* \.03 to \.065.*slides_from_official"):
        data = load_kaggle(folder)
    assert data.groups is None
    assert "slides unknown" in data.DESCR


def test_the_warning_points_at_the_line_that_called(folder):
    (folder / "slides.csv").unlink()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_kaggle(folder)
    assert [entry.filename for entry in caught] == [__file__]


@pytest.mark.parametrize("slide", ["", "  ", "NA", "nan", "NaN", "N/A", "#N/A", "null", "None"])
@pytest.mark.parametrize("given", ["slides.csv", "a file", "a frame"])
def test_a_labelled_patch_without_a_slide_is_an_error(folder, slide, given):
    write_table(folder / "slides.csv", ["id", "slide"], [["a1", "s1"], ["b2", slide]])
    frame = pd.read_csv(folder / "slides.csv", dtype=str, keep_default_na=False)
    slides = {"slides.csv": None, "a file": folder / "slides.csv", "a frame": frame}[given]
    with pytest.raises(ValueError, match="no slide for 2 of the 3 labelled patches: c3, b2;"):
        load_kaggle(folder, slides=slides)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, float("nan")], ids=repr)
@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_a_slide_that_a_join_left_missing_is_an_error(folder, missing, dtype):
    column = pd.Series(["s1", missing, "s2"]).astype(dtype)
    slides = pd.DataFrame({"id": IDS, "slide": column})
    with pytest.raises(ValueError, match="no slide for 1 of the 3 labelled patches: a1;"):
        load_kaggle(folder, slides=slides)


def test_numbers_of_slides_that_a_join_turned_into_floats_keep_their_patches_together(folder):
    slides = pd.DataFrame({"id": IDS, "slide": [1.0, 2.0, 1.0]})
    assert load_kaggle(folder, slides=slides).groups.tolist() == ["1.0", "2.0", "1.0"]
    slides.loc[1, "slide"] = np.nan
    with pytest.raises(ValueError, match="no slide for 1 of the 3"):
        load_kaggle(folder, slides=slides)


def test_a_slide_may_be_missing_where_no_patch_is_labelled(folder):
    slides = pd.DataFrame({"id": [*IDS, "z9"], "slide": ["s1", "s2", "s1", None]})
    assert load_kaggle(folder, slides=slides).groups.tolist() == ["s1", "s2", "s1"]


def test_a_patch_on_two_slides_is_an_error(folder):
    with open(folder / "slides.csv", "a") as file:
        file.write("a1,s9\n")
    with pytest.raises(ValueError, match=r"slides\.csv lists 1 ids more than once: a1;"):
        load_kaggle(folder)


def test_without_slides_a_warning_names_what_to_pass_in_python_and_to_a_command(folder):
    (folder / "slides.csv").unlink()
    with pytest.warns(UserWarning, match=r"slides_from_official.* slides=, or .* --slides to a"):
        load_kaggle(folder)


# Tables and files that do not fit together.


def test_an_unknown_subset_is_refused(folder):
    with pytest.raises(ValueError, match="subset='valid' is unknown; pass 'train' or 'test'"):
        load_kaggle(folder, subset="valid")


def test_missing_files_are_an_error_that_counts_them_and_names_the_first(folder):
    label(folder, [[f"m{i}", 0] for i in range(1200)] + [["a1", 1]])
    first = ", ".join(f"m{i}.tif" for i in range(5))
    message = rf"1,200 of the 1,201 labelled patches .*: {re.escape(first)}, \.\.\."
    with pytest.raises(FileNotFoundError, match=message):
        load_kaggle(folder)


def test_a_folder_in_the_place_of_a_file_is_a_missing_file(folder):
    (folder / "train" / "a1.tif").unlink()
    (folder / "train" / "a1.tif").mkdir()
    with pytest.raises(FileNotFoundError, match=r"1 of the 3 labelled patches .* a1\.tif"):
        load_kaggle(folder)


@pytest.mark.parametrize("subset", ["train", "test"])
def test_a_missing_folder_is_an_error_that_says_what_to_pass(tmp_path, subset):
    with pytest.raises(FileNotFoundError, match=f"no folder .*{subset}; pass the one that holds"):
        load_kaggle(tmp_path, subset)


def test_missing_labels_are_an_error(folder):
    (folder / "train_labels.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no .*train_labels\.csv; .*columns id,label"):
        load_kaggle(folder)


@pytest.mark.parametrize("subset", ["train", "test"])
def test_a_folder_without_patches_is_an_error(folder, subset):
    for path in (folder / subset).iterdir():
        path.rename(path.with_suffix(".jpeg"))
    with pytest.raises(
        FileNotFoundError, match=r"holds no patches: none of its \d files is named <id>"
    ):
        load_kaggle(folder, subset)


def test_two_kinds_of_files_in_one_folder_are_an_error(folder):
    (folder / "train" / "a1.png").touch()
    with pytest.raises(ValueError, match=r"holds 3 \.tif and 1 \.png files; leave one kind"):
        load_kaggle(folder)


@pytest.mark.parametrize("table", ["train_labels.csv", "slides.csv"])
def test_a_missing_column_is_an_error_that_names_those_that_are_there(folder, table):
    write_table(folder / table, ["id", "name"], [["a1", 0]])
    with pytest.raises(
        ValueError, match=rf"{table} has the columns \['id', 'name'\]; it must have"
    ):
        load_kaggle(folder)


@pytest.mark.parametrize("table", ["train_labels.csv", "slides.csv"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as a CSV file"),
        (b"id,label,slide\n", "has no rows"),
        (b"id,label,slide\na1,1,s,extra\nb2,1,s,extra\n", "more fields than its header"),
        (b"id,label,slide\na1,1,s\nb2,1,s,extra\n", "cannot be read as a CSV file"),
        (b"id,label,slide\n\xff\xfe,1,s\n", "cannot be read as a CSV file"),
        (b"id,label,slide\na1,1,s\0tray\n", "cannot be read as a CSV file: it holds zero bytes"),
        (b"id,label,slide,label,slide\na1,1,s,0,t\n", "has several columns (label|slide)"),
    ],
    ids=[
        "empty", "header only", "all rows too long", "one row too long", "no text", "zero bytes",
        "columns twice",
    ],
)  # fmt: skip
def test_a_damaged_table_is_an_error_that_names_it(folder, table, content, message):
    (folder / table).write_bytes(content)
    with pytest.raises(ValueError, match=f"{table} .*{message}"):
        load_kaggle(folder)


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zip", "tar", "zst"])
@pytest.mark.parametrize("damage", ["not packed", "cut short", "changed"])
def test_a_damaged_packed_table_is_an_error_that_names_it(folder, tmp_path, ending, damage):
    whole = pd.DataFrame({"id": IDS * 999, "slide": "s1"})
    path = tmp_path / f"packed.csv.{ending}"
    if ending != "zst":  # Python 3.11 cannot write it.
        whole.to_csv(path, index=False)
    content = path.read_bytes() if path.exists() else b"(\xb5/\xfd"
    middle = len(content) // 2
    changed = bytes([content[middle] ^ 255])
    path.write_bytes(
        {
            "not packed": b"id,slide\na1,s1\n",
            "cut short": content[:middle],
            "changed": content[:middle] + changed + content[middle + 1 :],
        }[damage]
    )
    with pytest.raises(ValueError, match=r"packed\.csv.* (cannot be read as a CSV|lists|has)"):
        load_kaggle(folder, slides=path)


@pytest.mark.parametrize("slides", [{"a1": "s1"}, pd.Series({"a1": "s1"}), ["s1", "s2", "s1"]])
def test_slides_in_another_form_are_an_error_that_names_the_form(folder, slides):
    with pytest.raises(TypeError, match=r"slides must be a pandas\.DataFrame .* got a"):
        load_kaggle(folder, slides=slides)


def test_a_frame_with_two_columns_of_slides_is_an_error(folder):
    table = pd.DataFrame([["a1", "s1", "s2"]], columns=["id", "slide", "slide"])
    with pytest.raises(ValueError, match=r"slides has the columns .*; keep one of each"):
        load_kaggle(folder, slides=table)


@pytest.mark.parametrize("bad", ["2", "-1", "0.5", "", "yes", "nan"])
def test_a_label_other_than_0_and_1_is_an_error_that_names_it(folder, bad):
    label(folder, [["a1", 0], ["b2", bad], ["c3", 1]])
    with pytest.raises(ValueError, match=f"1 labels are not 0 or 1: '{re.escape(bad)}' of b2"):
        load_kaggle(folder)


def test_a_label_written_as_a_float_is_the_same_label(folder):
    label(folder, [["a1", "0.0"], ["b2", "1.0"], ["c3", "1e0"]])
    assert load_kaggle(folder).target.tolist() == [0, 1, 1]


def test_an_id_that_occurs_twice_is_an_error(folder):
    label(folder, [["a1", 0], ["b2", 1], ["a1", 0]])
    with pytest.raises(ValueError, match=r"train_labels\.csv lists 1 ids more than once: a1;"):
        load_kaggle(folder)


@pytest.mark.parametrize("bad", ["../x", "/etc/passwd", "a/b", "a\\b", "..", "", "a1.tif", "a1\n"])
def test_an_id_that_could_lead_out_of_the_folder_is_refused(folder, bad):
    label(folder, [["a1", 0], [bad, 1]])
    with pytest.raises(ValueError, match="1 ids that cannot be names of patches") as caught:
        load_kaggle(folder)
    assert repr(bad) in str(caught.value)


# Older releases of pandas end a field at a zero byte, and such an id is that of a missing file.
STRANGE = "./\\: *~é\u0661%$" + "\0" * (int(pd.__version__.split(".")[0]) >= 3)


@settings(max_examples=60, deadline=None)
@given(SAFE, st.sampled_from(STRANGE), SAFE)
def test_no_other_character_passes_in_an_id(before, character, after):
    bad = f"{before}{character}{after}"
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "train").mkdir()
        (Path(name) / "train" / "a1.tif").touch()
        label(Path(name), [["a1", 0], [bad, 1]])
        with pytest.raises(ValueError, match=r"cannot be names of patches|cannot be read as a CSV"):
            load_kaggle(name)


@pytest.mark.parametrize("subset", ["train", "test"])
@pytest.mark.parametrize("name", ["._y8.tif", "._a1.png", ".hidden.tif", "Thumbs.db", "notes.txt"])
def test_hidden_files_and_files_that_are_no_images_never_count(folder, subset, name):
    before = load_kaggle(folder, subset).ids.tolist()
    (folder / subset / name).touch()
    assert load_kaggle(folder, subset).ids.tolist() == before


@pytest.mark.parametrize("subset", ["train", "test"])
@pytest.mark.parametrize("name", ["a1 (1).tif", "a1 - Copy.tif", "A1.TIF", "x.tiff", "y.jpeg"])
def test_images_that_are_not_named_as_patches_are_left_out_with_a_warning(folder, subset, name):
    before = load_kaggle(folder, subset).ids.tolist()
    (folder / subset / name).touch()
    with pytest.warns(UserWarning, match=rf"1 images that are left out, .*{re.escape(repr(name))}"):
        assert load_kaggle(folder, subset).ids.tolist() == before


def test_the_warning_of_names_points_at_the_line_that_called(folder):
    (folder / "train" / "a1 (1).tif").touch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_kaggle(folder)
    assert [entry.filename for entry in caught] == [__file__]


# The real patches.


def test_the_real_sample_is_listed_as_its_tables_say(sample_folder):
    data = load_kaggle(sample_folder)
    table = pd.read_csv(sample_folder / "train_labels.csv").merge(
        pd.read_csv(sample_folder / "slides.csv"), on="id", how="left", validate="one_to_one"
    )
    assert data.ids.tolist() == table["id"].tolist()
    assert data.target.tolist() == table["label"].tolist()
    assert data.groups.tolist() == table["slide"].tolist()


def test_the_listed_real_files_are_patches(sample_folder):
    train, test = load_kaggle(sample_folder), load_kaggle(sample_folder, "test")
    assert (len(train.paths), len(test.paths)) == (36, 4)
    for path in (*train.paths, *test.paths):
        assert cv2.imread(path).shape == (96, 96, 3)

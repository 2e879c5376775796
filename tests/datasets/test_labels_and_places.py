"""Labels, slides and coordinates of official files are exact, or an error that names the file."""

import hashlib

import h5py
import numpy as np
import pytest
from support.official_files import make_meta, make_official, name, write_h5

from pcam_sklearn.datasets import _meta, load_pcam

N = 12


def load(folder, split="train"):
    return load_pcam(folder, split, progress=False)


def write_labels(folder, values):
    write_h5(folder / name("train", "y.h5"), "y", values)


def refuse(folder, message, file="y.h5"):
    """Check that loading fails, and names the file."""
    with pytest.raises(ValueError, match=message) as caught:
        load(folder)
    assert name("train", file) in str(caught.value)


TEXT = h5py.string_dtype()
WRONG = {
    "fractions": (np.tile([0, 0.5, 0.99, 0.6], 3), "9 labels are not 0 or 1, the first is 0.5 of"),
    "almost 1": (np.full(N, np.nextafter(1, 0)), "12 labels are not 0 or 1"),
    "NaN": (np.full(N, np.nan), "12 labels are not 0 or 1, the first is nan"),
    "infinite": (np.full(N, np.inf), "the first is inf"),
    "2": (np.full(N, 2), "the first is 2"),
    "-1": (np.full(N, -1), "the first is -1"),
    "256": (np.full(N, 256), "the first is 256"),
    "2**63": (np.full(N, 2**63, np.uint64), "the first is 9223372036854775808"),
    "yes and no": (np.array(["yes", "no"] * 6, dtype=TEXT), "y is object .* one number, 0 or 1"),
    "text of digits": (np.array(["0", "1"] * 6, dtype="S1"), r"y is \|S1 .* one number, 0 or 1"),
    "complex": (np.zeros(N, complex), "y is complex128"),
    "records": (np.zeros(N, [("a", "u1")]), "one number, 0 or 1"),
    "one-hot": (np.zeros((N, 2), np.uint8), r"y is uint8 \(12, 2\)"),
    "masks": (np.zeros((N, 96, 96), np.uint8), r"y is uint8 \(12, 96, 96\)"),
    "one row": (np.zeros((1, N), np.uint8), r"y is uint8 \(1, 12\)"),
    "a scalar": (np.uint8(1), "y holds no table of values"),
}


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG)
def test_anything_but_a_label_is_refused(tmp_path, values, message):
    make_official(tmp_path)
    with h5py.File(tmp_path / name("train", "y.h5"), "w") as file:
        file["y"] = values
    refuse(tmp_path, message)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", ">i4", "u8", "f2", ">f8"])
@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 1, 1, 1)], ids=str)
def test_labels_may_have_any_dtype_of_numbers(tmp_path, dtype, shape):
    _, labels = make_official(tmp_path)
    write_labels(tmp_path, labels.astype(dtype).reshape(shape))
    target = load(tmp_path).target
    assert target.tolist() == labels.tolist()
    assert target.dtype == np.int64


COORDINATES = {
    "missing": np.nan,
    "infinite": np.inf,
    "a fraction": 12.5,
    "beyond int64": 1e19,
    "text": "left",
    "blank": " ",
}


@pytest.mark.parametrize("column", ["coord_x", "coord_y"])
@pytest.mark.parametrize("value", COORDINATES.values(), ids=COORDINATES)
def test_a_coordinate_that_is_no_whole_number_is_refused(tmp_path, column, value):
    _, labels = make_official(tmp_path)
    meta = make_meta(N, labels, "train").astype({column: object})
    meta.loc[3, column] = value
    meta.to_csv(tmp_path / name("train", "meta.csv"))
    refuse(tmp_path, f"1 rows that cannot be used: .*{column}.*whole number", "meta.csv")


def test_whole_numbers_written_as_fractions_are_coordinates(tmp_path):
    _, labels = make_official(tmp_path)
    expected = load(tmp_path).coordinates.tolist()
    meta = make_meta(N, labels, "train").astype({"coord_x": float, "coord_y": float})
    meta.to_csv(tmp_path / name("train", "meta.csv"))
    coordinates = load(tmp_path).coordinates
    assert coordinates.tolist() == expected
    assert coordinates.dtype == np.int64


@pytest.mark.parametrize("value", ["yes", "no", "", "2", "0.5", "maybe", "nan"])
def test_a_label_of_the_meta_file_must_be_true_or_false(tmp_path, value):
    _, labels = make_official(tmp_path)
    meta = make_meta(N, labels, "train").astype({"center_tumor_patch": object})
    meta.loc[3, "center_tumor_patch"] = value
    meta.to_csv(tmp_path / name("train", "meta.csv"))
    refuse(tmp_path, "1 rows that cannot be used: center_tumor_patch .*True or False", "meta.csv")


@pytest.mark.parametrize("dtype", [int, float, str])
def test_labels_of_the_meta_file_may_be_numbers_or_text(tmp_path, dtype):
    _, labels = make_official(tmp_path)
    meta = make_meta(N, labels, "train")
    meta.astype({"center_tumor_patch": dtype}).to_csv(tmp_path / name("train", "meta.csv"))
    assert len(load(tmp_path).groups) == N


def test_a_meta_file_without_its_index_is_read_by_its_columns(tmp_path):
    _, labels = make_official(tmp_path)
    expected = load(tmp_path)
    make_meta(N, labels, "train").to_csv(tmp_path / name("train", "meta.csv"), index=False)
    pcam = load(tmp_path)
    assert pcam.groups.tolist() == expected.groups.tolist()
    assert pcam.coordinates.tolist() == expected.coordinates.tolist()


def test_a_meta_file_with_a_byte_order_mark_and_other_columns_is_read(tmp_path):
    _, labels = make_official(tmp_path)
    meta = make_meta(N, labels, "train")[["wsi", "center_tumor_patch", "coord_x", "coord_y"]]
    path = tmp_path / name("train", "meta.csv")
    meta.assign(note="a").to_csv(path, index=False, encoding="utf-8-sig")
    assert load(tmp_path).coordinates.tolist() == meta[["coord_y", "coord_x"]].to_numpy().tolist()


def test_a_meta_file_sorted_by_slide_is_refused(tmp_path):
    make_official(tmp_path)
    write_labels(tmp_path, np.zeros(N, np.uint8))
    meta = make_meta(N, np.zeros(N), "train").sort_values("wsi")
    meta.to_csv(tmp_path / name("train", "meta.csv"))
    refuse(tmp_path, "in another order than the patches", "meta.csv")


def test_the_official_meta_file_of_another_split_proves_no_order(tmp_path, monkeypatch):
    _, labels = make_official(tmp_path)
    path = tmp_path / name("train", "meta.csv")
    make_meta(N, 1 - labels, "train").to_csv(path)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(_meta.ARCHIVE_MD5, name("valid", "meta.csv"), md5)
    refuse(tmp_path, "rows belong to other patches", "meta.csv")


CSV = {
    "empty": b"",
    "binary": b"\xff\xfe\x00,\x81\x8d",
    "html": b"<!DOCTYPE html>\n<html><body>404, not found</body></html>\n",
    "other columns": b"id,label\na,1\n",
    "more fields than columns": b"wsi,coord_x,coord_y,center_tumor_patch\na,1,2,True,5\n",
    "ragged": b",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi\n0,1,2,True\n0,1,2,3,4,5,6,7\n",
    "open quote": b',coord_y,coord_x,tumor_patch,center_tumor_patch,wsi\n0,"1,2,True,False,a\n',
    "header alone": b",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi\n",
}


@pytest.mark.parametrize("content", CSV.values(), ids=CSV)
def test_a_meta_file_that_is_no_table_is_refused(tmp_path, content):
    make_official(tmp_path)
    (tmp_path / name("train", "meta.csv")).write_bytes(content)
    refuse(tmp_path, "meta", "meta.csv")


def test_a_cut_meta_file_is_refused(tmp_path):
    make_official(tmp_path)
    path = tmp_path / name("train", "meta.csv")
    content = path.read_bytes()
    for size in range(0, len(content) - 2, 37):
        path.write_bytes(content[:size])
        refuse(tmp_path, "meta", "meta.csv")


def test_slides_named_na_are_missing_slides(tmp_path):
    _, labels = make_official(tmp_path)
    meta = make_meta(N, labels, "train")
    meta.loc[0, "wsi"] = "NA"
    meta.to_csv(tmp_path / name("train", "meta.csv"))
    refuse(tmp_path, "name no slide", "meta.csv")

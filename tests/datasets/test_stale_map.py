"""The memory map beside an official HDF5 file never stands for another file, or for damage."""

import json
import os
import shutil

import numpy as np
import pytest
from support.official_files import make_official, name, pack, write_h5

from pcam_sklearn.datasets import _npy, load_pcam

STEM = name("train", "x")


def load(folder, **options):
    return load_pcam(folder, "train", progress=False, **options)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of official files that were loaded once."""
    make_official(tmp_path)
    load(tmp_path)
    return tmp_path


@pytest.fixture
def other(folder):
    """Return other patches of the same number."""
    return 255 - np.array(load(folder).images)


def rebuilt(folder, **options):
    """Load the patches, which must be written again, and return them."""
    with pytest.warns(UserWarning, match="written again from"):
        return load(folder, **options).images


def test_a_packed_file_of_other_content_replaces_the_patches(folder, other):
    write_h5(folder / f"{STEM}.h5", "x", other)
    pack(folder / f"{STEM}.h5")
    assert np.array_equal(rebuilt(folder), other)


def test_an_unpacked_file_of_other_content_replaces_the_patches_of_a_packed_one(tmp_path):
    patches, _ = make_official(tmp_path)
    pack(tmp_path / f"{STEM}.h5")
    load(tmp_path)
    write_h5(tmp_path / f"{STEM}.h5", "x", 255 - patches)
    assert np.array_equal(rebuilt(tmp_path), 255 - patches)


@pytest.mark.parametrize("how", ["renamed", "in place"])
def test_a_file_of_the_same_size_and_time_replaces_the_patches(folder, other, how):
    path = folder / f"{STEM}.h5"
    status = path.stat()
    write_h5(folder / "new.h5", "x", other)
    if how == "renamed":
        os.replace(folder / "new.h5", path)
    else:
        path.write_bytes((folder / "new.h5").read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert np.array_equal(rebuilt(folder), other)


@pytest.mark.parametrize("change", ["packed", "touched", "copied"])
def test_the_same_content_is_not_written_again_and_read_only_once(folder, monkeypatch, change):
    before = (folder / f"{STEM}.npy").stat()
    path = folder / f"{STEM}.h5"
    if change == "packed":
        pack(path)
    elif change == "touched":
        os.utime(path, (1, 1))
    else:
        shutil.copy(path, folder / "copy")
        os.replace(folder / "copy", path)
    load(folder)
    monkeypatch.setattr(_npy, "md5_of_content", None)
    load(folder)
    assert (folder / f"{STEM}.npy").stat() == before


def test_the_same_content_is_enough_in_a_read_only_folder(folder):
    os.utime(folder / f"{STEM}.h5", (1, 1))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o555)
    try:
        assert len(load(folder).images) == 12
    finally:
        folder.chmod(0o755)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before or os.getuid() == 0


HEADERS = {
    "signed": (b"'|u1'", b"'|i1'"),
    "boolean": (b"'|u1'", b"'|b1'"),
    "transposed": (b"'fortran_order': False", b"'fortran_order': True "),
    "two patches as one": (b"(12, 96, 96, 3)", b"(6, 192, 96, 3)"),
    "turned": (b"(12, 96, 96, 3)", b"(12, 3, 96, 96)"),
    "fewer": (b"(12, 96, 96, 3)", b"(11, 96, 96, 3)"),
    "no dictionary": (b"{'descr", b"['descr"),
    "no magic": (b"\x93NUMPY", b"\x93NUMPX"),
    "zip": (b"\x93NUMPY", b"PK\x03\x04PY"),
}


@pytest.mark.parametrize("source", ["h5", "no h5"])
@pytest.mark.parametrize(("old", "new"), HEADERS.values(), ids=HEADERS)
def test_a_header_that_was_changed_is_found(folder, old, new, source):
    npy, expected = folder / f"{STEM}.npy", np.array(load(folder).images)
    content = npy.read_bytes()
    assert old in content
    npy.write_bytes(content.replace(old, new, 1))
    if source == "h5":
        images = rebuilt(folder)
        assert images.dtype == np.uint8
        assert np.array_equal(images, expected)
    else:
        (folder / f"{STEM}.h5").unlink()
        with pytest.raises(ValueError, match=r"x\.npy: its header has changed, and there is no"):
            load(folder)


def record_of(folder):
    return json.loads((folder / f"{STEM}.npy.json").read_text())


RECORDS = {
    "an empty file": lambda record: "",
    "an empty object": lambda record: "{}",
    "a list": lambda record: "[]",
    "a number": lambda record: "1",
    "cut": lambda record: json.dumps(record)[:80],
    "deep": lambda record: "[" * 100_000,
    "no blocks": lambda record: json.dumps({**record, "blocks": []}),
    "blocks in an object": lambda record: json.dumps({**record, "blocks": {"a": 1}}),
    "blocks in a text": lambda record: json.dumps({**record, "blocks": "a"}),
    "no size": lambda record: json.dumps({**record, "n_bytes": None}),
    "another size": lambda record: json.dumps({**record, "n_bytes": record["n_bytes"] + 1}),
    "a negative size": lambda record: json.dumps({**record, "n_bytes": -5}),
    "a fraction": lambda record: json.dumps({**record, "n_bytes": record["n_bytes"] + 0.5}),
    "wrong sums": lambda record: json.dumps({**record, "blocks": ["0" * 40]}),
    "sums that are none": lambda record: json.dumps({**record, "blocks": [None]}),
    "one key more": lambda record: json.dumps({**record, "more": 1}),
    "one key less": lambda record: json.dumps({k: record[k] for k in ("source", "blocks")}),
}


@pytest.mark.parametrize("source", ["h5", "no h5"])
@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS)
def test_a_record_that_is_damaged_is_found(folder, change, source):
    expected = np.array(load(folder).images)
    (folder / f"{STEM}.npy.json").write_text(change(record_of(folder)))
    if source == "h5":
        assert np.array_equal(rebuilt(folder), expected)
        load(folder)  # Without a warning.
    else:
        (folder / f"{STEM}.h5").unlink()
        with pytest.raises(ValueError, match=r"train_x\.npy: .*, and there is no .*_x\.h5"):
            load(folder)


@pytest.mark.parametrize("source", [None, [], {}, {"name": 1}, "text"], ids=repr)
def test_a_record_that_tells_no_source_is_compared_by_content(folder, source):
    record = record_of(folder)
    path = folder / f"{STEM}.npy.json"
    path.write_text(json.dumps({**record, "source": source}))
    load(folder)
    assert record_of(folder) == record


def test_bytes_that_are_no_text_are_a_damaged_record(folder):
    (folder / f"{STEM}.npy.json").write_bytes(b"\xff\xfe{")
    assert len(rebuilt(folder)) == 12


@pytest.mark.parametrize("size", [0, 5, 100, 128])
def test_a_map_that_was_cut_in_its_header_is_written_again(folder, size):
    os.truncate(folder / f"{STEM}.npy", size)
    assert len(rebuilt(folder)) == 12


def test_a_source_that_is_damaged_is_named_though_the_map_is_whole(folder):
    packed = pack(folder / f"{STEM}.h5")
    os.truncate(packed, 1000)
    with pytest.raises(ValueError, match=r"x\.h5\.gz is cut short or damaged"):
        load(folder)

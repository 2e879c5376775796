"""Whatever is wrong in an official HDF5 file, the error names the file and the way out."""

import gzip
import os
import zlib

import h5py
import numpy as np
import pytest
from support.official_files import make_official, name, pack

from pcam_sklearn.datasets import _h5, load_pcam, slides_from_official

PATCHES = np.random.default_rng(0).integers(0, 256, (12, 96, 96, 3), np.uint8)
X, Y = name("train", "x.h5"), name("train", "y.h5")


@pytest.fixture
def folder(tmp_path):
    make_official(tmp_path)
    return tmp_path


def load(folder):
    return load_pcam(folder, "train", progress=False)


def refuse(folder, message, file=X):
    """Check that both readers of the file name it, and leave nothing behind."""
    before = sorted(os.listdir(folder))
    calls = [load, lambda f: slides_from_official(f / X, f / name("train", "meta.csv"))]
    for call in calls:
        with pytest.raises(ValueError, match=message) as caught:
            call(folder)
        assert file in str(caught.value)
    assert sorted(os.listdir(folder)) == before


def group(file):
    file.create_group("x")["x"] = PATCHES


def named_type(file):
    file["x"] = np.dtype("u1")


def never_written(file):
    file.create_dataset("x", PATCHES.shape, "u1")


def written_in_part(file):
    file.create_dataset("x", PATCHES.shape, "u1", chunks=(5, 96, 96, 3))[:5] = PATCHES[:5]


def beyond_every_disk(file):
    file.create_dataset("x", (2**40, 96, 96, 3), "u1", chunks=(1, 96, 96, 3))


def huge_chunks(file):
    chunks = (2**16, 96, 96, 3)
    file.create_dataset("x", (2**20, 96, 96, 3), "u1", chunks=chunks, compression="gzip")


def in_another_file(file):
    with h5py.File(file.filename + "2", "w") as other:
        other["x"] = PATCHES
    file["x"] = h5py.ExternalLink(file.filename + "2", "x")


def in_a_group_of_another_file(file):
    with h5py.File(file.filename + "2", "w") as other:
        other["g/x"] = PATCHES
    file["g"] = h5py.ExternalLink(file.filename + "2", "g")
    file["x"] = h5py.SoftLink("/g/x")


def virtual(file):
    with h5py.File(file.filename + "2", "w") as other:
        other["x"] = PATCHES
    layout = h5py.VirtualLayout(PATCHES.shape, "u1")
    layout[...] = h5py.VirtualSource(file.filename + "2", "x", PATCHES.shape)
    file.create_virtual_dataset("x", layout)


def raw_bytes_elsewhere(file):
    with open(file.filename + "2", "wb") as other:
        other.write(PATCHES.tobytes())
    external = [(file.filename + "2", 0, PATCHES.nbytes)]
    file.create_dataset("x", PATCHES.shape, "u1", external=external)


def dangling(file):
    file["x"] = h5py.SoftLink("/nowhere")


def dangling_outside(file):
    file["x"] = h5py.ExternalLink("nowhere.h5", "x")


def nothing(file):
    file["x"] = h5py.Empty("u1")


def scalar(file):
    file["x"] = np.uint8(1)


def lists(file):
    file.create_dataset("x", (12,), h5py.vlen_dtype(np.uint8))


CONTENTS = {
    group: "x is a group; it must be a dataset",
    named_type: "x is a datatype; it must be a dataset",
    never_written: "x is not all there; delete it and download it again with fetch_pcam",
    written_in_part: "x is not all there",
    beyond_every_disk: "x is not all there",
    huge_chunks: "each more than 1 GiB|chunks of",
    in_another_file: "x lies in another file",
    in_a_group_of_another_file: "x lies in another file",
    virtual: "x lies in another file",
    raw_bytes_elsewhere: "x lies in another file",
    dangling: "is damaged: .*fetch_pcam",
    dangling_outside: "is damaged: .*fetch_pcam",
    nothing: "x holds no table of values",
    scalar: "x holds no table of values",
    lists: r"must be uint8 \(n, 96, 96, 3\)|not all there",
}


@pytest.mark.parametrize(("write", "message"), CONTENTS.items(), ids=lambda v: str(v)[:12])
def test_anything_but_whole_patches_is_refused_by_name(folder, write, message):
    with h5py.File(folder / X, "w") as file:
        write(file)
    refuse(folder, message)


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (5, 96, 96, 3)},
        {"chunks": (12, 7, 96, 1), "compression": "gzip", "shuffle": True},
        {"chunks": (1, 96, 96, 3), "maxshape": (None, 96, 96, 3), "fletcher32": True},
        {"chunks": (7, 96, 96, 3), "compression": "lzf"},
    ],
    ids=str,
)
def test_patches_may_be_stored_in_any_way(folder, options):
    for library in ("earliest", "v108", "v110"):
        with h5py.File(folder / X, "w", libver=(library, "latest")) as file:
            file.create_dataset("x", data=PATCHES, **options)
            file["x"].attrs["note"] = "any"
        (folder / name("train", "x.npy")).unlink(missing_ok=True)
        assert np.array_equal(load(folder).images, PATCHES)


def test_patches_may_be_linked_within_the_file(folder):
    with h5py.File(folder / X, "w") as file:
        file["a/b"] = PATCHES
        file["x"] = h5py.SoftLink("/a/b")
    assert np.array_equal(load(folder).images, PATCHES)


def test_a_block_never_outgrows_its_budget(folder, monkeypatch):
    monkeypatch.setattr(_h5, "_LARGEST_BUFFER", 5 * PATCHES[0].nbytes)
    with h5py.File(folder / X, "w") as file:
        file.create_dataset("x", data=PATCHES, chunks=(12, 96, 96, 3), compression="gzip")
    with _h5.open_h5(folder / X, "x") as table:
        assert [len(block) for block in table.blocks()] == [5, 5, 2]
    assert np.array_equal(load(folder).images, PATCHES)


@pytest.mark.parametrize("packed", [False, True], ids=["h5", "h5.gz"])
@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"fletcher32": True}], ids=str)
def test_a_chunk_that_cannot_be_read_is_named_by_its_file(folder, options, packed):
    with h5py.File(folder / X, "w") as file:
        file.create_dataset("x", data=PATCHES, chunks=(4, 96, 96, 3), **options)
        at = file["x"].id.get_chunk_info(1).byte_offset
    content = bytearray((folder / X).read_bytes())
    content[at + 10 : at + 40] = bytes(30)
    (folder / X).write_bytes(content)
    if packed:
        pack(folder / X)
        with pytest.raises(ValueError, match=r"x\.h5\.gz is damaged: .*fetch_pcam"):
            load(folder)
    else:
        refuse(folder, r"is damaged: .*fetch_pcam")


def test_a_filter_that_nobody_has_is_named_by_its_file(folder):
    with h5py.File(folder / X, "w") as file:
        file.create_dataset("x", data=0 * PATCHES, chunks=(4, 96, 96, 3), compression="lzf")
    content = bytearray((folder / X).read_bytes())
    content[content.index(b"lzf") - 8] = 0x99  # The low byte of the filter's number.
    (folder / X).write_bytes(content)
    refuse(folder, "is damaged: .*fetch_pcam")


def test_a_file_cut_anywhere_is_refused_by_name(folder):
    content = (folder / Y).read_bytes()
    for size in range(0, len(content), 101):
        (folder / Y).write_bytes(content[:size])
        refuse(folder, "is no HDF5 file, or damaged|is damaged|not all there|must hold", Y)


def names_or_reads(folder, file):
    """Return whether a folder is loaded, or the error names a file of it."""
    try:
        return len(load(folder).images) == 12
    except ValueError as error:
        return file in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("file", [X, Y])
def test_any_byte_of_the_structure_may_be_wrong(folder, file):
    content = (folder / file).read_bytes()
    for at in range(0, 2048, 29):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        (folder / file).write_bytes(damaged)
        (folder / name("train", "x.npy")).unlink(missing_ok=True)
        assert names_or_reads(folder, file), at


GZ = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-20],
    "cut in its checksum": lambda content: content[:-2],
    "no gzip": lambda content: zlib.compress(content),
    "a wrong checksum": lambda content: content[:-8] + bytes(4) + content[-4:],
    "bytes after the end": lambda content: content + b"more",
    "another method": lambda content: content[:2] + b"\x07" + content[3:],
}


@pytest.mark.parametrize("change", GZ.values(), ids=GZ)
@pytest.mark.parametrize("file", [X, Y])
def test_a_packed_file_that_is_damaged_is_named(folder, change, file):
    packed = pack(folder / file)
    packed.write_bytes(change(packed.read_bytes()))
    with pytest.raises(ValueError, match=r"cut short or damaged|is no HDF5") as caught:
        load(folder)
    assert packed.name in str(caught.value)
    assert not (folder / name("train", "x.npy")).exists()


def test_a_packed_file_of_something_else_is_named(folder):
    (folder / X).unlink()
    (folder / (X + ".gz")).write_bytes(gzip.compress(b"<!DOCTYPE html>"))
    with pytest.raises(ValueError, match=r"x\.h5\.gz is no HDF5 file, or damaged"):
        load(folder)


def test_memory_that_is_not_there_is_named_by_the_file(folder, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(_h5.np, "empty", fail)
    with pytest.raises(ValueError, match=r"x\.h5 is damaged: MemoryError"):
        load(folder)

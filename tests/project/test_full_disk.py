"""A full disk is an error that names the file. The old file stays, and nothing else is left."""

import os

import numpy as np
import pytest
from support.full_disk import full_disk, no_big_files, small_disk, snapshot
from support.official_files import make_official, name, pack

from pcam_sklearn._files import atomic_folder, atomic_path
from pcam_sklearn.cli._quickstart import _write_kaggle_folder
from pcam_sklearn.datasets import _h5, load_pcam
from pcam_sklearn.report import ModelCard
from pcam_sklearn.report._document import Picture, Section
from pcam_sklearn.submission import write_submission

IDS = [f"{i:040}" for i in range(2000)]


@pytest.fixture(params=["disk", "limit"])
def disk(request, tmp_path):
    """Return a folder, and a context in which there is hardly room for a file in it."""
    if request.param == "limit":
        yield tmp_path, no_big_files
        return
    with small_disk(tmp_path / "disk") as folder:
        yield folder, full_disk


def check_refused(disk, write, *, match, room=8192):
    """Check that `write(folder)` fails, says why, and changes nothing."""
    folder, full = disk
    before = snapshot(folder)
    with full(folder, room), pytest.raises(OSError, match=match) as caught:
        write(folder)
    assert "No space left" in str(caught.value) or "File too large" in str(caught.value)
    assert snapshot(folder) == before
    assert not [file for file in os.listdir(folder) if ".partial" in file]


def load_train(folder):
    return load_pcam(folder, "train", progress=False)


def write_file(folder, n=100_000):
    with atomic_path(folder / "a.txt") as path:
        path.write_bytes(bytes(n))


def test_a_file(disk):
    write_file(disk[0], n=10)
    check_refused(disk, write_file, match=r"/a\.txt cannot be written.*make room")


def test_a_folder(disk):
    def write(folder):
        with atomic_folder(folder / "run", lambda: None) as new:
            (new / "a.txt").write_bytes(bytes(100_000))

    (disk[0] / "run").mkdir()
    (disk[0] / "run" / "a.txt").write_text("old")
    check_refused(disk, write, match="/run cannot be written")


def test_a_submission(disk):
    def write(folder):
        write_submission(folder / "submission.csv", IDS, np.linspace(0.1, 0.9, len(IDS)))

    (disk[0] / "submission.csv").write_text("old")
    check_refused(disk, write, match=r"/submission\.csv cannot be written")


def test_a_card_and_its_pictures(disk):
    card = ModelCard("Card", [Section("Heading", [Picture("roc", bytes(50_000), "ROC")])])
    for file in ("card.md", "card-roc.png"):
        (disk[0] / file).write_text("old")
    check_refused(
        disk, lambda folder: card.write_markdown(folder / "card.md"), match=r"/card-roc\.png cannot"
    )


@pytest.mark.parametrize("room", [0, 4096, 16_384, 45_000, 110_000])
def test_a_new_card_leaves_no_picture_wherever_the_disk_is_full(tmp_path, room):
    pictures = [Picture(name, bytes(40_000), name) for name in ("roc", "history", "wrong")]
    card = ModelCard("Card", [Section("Heading", ["Text " * 2000, *pictures])])
    with small_disk(tmp_path / "disk") as folder, full_disk(folder, room):
        with pytest.raises(OSError, match=r"cannot be written|No space left"):
            card.write_markdown(folder / "x.md")
        assert os.listdir(folder) == ["filler"]


def test_a_card_as_one_page(disk):
    card = ModelCard("Card", [Section("Heading", ["Text " * 10_000])])
    check_refused(
        disk, lambda folder: card.write_html(folder / "card.html"), match=r"card\.html cannot"
    )


def test_the_patches_of_an_official_file(disk):
    make_official(disk[0], n=10)
    check_refused(disk, load_train, match=r"_x\.npy cannot be written")


def test_the_digests_of_patches_are_made_each_time_if_there_is_no_room(disk):
    folder, full = disk
    make_official(folder, n=10)
    expected = load_train(folder).ids.tolist()
    (folder / name("train", "x.sha1.npy")).unlink()
    before = snapshot(folder)
    with full(folder, 0):
        assert load_train(folder).ids.tolist() == expected
    assert snapshot(folder) == before
    assert not [file for file in os.listdir(folder) if ".partial" in file]


def test_a_packed_file_that_is_unpacked_on_the_disk(disk, monkeypatch):
    make_official(disk[0], n=10)
    pack(disk[0] / name("train", "x.h5"))
    monkeypatch.setattr(_h5, "_IN_MEMORY", 1000)
    check_refused(disk, load_train, match=r"_x\.h5 cannot be written")


@pytest.mark.slow
def test_patches_made_by_quickstart(disk):
    def write(folder):
        with atomic_folder(folder / "quickstart", list) as new:
            _write_kaggle_folder(new / "patches", 0)

    check_refused(disk, write, match="/quickstart cannot")

"""load_folder lists class folders as Keras does, and plain folders without labels."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pcam_sklearn import PatchReader
from pcam_sklearn.datasets import load_folder

pytestmark = pytest.mark.filterwarnings("ignore:the slides of the images:UserWarning")


def make(root, *names):
    """Write an image of its own gray for each name, and return the folder."""
    for value, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt" or not cv2.haveImageWriter(path.name):
            path.touch()
        else:
            cv2.imwrite(str(path), np.full((4, 4, 3), value, np.uint8))
    return root


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    data = load_folder(make(tmp_path, "tumor/a.png", "normal/b.png", "normal/a.png"))
    assert data.target_names == ["normal", "tumor"]
    assert data.ids.tolist() == ["normal/a.png", "normal/b.png", "tumor/a.png"]
    assert data.target.tolist() == [0, 0, 1]
    assert PatchReader().transform(data.paths)[:, 0, 0, 0].tolist() == [2, 1, 0]


@pytest.mark.slow
def test_classes_and_files_are_those_of_keras(tmp_path):
    from keras.utils import image_dataset_from_directory

    names = ("b/2.png", "b/10.png", "a/x.jpg", "a/sub/y.bmp", "a/Z.PNG", "a/sub.png", "b/n.txt")
    make(tmp_path, *names, "b/deep/er/1.jpeg", ".hidden/1.png", "empty/n.txt")
    (tmp_path / "empty" / "n.txt").unlink()
    (tmp_path / "empty").rmdir()
    make(tmp_path / ".elsewhere", "1.png", "deep/2.png")
    (tmp_path / "c").symlink_to(tmp_path / ".elsewhere", target_is_directory=True)
    theirs = image_dataset_from_directory(tmp_path, shuffle=False, verbose=False)
    data = load_folder(tmp_path)
    assert data.paths.tolist() == theirs.file_paths
    assert data.target_names == theirs.class_names
    assert data.target.tolist() == [int(y) for _, batch in theirs for y in batch]


def test_images_in_the_folder_itself_have_no_labels_and_their_names_as_ids(tmp_path):
    data = load_folder(make(tmp_path, "b 1.png", "a (2).tif", "C.JPG", "notes.txt", "._b.png"))
    assert data.ids.tolist() == ["C.JPG", "a (2).tif", "b 1.png"]
    assert data.target is None
    assert data.groups is None
    assert data.target_names == []


def test_every_ending_of_an_image_counts(tmp_path):
    names = ["a.tif", "b.tiff", "c.png", "d.jpg", "e.jpeg", "f.bmp", "g.webp", "h.ppm", "i.PNG"]
    names += ["j.jfif", "k.jpe", "l.pnm"]
    assert load_folder(make(tmp_path, *names, "m.gif", "n.csv")).ids.tolist() == names


def test_classes_may_be_named_in_another_order(tmp_path):
    make(tmp_path, "cancer/a.png", "healthy/a.png", "unsure/a.png")
    data = load_folder(tmp_path, class_names=["healthy", "cancer"])
    assert data.target_names == ["healthy", "cancer"]
    assert data.ids.tolist() == ["healthy/a.png", "cancer/a.png"]


def test_x_and_y_alone_are_the_paths_and_the_labels(tmp_path):
    make(tmp_path, "0/a.png", "1/a.png")
    paths, target = load_folder(tmp_path, return_X_y=True)
    assert paths.tolist() == [str(tmp_path / "0" / "a.png"), str(tmp_path / "1" / "a.png")]
    assert target.tolist() == [0, 1]


def test_the_description_counts(tmp_path):
    data = load_folder(make(tmp_path / "mine", "0/a.png", "1/a.png", "1/b.png"))
    assert "mine: 3 files, 1 0, 2 1, slides unknown" in data.DESCR


# Slides


@pytest.mark.parametrize("given", ["slides.csv", "a file", "a frame"])
def test_slides_are_joined_on_the_path_within_the_folder(tmp_path, given):
    make(tmp_path, "0/a.png", "1/a.png")
    table = pd.DataFrame({"id": ["1/a.png", "0/a.png"], "slide": ["s1", "s0"]})
    path = tmp_path / ("slides.csv" if given == "slides.csv" else "other.csv")
    table.to_csv(path, index=False)
    slides = {"slides.csv": None, "a file": path, "a frame": table}[given]
    assert load_folder(tmp_path, slides=slides).groups.tolist() == ["s0", "s1"]


def test_an_image_without_a_slide_is_an_error(tmp_path):
    make(tmp_path, "0/a.png", "1/a.png")
    slides = pd.DataFrame({"id": ["1/a.png", "0/a.png"], "slide": ["s1", None]})
    with pytest.raises(ValueError, match=r"no slide for 1 of the 2 .* patches: 0/a\.png"):
        load_folder(tmp_path, slides=slides)


@pytest.mark.filterwarnings("default")
def test_without_slides_a_warning_points_at_the_line_that_called(tmp_path):
    make(tmp_path, "0/a.png", "1/a.png")
    with pytest.warns(UserWarning, match=r"flatters the AUC .* pass slides=") as caught:
        load_folder(tmp_path)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("default")
def test_a_plain_folder_needs_no_slides(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_folder(make(tmp_path, "a.png"))


# Errors


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["notes.txt"], "holds no images: .* ends in .tif"),
        (["a/notes.txt", "b/notes.txt"], "holds no images"),
        (["only/a.png"], "the folder only alone, which is one class; pass that folder"),
        (["a.png", "0/a.png", "1/a.png"], "1 images and the folders of images 0, 1; move"),
        ([".hidden.png"], "holds no images"),
    ],
    ids=str,
)
def test_a_folder_that_says_nothing_certain_is_an_error(tmp_path, names, message):
    make(tmp_path, *names)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_folder(tmp_path)


def test_a_missing_folder_is_an_error():
    with pytest.raises(FileNotFoundError, match="no folder nowhere"):
        load_folder(Path("nowhere"))


@pytest.mark.parametrize("names", [["0", "2"], ["0", "0"], ["no"], [".."], ["0/.."]], ids=str)
def test_a_class_that_is_no_folder_is_an_error(tmp_path, names):
    make(tmp_path, "0/a.png", "1/a.png")
    with pytest.raises(ValueError, match=r"must name each once some of the folders .*: 0, 1"):
        load_folder(tmp_path, class_names=names)


def test_a_class_that_was_asked_for_and_is_empty_is_an_error(tmp_path):
    make(tmp_path, "0/a.png", "1/a.png", "2/notes.txt")
    with pytest.raises(FileNotFoundError, match="no images in the folders 2"):
        load_folder(tmp_path, class_names=["0", "2"])


def test_a_class_may_be_a_link_and_links_within_it_are_not_followed(tmp_path):
    make(tmp_path / "data", "0/a.png", "2/a.png")
    make(tmp_path / "elsewhere", "b.png")
    (tmp_path / "data" / "1").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "data" / "0" / "loop").symlink_to(tmp_path, target_is_directory=True)
    data = load_folder(tmp_path / "data")
    assert data.ids.tolist() == ["0/a.png", "1/b.png", "2/a.png"]
    assert PatchReader().transform(data.paths).shape[0] == 3

"""Train on folders by class, evaluate, and predict a plain folder of images."""

import cv2
import numpy as np
import pandas as pd
import pytest
from support.cli_runs import QUICK, TINY, as_json, cli, read_numbers, read_split

from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.persistence import load_model

pytestmark = pytest.mark.slow  # A model is trained.


@pytest.fixture(scope="module")
def by_class(kaggle, tmp_path_factory):
    """Return the training patches of `kaggle` as png files by class, with a table of slides."""
    root, data = tmp_path_factory.mktemp("by class"), load_kaggle(kaggle)
    for path, id_, label in zip(data.paths, data.ids, data.target, strict=True):
        new = root / "train" / str(label) / f"{id_}.png"
        new.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(new), cv2.imread(path))
    ids = [f"{label}/{id_}.png" for id_, label in zip(data.ids, data.target, strict=True)]
    table = pd.DataFrame({"id": ids, "slide": data.groups})
    table.to_csv(root / "slides of training.csv", index=False)
    return root


@pytest.fixture(scope="module")
def plain(kaggle, tmp_path_factory):
    """Return the test patches of `kaggle` as png files of other names."""
    root, data = tmp_path_factory.mktemp("plain"), load_kaggle(kaggle, "test")
    for number, path in enumerate(data.paths):
        cv2.imwrite(str(root / f"=patch {number}.png"), cv2.imread(path))
    return root


@pytest.fixture(scope="module")
def trained(by_class, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    slides = by_class / "slides of training.csv"
    cli("train", by_class, "--slides", slides, "--output", folder, *TINY)
    return folder


def test_a_run_on_folders_by_class_is_the_run_on_kaggle_s_layout(trained, run, kaggle):
    ours, theirs = read_split(trained), read_split(run)
    assert ours["id"].str.match(r"[01]/[0-9a-f]{40}\.png").all()
    assert set(ours["slide"]) == set(theirs["slide"])
    assert load_model(trained / "model.pcam").classes_.tolist() == [0, 1]


def test_evaluate_takes_folders_by_class_and_knows_what_the_run_has_seen(trained, by_class):
    slides = by_class / "slides of training.csv"
    options = ("--subset", "train", "--slides", slides, *QUICK)
    facts = as_json("evaluate", trained, by_class, *options)
    assert facts["patches"] == len(read_split(trained))
    assert facts["used_in_training"]["patches"] == (read_split(trained)["part"] != "test").sum()
    same = as_json("evaluate", trained, by_class / "train", "--slides", slides, *QUICK)
    assert same["metrics"] == facts["metrics"]
    assert same["used_in_training"] == facts["used_in_training"]


def test_predict_takes_a_folder_of_images_and_names_them(run, kaggle, plain, tmp_path):
    said = cli("predict", run, plain, "--output", tmp_path / "p.csv")
    written = read_numbers(tmp_path / "p.csv")
    assert written["id"].tolist() == [f"=patch {number}.png" for number in range(6)]
    pipeline = load_model(run / "model.pcam")
    expected = pipeline.predict_proba(load_kaggle(kaggle, "test").paths)[:, 1]
    np.testing.assert_array_equal(written["label"], expected)
    assert "6 ids begin with =, +, - or @" in " ".join(said.stderr.split())


def test_predict_takes_some_images_of_a_folder(run, plain, tmp_path):
    cli("predict", run, plain, "=patch 2.png", "--output", tmp_path / "p.csv")
    assert pd.read_csv(tmp_path / "p.csv")["id"].tolist() == ["=patch 2.png"]


def test_an_image_that_cannot_be_read_is_an_error_with_its_path(run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").write_bytes(b"II*\0 and nothing more")
    said = cli("predict", run, tmp_path / "in", "--output", tmp_path / "p.csv", code=2)
    assert "a.tif" in said.stderr
    assert not (tmp_path / "p.csv").exists()

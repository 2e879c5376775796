"""A ``~`` at the start of a path is the home folder of the user, in Python and in commands."""

import os
from pathlib import Path

import numpy as np
import pytest
from support.cli_runs import cli, make_kaggle
from support.model_files import built_pipeline
from support.official_files import make_official

from pcam_sklearn._files import atomic_path, expand_home
from pcam_sklearn.datasets import audit_patches, fetch_pcam, load_folder, load_kaggle, load_pcam
from pcam_sklearn.persistence import load_model, save_model
from pcam_sklearn.report import ModelCard
from pcam_sklearn.submission import write_submission


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Return the home folder; the folder in which the test runs is another one."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    yield home
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("path", ["a/~", "./~", "~no-such-user/a", "a~"])
def test_other_paths_stay_as_they_are_however_often_they_are_looked_at(path):
    once = expand_home(path)
    assert expand_home(once) == once
    assert once.absolute() == Path(path).absolute()


def test_kaggle_s_folder_and_its_slides_are_found(home):
    make_kaggle(home / "kaggle")
    ids = load_kaggle("~/kaggle").ids
    table = "".join(f"{id_},s{i}\n" for i, id_ in enumerate(ids))
    (home / "my slides.csv").write_text(f"id,slide\n{table}")
    data = load_kaggle("~/kaggle", slides="~/my slides.csv")
    assert data.paths[0].startswith(f"{home}/kaggle/train/")
    assert data.groups[0] == "s0"
    assert audit_patches("~/kaggle", progress=False).folder == home / "kaggle"


def test_a_folder_of_images_is_found(home):
    make_kaggle(home / "kaggle")
    assert load_folder("~/kaggle/test").paths[0].startswith(f"{home}/kaggle/test/")


def test_official_files_are_found(home):
    make_official(home / "pcam", "valid")
    assert len(load_pcam("~/pcam", "valid", progress=False).images)


def test_files_that_cannot_be_fetched_leave_no_folder_of_that_name(home):
    with pytest.raises(OSError, match="no connection"):
        fetch_pcam("~/pcam", ["valid"], base_url="http://127.0.0.1:9", retries=0, progress=False)
    assert os.listdir(home) == []


def test_files_are_written_there(home):
    with atomic_path("~/a.txt") as temporary:
        temporary.write_text("a")
    written = write_submission("~/b.csv", ["x", "y"], [0.2, 0.7])
    ModelCard("A model", []).write_html("~/c.html")
    ModelCard("A model", []).write_markdown("~/c.md")
    assert written == home / "b.csv"
    assert sorted(os.listdir(home)) == ["a.txt", "b.csv", "c.html", "c.md"]


def test_a_model_is_saved_and_loaded_there(home):
    save_model(built_pipeline(), "~/m.pcam")
    assert os.listdir(home) == ["m.pcam"]
    np.testing.assert_array_equal(load_model("~/m.pcam").classes_, [0, 1])


def test_commands_read_and_write_there(home):
    make_kaggle(home / "kaggle")
    save_model(built_pipeline(), home / "m.pcam")
    cli("predict", "~/m.pcam", "~/kaggle", "--output=~/sub.csv", "-q")
    cli("check", "~/kaggle", "--findings=~/f.csv", "-q")
    assert sorted(os.listdir(home)) == ["f.csv", "kaggle", "m.pcam", "sub.csv"]

"""The whole way from patches to a submission: quickstart, check, and four commands."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from support.cli_runs import TINY, cli
from support.other_process import run_python

from pcam_sklearn.cli._quickstart import _predict_in_a_new_process


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder that a short quickstart left, and what it printed."""
    folder = tmp_path_factory.mktemp("quick") / "start"
    return folder, cli("quickstart", "--output", folder, "--epochs", 1).stdout


@pytest.mark.slow
def test_quickstart_writes_the_model_the_submission_and_both_pictures(finished):
    folder, _ = finished
    for name in ("model.pcam", "submission.csv", "roc.png", "history.png"):
        assert (folder / name).stat().st_size > 0, name


@pytest.mark.slow
def test_the_pictures_of_quickstart_are_pictures(finished):
    folder, _ = finished
    for name in ("roc.png", "history.png"):
        assert min(cv2.imread(str(folder / name)).shape[:2]) > 200, name


@pytest.mark.slow
def test_the_submission_holds_one_probability_for_each_test_patch(finished):
    folder, _ = finished
    submission = pd.read_csv(folder / "submission.csv")
    patches = {path.stem for path in (folder / "patches" / "test").iterdir()}
    assert set(submission["id"]) == patches
    assert submission["label"].between(0, 1).all()


@pytest.mark.slow
def test_quickstart_says_how_well_it_did_on_patches_it_held_out(finished):
    _, said = finished
    assert "AUC" in said
    assert "held-out patches" in said


@pytest.mark.slow
def test_predict_gives_the_same_file_again(finished, tmp_path):
    folder, _ = finished
    again = tmp_path / "again.csv"
    cli("predict", folder / "model.pcam", folder / "patches", "--output", again)
    first, second = pd.read_csv(folder / "submission.csv"), pd.read_csv(again)
    assert list(first["id"]) == list(second["id"])
    np.testing.assert_allclose(first["label"], second["label"], atol=1e-6)


@pytest.mark.slow
def test_a_damaged_patch_ends_predict_with_its_name_and_no_file(finished, tmp_path):
    folder, _ = finished
    bad = tmp_path / "data" / "test" / ("0" * 40 + ".tif")
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no image")
    output = tmp_path / "submission.csv"
    model = folder / "model.pcam"
    said = cli("predict", model, tmp_path / "data", "--output", output, code=2)
    assert bad.name in said.stderr
    assert not output.exists()


@pytest.mark.slow
def test_quickstart_leaves_a_folder_that_exists_as_it_is(finished, tmp_path):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert "--overwrite" in cli("quickstart", "--output", folder, code=2).stderr
    (tmp_path / "letter.txt").touch()
    said = cli("quickstart", "--output", tmp_path, "--overwrite", code=2)
    assert "not overwritten" in said.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.slow
def test_the_new_process_of_quickstart_predicts_a_folder_with_the_name_of_a_word(
    finished, tmp_path, monkeypatch
):
    folder, _ = finished
    shutil.copytree(folder / "patches", tmp_path / "synthetic")
    monkeypatch.chdir(tmp_path)
    _predict_in_a_new_process(folder / "model.pcam", Path("./synthetic"), Path("s.csv"))
    assert (tmp_path / "s.csv").read_bytes() == (folder / "submission.csv").read_bytes()


def test_quickstart_tells_at_once_that_there_is_nothing_to_predict(tmp_path):
    (tmp_path / "train").mkdir()
    said = cli("quickstart", "--data", tmp_path, "--output", tmp_path / "deep/q", code=2)
    assert f"there is no folder {tmp_path / 'test'}" in said.stderr
    assert not (tmp_path / "deep").exists()


def test_quickstart_writes_into_no_run_folder(run):
    before = (run / "model.pcam").read_bytes()
    assert "exists" in cli("quickstart", "--output", run, code=2).stderr
    assert (run / "model.pcam").read_bytes() == before


def test_a_folder_that_is_not_there_is_refused_by_name():
    assert "no-such-folder" in cli("quickstart", "--data", "no-such-folder", code=2).stderr


@pytest.mark.slow
def test_four_commands_lead_from_real_patches_to_a_submission_and_a_card(sample_folder, tmp_path):
    run, submission, card = (tmp_path / name for name in ("run", "p.csv", "card.html"))
    cli("check", sample_folder)
    cli("train", sample_folder, "--output", run, *TINY)
    cli("predict", run, sample_folder, "--output", submission)
    cli("card", run, "--output", card)
    patches = {path.stem for path in (sample_folder / "test").iterdir()}
    assert set(pd.read_csv(submission)["id"]) == patches
    assert card.read_text().count("<img src=") == 4


@pytest.mark.slow
def test_check_finds_nothing_wrong_with_patches_made_by_quickstart(finished):
    folder, _ = finished
    assert "836" in cli("check", folder / "patches").stdout


@pytest.mark.slow
def test_check_ends_with_1_and_a_row_for_a_damaged_patch(finished, tmp_path):
    folder, _ = finished
    copy = shutil.copytree(folder / "patches", tmp_path / "patches")
    damaged = sorted((copy / "train").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    said = cli("check", copy, "--findings", tmp_path / "findings.csv", "--json", code=1)
    findings = pd.read_csv(tmp_path / "findings.csv").astype(str)
    assert len(findings) == 1
    assert damaged.stem in findings.iloc[0].str.cat(sep=" ")
    facts = json.loads(said.stdout)
    assert facts["ok"] is False
    assert [finding["id"] for finding in facts["findings"]] == [damaged.stem]


def test_check_replaces_a_file_only_on_request(sample_folder, tmp_path):
    labels = tmp_path / "train_labels.csv"
    labels.write_text("mine")
    said = cli("check", sample_folder, "--findings", labels, code=2)
    assert "train_labels.csv exists; pass another --findings, or --overwrite" in said.stderr
    assert labels.read_text() == "mine"
    cli("check", sample_folder, "--findings", labels, "--overwrite", "-q")
    assert labels.read_text() != "mine"


def test_check_of_a_folder_without_labels_ends_with_2(tmp_path):
    assert "train_labels.csv" in cli("check", tmp_path, code=2).stderr


@pytest.mark.slow
def test_quiet_leaves_the_result_alone(finished):
    folder, _ = finished
    said = cli("check", folder / "patches", "--quiet")
    assert said.stderr == ""
    assert "Found nothing wrong" in said.stdout


def test_the_module_is_the_command():
    printed, _ = run_python("-m", "pcam_sklearn", "--version")
    assert "pcam-sklearn" in printed

"""The command pcam-sklearn, run as a real process."""

import shutil
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest


def command(*arguments, check=True):
    return subprocess.run(
        [sys.executable, "-m", "pcam_sklearn", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=check,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder that a short quickstart left, and what it printed."""
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, command("quickstart", "--output", folder, "--epochs", 1).stdout


def test_quickstart_writes_the_model_the_submission_and_both_pictures(finished):
    folder, _ = finished
    for name in ("model.joblib", "submission.csv", "roc.png", "history.png"):
        assert (folder / name).stat().st_size > 0, name


def test_the_pictures_of_quickstart_are_pictures(finished):
    folder, _ = finished
    for name in ("roc.png", "history.png"):
        assert min(cv2.imread(str(folder / name)).shape[:2]) > 200, name


def test_the_submission_holds_one_probability_for_each_test_patch(finished):
    folder, _ = finished
    submission = pd.read_csv(folder / "submission.csv")
    patches = {path.stem for path in (folder / "patches" / "test").iterdir()}
    assert set(submission["id"]) == patches
    assert submission["label"].between(0, 1).all()


def test_quickstart_says_how_well_it_did_on_patches_it_held_out(finished):
    _, said = finished
    assert "AUC" in said
    assert "held out" in said


def test_predict_gives_the_same_file_again(finished, tmp_path):
    folder, _ = finished
    again = tmp_path / "again.csv"
    command("predict", folder / "model.joblib", folder / "patches", "--output", again)
    first, second = pd.read_csv(folder / "submission.csv"), pd.read_csv(again)
    assert list(first["id"]) == list(second["id"])
    np.testing.assert_allclose(first["label"], second["label"], atol=1e-6)


def test_a_damaged_patch_ends_predict_with_its_name_and_no_file(finished, tmp_path):
    folder, _ = finished
    bad = tmp_path / "data" / "test" / ("0" * 40 + ".tif")
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no image")
    output = tmp_path / "submission.csv"
    done = command(
        "predict", folder / "model.joblib", tmp_path / "data", "--output", output, check=False
    )
    assert done.returncode == 1
    assert bad.name in done.stderr
    assert not output.exists()


def test_a_folder_that_is_not_there_is_refused_by_name():
    done = command("quickstart", "--data", "no-such-folder", check=False)
    assert done.returncode == 2
    assert "no-such-folder" in done.stderr


def test_help_lists_the_commands():
    said = command("--help").stdout
    assert "quickstart" in said
    assert "predict" in said
    assert "not a medical device" in said


def test_quickstart_does_the_same_on_real_patches(small_sample, tmp_path):
    command("quickstart", "--data", small_sample, "--output", tmp_path, "--epochs", 1)
    submission = pd.read_csv(tmp_path / "submission.csv")
    assert len(submission) == len(list((small_sample / "test").iterdir()))


def test_check_finds_nothing_wrong_with_patches_made_by_quickstart(finished):
    folder, _ = finished
    assert "836" in command("check", folder / "patches").stdout


def test_check_ends_with_1_and_a_row_for_a_damaged_patch(finished, tmp_path):
    folder, _ = finished
    copy = shutil.copytree(folder / "patches", tmp_path / "patches")
    damaged = sorted((copy / "train").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    done = command("check", copy, "--findings", tmp_path / "findings.csv", check=False)
    assert done.returncode == 1
    findings = pd.read_csv(tmp_path / "findings.csv").astype(str)
    assert len(findings) == 1
    assert damaged.stem in findings.iloc[0].str.cat(sep=" ")


def test_check_of_a_folder_without_labels_ends_with_2(tmp_path):
    done = command("check", tmp_path, check=False)
    assert done.returncode == 2
    assert "train_labels.csv" in done.stderr or "train" in done.stderr

"""The command pcam-sklearn, run as a real process."""

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

"""Train on patches, and write a run folder."""

import json
import os
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from support.cli_runs import (
    ENVIRONMENT,
    FILES,
    TINY,
    cli,
    contents,
    make_kaggle,
    read_numbers,
    read_split,
)
from support.official_files import make_official
from support.other_process import start_python

from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.metrics import choose_operating_point
from pcam_sklearn.persistence import load_model
from pcam_sklearn.report import hash_patches, stain_of_slides

pytestmark = pytest.mark.slow  # A model is trained.


@pytest.fixture(scope="module")
def evaluation(run):
    return json.loads((run / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def without_slides(tmp_path_factory):
    """Return a run on patches of unknown slides, and what the command said."""
    folder = tmp_path_factory.mktemp("without")
    data = make_kaggle(folder / "data", slides=False)
    said = cli("train", data, "--output", folder / "run", *TINY)
    return folder / "run", said


def test_train_writes_every_file_of_a_run_folder_and_nothing_else(run):
    assert contents(run) == FILES


def test_train_ends_with_a_summary_and_the_path_of_the_card(without_slides):
    folder, said = without_slides
    assert "AUC" in said.stdout
    assert said.stdout.endswith(f"Written to {folder}\nModel card: {folder / 'card.html'}\n")
    assert (folder / "card.html").exists()


def test_train_says_what_it_does_before_each_step_that_takes_seconds(without_slides):
    _, said = without_slides
    steps = ["loading Keras", "reading ", "measuring", "writing the run"]
    places = [said.stderr.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_nothing_but_the_run_folder_is_left_beside_it(run):
    assert contents(run.parent) == ["run"]


def test_the_pictures_of_a_run_are_pictures(run):
    for path in run.glob("*.png"):
        assert min(cv2.imread(str(path)).shape[:2]) > 200, path.name


def test_the_markdown_card_finds_its_pictures_in_the_run_folder(run):
    text = (run / "card.md").read_text()
    for name in ("roc", "reliability", "most-wrong", "history"):
        assert f"(<{name}.png>)" in text


def test_no_slide_is_in_two_parts(run):
    parts_of_slide = read_split(run).groupby("slide")["part"].nunique()
    assert (parts_of_slide == 1).all()


def test_the_split_names_every_patch_once(run, kaggle):
    split = read_split(run)
    assert sorted(split["id"]) == sorted(load_kaggle(kaggle).ids)
    assert set(split["part"]) == {"training", "threshold", "test"}


def test_predictions_are_those_of_the_saved_model_on_the_patches_held_out(run, kaggle):
    predictions = read_numbers(run / "predictions.csv")
    held_out = read_split(run).query("part == 'test'")
    assert set(predictions["id"]) == set(held_out["id"])
    model = load_model(run / "model.pcam")
    paths = [str(kaggle / "train" / f"{id_}.tif") for id_ in predictions["id"]]
    np.testing.assert_array_equal(model.predict_proba(paths)[:, 1], predictions["probability"])


def test_predictions_hold_the_colour_groups_of_the_slides_held_out(run, kaggle):
    predictions = read_numbers(run / "predictions.csv")
    paths = [str(kaggle / "train" / f"{id_}.tif") for id_ in predictions["id"]]
    expected = stain_of_slides(paths, predictions["slide"])
    np.testing.assert_array_equal(predictions["stain"], expected)


def test_the_threshold_is_the_one_chosen_on_the_second_part(run, kaggle, evaluation):
    data = load_kaggle(kaggle)
    rows = np.isin(data.ids, read_split(run).query("part == 'threshold'")["id"])
    scores = load_model(run / "model.pcam").predict_proba(data.paths[rows])[:, 1]
    point = choose_operating_point(data.target[rows], scores, specificity=0.6)
    assert evaluation["operating_point"] == vars(point)


def test_evaluation_json_holds_what_the_predictions_give(run, evaluation):
    predictions = read_numbers(run / "predictions.csv")
    label, score = predictions["label"], predictions["probability"]
    assert evaluation["metrics"]["roc_auc"]["estimate"] == pytest.approx(
        roc_auc_score(label, score), abs=1e-12
    )
    called = score >= evaluation["operating_point"]["threshold"]
    assert evaluation["counts"]["tp"] == int((called & (label == 1)).sum())
    assert evaluation["counts"]["fp"] == int((called & (label == 0)).sum())
    assert evaluation["intervals_over"] == "slides"


def test_the_card_names_the_hash_of_the_data(run, kaggle):
    assert hash_patches(load_kaggle(kaggle).paths) in (run / "card.html").read_text()


def test_the_card_holds_no_path_of_the_machine(run, kaggle):
    assert str(kaggle.parent) not in (run / "card.html").read_text()


def test_history_has_a_row_for_each_epoch(run):
    history = pd.read_csv(run / "history.csv")
    assert history["epoch"].tolist() == [1]
    assert "loss" in history


def test_a_run_reproduced_from_its_config_has_the_same_predictions(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli("train", "--config", run / "config.json", "--output", "again")
    first, again = run / "predictions.csv", tmp_path / "again" / "predictions.csv"
    assert first.read_bytes() == again.read_bytes()
    assert (run / "config.json").read_text() == (tmp_path / "again" / "config.json").read_text()


def test_options_come_on_top_of_a_config(run, tmp_path):
    more = ["--epochs", 2, "--random-state", 5, "--set", "cnnclassifier__dropout=0.1"]
    cli("train", "--config", run / "config.json", "--output", tmp_path / "more", *more)
    before, after = (
        json.loads((folder / "config.json").read_text()) for folder in (run, tmp_path / "more")
    )
    changed = {k for k, v in after["parameters"].items() if before["parameters"][k] != v}
    names = {f"cnnclassifier__{name}" for name in ("epochs", "random_state", "dropout")}
    assert changed == names
    assert after["options"]["random_state"] == 5


def test_the_classifier_is_told_the_slides_to_hold_out_whole_ones(run):
    split = read_split(run).query("part == 'training'")
    fitted = load_model(run / "model.pcam")[-1]
    assert set(fitted.groups_) == set(split["slide"])


def test_a_run_leaves_the_progress_out_of_the_saved_model(run):
    assert load_model(run / "model.pcam").get_params()["cnnclassifier__verbose"] == 0


def test_without_slides_the_output_and_the_card_say_that_the_split_is_by_patch(without_slides):
    folder, said = without_slides
    assert "At random by patch, since the slides are not known" in said.stderr
    assert "At random by patch, since the slides are not known" in (folder / "card.md").read_text()


def test_without_slides_the_same_files_are_written(without_slides):
    folder, _ = without_slides
    assert contents(folder) == FILES
    assert set(read_split(folder)["slide"]) == {""}


def test_official_files_are_trained_on_where_they_are(tmp_path):
    make_official(tmp_path / "pcam", n=96)
    cli("train", tmp_path / "pcam", "--output", tmp_path / "run", *TINY, "--test-fraction", 0.5)
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["slides"] == 2
    assert evaluation["name"] == "held-out part of pcam (train)"
    options = ["--split", "train", "--unseen", "--rounds", 100, "--json"]
    again = json.loads(cli("evaluate", tmp_path / "run", tmp_path / "pcam", *options).stdout)
    assert again["metrics"] == evaluation["metrics"]


def test_a_run_folder_that_is_there_is_left_alone(run, kaggle):
    before = (run / "model.pcam").stat().st_mtime_ns
    said = cli("train", kaggle, "--output", run, *TINY, code=2)
    assert "--overwrite" in said.stderr
    assert (run / "model.pcam").stat().st_mtime_ns == before


def test_a_parameter_without_its_step_is_named_with_it(kaggle, tmp_path):
    said = cli("train", kaggle, "--output", tmp_path / "run", "--set", "dropout=0.3", code=2)
    assert "cnnclassifier__dropout" in said.stderr
    assert contents(tmp_path) == []


def test_a_network_that_is_not_there_leaves_no_folder(kaggle, tmp_path):
    said = cli("train", kaggle, "--output", tmp_path / "run", "--network", "resnet", code=2)
    assert "'resnet'" in said.stderr
    assert contents(tmp_path) == []


def test_an_operating_point_of_another_kind_is_refused_with_what_to_type(kaggle, tmp_path):
    said = cli(
        "train", kaggle, "--output", tmp_path / "run", "--operating-point", "ppv=0.9", code=2
    )
    assert "specificity=0.95" in said.stderr


def heed_signals():
    """Undo the shell's setting for background jobs, which ignore Ctrl-C and pass that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def training(kaggle, tmp_path):
    """Return a process that trains into a folder "run" for a long time."""
    command = [sys.executable, "-m", "pcam_sklearn", "train", kaggle, "--output", "run"]
    process = subprocess.Popen(
        [str(word) for word in [*command, *TINY, "--epochs", 50_000]],
        cwd=tmp_path,
        env={**os.environ, **ENVIRONMENT},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    with process:
        for line in process.stderr:
            if "poch 2" in line:  # It trains.
                break
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)], ids=str
)
def test_a_signal_while_training_leaves_no_half_run_and_is_the_exit_code(
    training, tmp_path, name, code
):
    training.send_signal(getattr(signal, name))
    said = training.stderr.read()
    assert training.wait() == code, said
    assert "Nothing is left half written" in said
    assert "go on with --resume" in said
    assert contents(tmp_path) == [".run.partial"]
    assert contents(tmp_path / ".run.partial") == [".lock", "checkpoint", "config.json"]


@pytest.mark.parametrize("command", ["train", "tune"])
def test_a_second_run_into_the_same_folder_is_refused_before_it_reads_data(
    training, tmp_path, command
):
    said = cli(command, tmp_path / "no-data", "--output", tmp_path / "run", code=2)
    assert f"another process is writing {tmp_path / 'run'};" in said.stderr
    assert training.poll() is None


def test_what_a_killed_run_left_is_removed_by_the_next_one_which_says_so(
    training, kaggle, tmp_path
):
    training.kill()
    training.wait()
    assert contents(tmp_path) == [".run.partial"]
    said = cli("train", kaggle, "--output", tmp_path / "run", *TINY)
    assert "which a run that ended early had left" in " ".join(said.stderr.split())
    assert contents(tmp_path) == ["run"]
    assert contents(tmp_path / "run") == FILES


def test_a_run_folder_with_a_foreign_file_is_refused_before_it_reads_data(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "thesis.docx").touch()
    said = cli("train", tmp_path / "no-data", "--output", copy, "--overwrite", code=2)
    assert "thesis.docx" in said.stderr


def test_a_checkpoint_folder_of_ones_own_is_refused_with_what_to_type(kaggle, tmp_path):
    setting = "cnnclassifier__checkpoint_dir=here"
    said = cli("train", kaggle, "--output", tmp_path / "run", "--set", setting, code=2)
    assert "--resume" in said.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_fit_gets_a_checkpoint_folder_that_no_file_of_the_run_names(
    kaggle, tmp_path, monkeypatch
):
    given = []
    fit = Pipeline.fit
    monkeypatch.setattr(
        Pipeline,
        "fit",
        lambda self, *args, **named: (
            given.append(self[-1].checkpoint_dir) or fit(self, *args, **named)
        ),
    )
    cli("train", kaggle, "--output", tmp_path / "run", *TINY, "--resume")
    assert given == [tmp_path / ".run.partial" / "checkpoint"]
    assert contents(tmp_path) == ["run"]
    assert contents(tmp_path / "run") == FILES
    assert "checkpoint" not in (tmp_path / "run" / "config.json").read_text()
    assert load_model(tmp_path / "run" / "model.pcam")[-1].checkpoint_dir is None


def test_a_run_that_was_killed_ends_with_resume_as_one_that_was_not(kaggle, tmp_path):
    options = [*TINY, "--epochs", 30]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    cli("train", kaggle, "--output", undisturbed, *options)
    command = ["train", kaggle, "--output", killed, *options, "--resume"]
    with start_python("-m", "pcam_sklearn", *map(str, command)) as process:
        for line in process.stderr:
            if "poch 3" in line:
                process.kill()
                break
        process.communicate()
    assert contents(tmp_path) == [".killed.partial", "undisturbed"]
    assert "Resuming the run" in cli(*command).stderr
    assert contents(tmp_path) == ["killed", "undisturbed"]
    for name in ("predictions.csv", "history.csv", "config.json"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes(), name


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (OSError("full"), 2)])
def test_a_run_that_ends_after_its_fit_does_not_train_again(
    error, code, kaggle, tmp_path, monkeypatch
):
    cli("train", kaggle, "--output", tmp_path / "undisturbed", *TINY)
    command = ["train", kaggle, "--output", tmp_path / "ended", *TINY]

    def end(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("pcam_sklearn.cli._training_run._choose_threshold", end)
        said = cli(*command, code=code)
    assert "go on with --resume" in " ".join(said.stderr.split())
    said = cli(*command, "--resume").stderr
    assert "Resuming the run" in said
    assert "poch 1" not in said
    for name in ("predictions.csv", "history.csv", "config.json"):
        expected = (tmp_path / "undisturbed" / name).read_bytes()
        assert (tmp_path / "ended" / name).read_bytes() == expected, name

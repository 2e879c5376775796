"""Write a run folder whole or not at all, and go on with one that was interrupted."""

import json

import numpy as np
import pytest
from support.cli_runs import contents

from pcam_sklearn.cli._manifest import write_manifest
from pcam_sklearn.cli._measure import evaluation_facts
from pcam_sklearn.cli._output import Output, to_json
from pcam_sklearn.cli._run_folder import new_run_folder
from pcam_sklearn.cli._run_model import operating_point_from_facts
from pcam_sklearn.metrics import OperatingPoint, choose_operating_point
from pcam_sklearn.report import evaluate_predictions

OUT = Output(as_json=False, quiet=False)
CONFIG = {"options": {"data": "synthetic"}, "parameters": {"epochs": 3}}


def make_old_run(folder):
    folder.mkdir()
    for name in ("model.pcam", "config.json", "evaluation.json", "split.csv"):
        (folder / name).write_text("old")
    write_manifest(folder)
    return folder


def new_run(tmp_path, *, overwrite=False):
    return new_run_folder(tmp_path / "run", overwrite=overwrite, out=OUT)


def interrupt(tmp_path, error=KeyboardInterrupt, *, epochs=True, resume=False):
    """Start a run that ends early, by default after it has kept an epoch."""

    def end_early():
        with new_run(tmp_path) as run:
            (run.start() / "half").touch()
            with run.checkpoint(CONFIG, resume=resume) as checkpoint:
                if epochs:
                    checkpoint.mkdir()
                    (checkpoint / "epoch").write_text("1")
                raise error

    with pytest.raises(error) as caught:
        end_early()
    return caught.value


def test_a_run_folder_appears_when_the_block_ends(tmp_path):
    with new_run(tmp_path) as run:
        (run.start() / "file").write_text("new")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "file").read_text() == "new"
    assert contents(tmp_path) == ["run"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_run_folder_does_not_appear_after_an_error(tmp_path, error):
    with pytest.raises(error), new_run(tmp_path) as run:
        raise error((run.start() / "file").write_text("half"))
    assert contents(tmp_path) == []


def test_an_error_in_training_leaves_nothing(tmp_path):
    interrupt(tmp_path, ValueError)
    assert contents(tmp_path) == []


@pytest.mark.parametrize(("error", "resume"), [(KeyboardInterrupt, False), (ValueError, True)])
def test_whole_epochs_stay_after_an_interruption_and_with_resume_after_errors(
    tmp_path, error, resume
):
    notes = " ".join(interrupt(tmp_path, error, resume=resume).__notes__)
    assert contents(tmp_path) == [".run.partial"]
    assert contents(tmp_path / ".run.partial") == [".lock", "checkpoint", "config.json"]
    assert ".run.partial: go on with --resume" in notes


def test_an_interruption_before_the_first_epoch_leaves_nothing(tmp_path):
    interrupt(tmp_path, epochs=False)
    assert contents(tmp_path) == []


def test_a_run_goes_on_with_the_checkpoint_of_the_one_before(tmp_path, capsys):
    interrupt(tmp_path)
    with new_run(tmp_path) as run:
        folder = run.resume(CONFIG)
        with run.checkpoint(CONFIG, resume=True) as checkpoint:
            assert (checkpoint / "epoch").read_text() == "1"
        assert contents(folder) == []
        (folder / "file").touch()
    assert contents(tmp_path) == ["run"]
    assert contents(tmp_path / "run") == ["file"]
    assert "Resuming the run of" in capsys.readouterr().err


def test_a_run_that_is_not_resumed_removes_the_checkpoint_and_says_so(tmp_path, capsys):
    interrupt(tmp_path)
    with new_run(tmp_path) as run:
        run.start()
        assert contents(tmp_path / ".run.partial") == [".lock", "new"]
    assert "which a run that ended early had left" in " ".join(capsys.readouterr().err.split())


def test_a_run_with_nothing_to_resume_starts_and_says_so(tmp_path, capsys):
    with new_run(tmp_path) as run:
        run.resume(CONFIG)
    assert "There is no run to resume" in capsys.readouterr().err
    assert contents(tmp_path) == ["run"]


@pytest.mark.parametrize("part", ["options", "parameters"])
def test_a_run_with_other_options_is_not_resumed_and_its_epochs_stay(tmp_path, part):
    interrupt(tmp_path)
    other = {**CONFIG, part: dict.fromkeys(CONFIG[part], 7)}
    name, value = next(iter(CONFIG[part].items()))
    with (
        pytest.raises(ValueError, match=f"{name} was {value!r} and is 7; pass the same ones"),
        new_run(tmp_path) as run,
    ):
        run.resume(other)
    assert "checkpoint" in contents(tmp_path / ".run.partial")


def test_a_damaged_record_of_the_options_is_an_error_that_names_it(tmp_path):
    interrupt(tmp_path)
    (tmp_path / ".run.partial" / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"), new_run(tmp_path) as run:
        run.resume(CONFIG)


def test_a_run_that_is_refused_keeps_the_epochs_of_the_one_before(tmp_path):
    interrupt(tmp_path)
    make_old_run(tmp_path / "run")
    with pytest.raises(FileExistsError, match="or --overwrite"), new_run(tmp_path):
        pytest.fail("the block must not be entered")
    assert "checkpoint" in contents(tmp_path / ".run.partial")


def test_overwriting_replaces_a_run_folder(tmp_path):
    make_old_run(tmp_path / "run")
    with new_run(tmp_path, overwrite=True) as run:
        (run.start() / "file").write_text("new")
    assert contents(tmp_path / "run") == ["file"]
    assert contents(tmp_path) == ["run"]


def test_an_error_while_overwriting_leaves_the_old_run(tmp_path):
    make_old_run(tmp_path / "run")
    with pytest.raises(ValueError), new_run(tmp_path, overwrite=True) as run:  # noqa: PT011
        raise ValueError(run.start())
    assert (tmp_path / "run" / "model.pcam").read_text() == "old"


def test_a_folder_that_is_not_a_run_is_never_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "dear.txt").touch()
    with (
        pytest.raises(FileExistsError, match="not a run folder"),
        new_run(tmp_path, overwrite=True),
    ):
        pytest.fail("the block must not be entered")
    assert contents(tmp_path / "run") == ["dear.txt"]


@pytest.mark.parametrize("make", ["mkdir", "touch"])
def test_a_run_folder_with_something_else_in_it_is_not_overwritten(tmp_path, make):
    getattr(make_old_run(tmp_path / "run") / "letters", make)()
    with pytest.raises(FileExistsError, match="wrote: letters"), new_run(tmp_path, overwrite=True):
        pytest.fail("the block must not be entered")
    assert "letters" in contents(tmp_path / "run")


def test_something_put_into_a_run_folder_meanwhile_is_kept(tmp_path):
    make_old_run(tmp_path / "run")
    with (
        pytest.raises(FileExistsError, match="wrote: letter"),
        new_run(tmp_path, overwrite=True) as run,
    ):
        (run.start().parents[1] / "run" / "letter").touch()
    assert "letter" in contents(tmp_path / "run")


def test_a_second_run_into_the_same_folder_is_refused_while_one_is_running(tmp_path):
    with (
        new_run(tmp_path) as run,
        pytest.raises(BlockingIOError, match=r"another process is writing .*/run;"),
        new_run(tmp_path, overwrite=run.start().is_file()),
    ):
        pytest.fail("the block must not be entered")


def test_a_run_folder_needs_an_existing_parent(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="create it first"),
        new_run_folder(tmp_path / "none" / "run", overwrite=False, out=OUT),
    ):
        pytest.fail("the block must not be entered")


def test_json_has_null_for_nan_and_infinity_and_plain_values_for_numpy():
    facts = {"a": np.float64("nan"), "b": np.int64(3), "c": [np.inf, np.True_], "d": {"é": None}}
    assert json.loads(to_json(facts)) == {"a": None, "b": 3, "c": [None, True], "d": {"é": None}}


@pytest.mark.parametrize("specificity", [0.5, 1.0], ids=["finite", "infinite"])
def test_an_operating_point_comes_back_from_json_even_if_no_score_reaches_it(specificity):
    y, score = [0, 1, 1, 0], [0.1, 0.4, 0.6, 0.9]
    point = choose_operating_point(y, score, specificity=specificity)
    facts = evaluation_facts(evaluate_predictions(y, score, operating_point=point))
    again = operating_point_from_facts(json.loads(to_json(facts))["operating_point"])
    assert isinstance(again, OperatingPoint)
    assert again == point

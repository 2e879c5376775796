"""Write a run folder whole or not at all, and read a model from it."""

import json

import joblib
import numpy as np
import pytest
from support.cli_runs import cli

from pcam_sklearn.cli._measure import evaluation_facts
from pcam_sklearn.cli._output import to_json
from pcam_sklearn.cli._run_folder import new_run_folder, operating_point_from_facts
from pcam_sklearn.metrics import OperatingPoint, choose_operating_point
from pcam_sklearn.report import evaluate_predictions


def make_old_run(folder):
    folder.mkdir()
    for name in ("model.joblib", "config.json", "evaluation.json", "split.csv"):
        (folder / name).write_text("old")


def test_a_run_folder_appears_when_the_block_ends(tmp_path):
    with new_run_folder(tmp_path / "run", overwrite=False) as folder:
        (folder / "file").write_text("new")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_run_folder_does_not_appear_after_an_error(tmp_path, error):
    with pytest.raises(error), new_run_folder(tmp_path / "run", overwrite=False) as folder:
        raise error((folder / "file").write_text("half"))
    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_a_run_folder(tmp_path):
    make_old_run(tmp_path / "run")
    with new_run_folder(tmp_path / "run", overwrite=True) as folder:
        (folder / "file").write_text("new")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_error_while_overwriting_leaves_the_old_run(tmp_path):
    make_old_run(tmp_path / "run")
    with pytest.raises(ValueError), new_run_folder(tmp_path / "run", overwrite=True):  # noqa: PT011
        raise ValueError
    assert (tmp_path / "run" / "model.joblib").read_text() == "old"


def test_a_folder_that_is_not_a_run_is_never_overwritten(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").touch()
    with (
        pytest.raises(FileExistsError, match="not a run folder"),
        new_run_folder(tmp_path / "letters", overwrite=True),
    ):
        pass
    assert (tmp_path / "letters" / "dear.txt").is_file()


def test_a_run_folder_needs_an_existing_parent(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="create it first"),
        new_run_folder(tmp_path / "none" / "run", overwrite=False),
    ):
        pass


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


@pytest.mark.parametrize("content", [b"no pickle", b""])
def test_a_file_that_is_not_a_model_is_an_error_with_its_name(others, tmp_path, content):
    (tmp_path / "bad.joblib").write_bytes(content)
    said = cli("evaluate", tmp_path / "bad.joblib", others, code=2)
    assert "bad.joblib" in said.stderr


def test_a_file_with_another_object_is_an_error_with_its_type(others, tmp_path):
    joblib.dump({"weights": 1}, tmp_path / "dict.joblib")
    said = cli("evaluate", tmp_path / "dict.joblib", others, code=2)
    assert "dict" in said.stderr


def test_a_folder_that_is_not_a_run_is_an_error_that_names_the_missing_files(others, tmp_path):
    said = cli("evaluate", tmp_path, others, code=2)
    assert "model.joblib" in said.stderr

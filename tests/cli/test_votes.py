"""The commands on a model that is a vote of several networks."""

import shutil

import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from support.cli_runs import QUICK, as_json, cli, read_numbers
from support.model_files import built_pipeline

from pcam_sklearn import PatchReader
from pcam_sklearn.cli._manifest import write_manifest
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.persistence import load_model, save_model

pytestmark = pytest.mark.slow  # A model is trained.


@pytest.fixture(scope="module")
def vote(run, kaggle):
    """Return the network of a run, and another one, in a vote on the same patches."""
    other = built_pipeline().set_params(centercropnormalizer__input_size=96)
    members = {"run": load_model(run / "model.pcam"), "other": other}
    named = [(name, FrozenEstimator(member[1:])) for name, member in members.items()]
    data = load_kaggle(kaggle)
    voting = VotingClassifier(named, voting="soft", weights=[3, 1])
    return make_pipeline(PatchReader(), voting).fit(data.paths, data.target)


@pytest.fixture(scope="module")
def file(vote, tmp_path_factory):
    path = tmp_path_factory.mktemp("votes") / "vote.pcam"
    save_model(vote, path)
    return path


def test_predict_writes_the_probabilities_of_a_vote(file, vote, kaggle, tmp_path):
    cli("predict", file, kaggle, "--output", tmp_path / "p.csv")
    test = load_kaggle(kaggle, subset="test")
    expected = vote.predict_proba(test.paths)[:, 1]
    np.testing.assert_array_equal(read_numbers(tmp_path / "p.csv")["label"], expected)


def test_evaluate_measures_a_vote(file, others):
    assert 0 <= as_json("evaluate", file, others, *QUICK)["metrics"]["roc_auc"]["estimate"] <= 1


def test_the_card_of_a_vote_lists_its_networks(file, others, tmp_path):
    cli("card", file, others, "--output", tmp_path / "card.md", *QUICK)
    text = (tmp_path / "card.md").read_text()
    assert "| fact | run | other |" in text
    assert "votingclassifier\\_\\_weights" in text


def test_a_run_folder_may_hold_a_vote(run, file, others, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    shutil.copy(file, folder / "model.pcam")
    write_manifest(folder)
    assert as_json("evaluate", folder, others, *QUICK)["operating_point"] is not None
    cli("card", folder, "--output", tmp_path / "card.html")
    cli("predict", folder, others, "--output", tmp_path / "p.csv")


@pytest.mark.parametrize("command", ["evaluate", "predict", "card"])
def test_a_vote_of_labels_is_refused_with_what_to_type(command, vote, others, tmp_path):
    hard = tmp_path / "hard.pcam"
    save_model(make_pipeline(vote[0], vote[1].set_params(voting="hard")), hard)
    vote[1].set_params(voting="soft")
    said = cli(command, hard, others, code=2).stderr
    assert "type set_params(voting='soft')" in " ".join(said.split())

"""Estimators that vote in a model file: all that decides a vote comes back, and is checked."""

import os

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from support.model_files import X, Y, blend, built_pipeline, put_together, take_apart
from support.tiny import quick

from pcam_sklearn.persistence import ModelFileError, load_model, save_model
from pcam_sklearn.persistence._kinds import KINDS
from pcam_sklearn.persistence._nodes import MOST_HELD, MOST_NODES, Writer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pcam"


@pytest.fixture(scope="module")
def members():
    """Return two pipelines that disagree."""
    return built_pipeline(), built_pipeline(random_state=1)


@pytest.fixture(scope="module")
def voting(members):
    return blend(*members, reader=False, weights=[1, 3])


def again(estimator, path):
    save_model(estimator, path)
    return load_model(path)


@pytest.mark.parametrize("options", [{"voting": "hard"}, {"flatten_transform": False}], ids=str)
def test_transform_and_labels_come_back(options, members, path):
    voting = blend(*members, reader=False, weights=np.array([1.0, 3.0]), **options)
    back = again(voting, path)
    np.testing.assert_array_equal(back.predict(X), voting.predict(X))
    np.testing.assert_array_equal(back.transform(X), voting.transform(X))
    assert hasattr(back, "predict_proba") == hasattr(voting, "predict_proba")


def test_parameters_and_what_was_learned_come_back(voting, path):
    voting = clone(voting).fit(X, Y).set_params(n_jobs=2, verbose=1)
    back = again(voting, path)
    for name in ("voting", "weights", "n_jobs", "flatten_transform", "verbose"):
        assert getattr(back, name) == getattr(voting, name), name
    assert vars(back).keys() == vars(voting).keys()
    assert [name for name, _ in back.estimators] == ["m0", "m1"]
    assert list(back.named_estimators_) == ["m0", "m1"]
    assert back.named_estimators_.m1 is back.estimators_[1]
    assert back.get_params()["m0"] is back.estimators[0][1]


@pytest.mark.parametrize("labels", [["healthy", "tumour"], [False, True], [1.0, 2.0]], ids=str)
def test_labels_keep_their_dtype(labels, members, path):
    labels = np.array(labels)
    voting = blend(*members, reader=False, labels=labels[Y])
    back = again(voting, path)
    assert back.classes_.dtype == labels.dtype
    np.testing.assert_array_equal(back.predict(X), voting.predict(X))


def test_members_that_were_trained_on_text_vote_softly_alone(path):
    labels = np.array(["healthy", "tumour"])[Y]
    voting = blend(built_pipeline(labels), reader=False, labels=labels)
    np.testing.assert_array_equal(again(voting, path).predict(X), voting.predict(X))
    with pytest.raises(ModelFileError, match=r"'m0' has no predict for the classes \[0, 1\]"):
        save_model(voting.set_params(voting="hard"), path)


def test_a_dropped_member_stays_dropped(voting, members, path):
    dropped = clone(voting).set_params(m0="drop").fit(X, Y)
    back = again(dropped, path)
    assert back.named_estimators_["m0"] == "drop"
    assert len(back.estimators_) == 1
    np.testing.assert_array_equal(back.predict_proba(X), members[1].predict_proba(X))


def test_a_member_that_was_dropped_after_the_fit_is_refused_with_weights(voting, path):
    changed = clone(voting).fit(X, Y).set_params(m0="drop")
    with pytest.raises(ModelFileError, match=r"weights=\[1, 3\] .* fit it again"):
        save_model(changed, path)


@pytest.mark.parametrize("weights", [[-1, 2], [0, 0], [float("nan"), 1], [1]], ids=str)
def test_weights_that_make_no_probabilities_are_refused(weights, voting, path):
    changed = clone(voting).fit(X, Y).set_params(weights=weights)
    with pytest.raises(ModelFileError, match="weights"):
        save_model(changed, path)


def test_votes_nest_and_may_wait_for_their_fit_inside_a_frozen_estimator(voting, path):
    unfitted = VotingClassifier([("a", quick(network="notebook")), ("b", "drop")])
    outer = blend(voting, reader=False)
    outer.estimators = [("m0", unfitted)]
    back = again(outer, path)
    np.testing.assert_array_equal(back.predict_proba(X), voting.predict_proba(X))
    assert not hasattr(back.estimators[0][1], "estimators_")


def test_members_that_fit_did_not_name_are_refused_with_the_way_to_blend_fitted_ones(members, path):
    voting = VotingClassifier([("a", members[0])], voting="soft")
    voting.estimators_, voting.classes_ = list(members), np.array([0, 1])
    with pytest.raises(
        ModelFileError, match=r"FrozenEstimator\(fitted\)\), \.\.\.\]\)\.fit\(X, y\)"
    ):
        save_model(voting, path)


def test_a_vote_counts_three_classes_never(members, path):
    voting = blend(*members, reader=False, labels=np.arange(len(Y)) % 3)
    with pytest.raises(ModelFileError, match=r"classes_ must be two different sorted labels"):
        save_model(voting, path)


# Files made to hurt


@pytest.fixture
def forged(voting, path):
    """Return a function that edits the node of a vote, and returns the file that says so."""

    def forge(edit):
        save_model(voting, path)
        members, manifest = take_apart(path)
        edit(manifest["estimators"])
        return put_together(path, members, manifest)

    return forge


def refused(path, match):
    with pytest.raises(ModelFileError, match=match) as error:
        load_model(path)
    assert os.fspath(path) in str(error.value)


@pytest.mark.parametrize(
    ("part", "value", "match"),
    [
        ("fitted", [], "names of a VotingClassifier's members"),
        ("fitted", [["m0", "drop"]], "no member that votes"),
        ("fitted", [["m0", 0]], "'m0' has no predict_proba for the classes"),
        ("fitted", [["m0", 3], ["m0", 3]], "names of a VotingClassifier's members"),
        ("fitted", [["m0", 3]], "weights=.* must be one for each member"),
        ("fitted", [["m0", 99]], "names no estimator that stands before its owner"),
        ("fitted", [["m0", True]], "names no estimator that stands before its owner"),
        ("fitted", [["m0"]], "a member of a VotingClassifier is not as"),
        ("fitted", 3, "names of a VotingClassifier's members"),
        ("estimators", [["voting", 3]], "names of a VotingClassifier's members"),
        ("estimators", [["a__b", 3]], "names of a VotingClassifier's members"),
        ("estimators", None, "names of a VotingClassifier's members"),
        ("learned", {}, "lacks classes_"),
        ("learned", {"classes_": [0, 1]}, "classes_ must be two different sorted labels"),
        ("learned", {"estimators_": []}, "learns no 'estimators_'"),
    ],
    ids=str,
)
def test_a_part_of_another_form_is_refused(part, value, match, forged):
    refused(forged(lambda nodes: nodes[-1].update({part: value})), match)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("voting", "loud", "voting of VotingClassifier must be one of"),
        ("weights", [1, -1], "weights of VotingClassifier must be None or finite"),
        ("weights", [1e308, 1e308], "must be one for each member"),
        ("weights", [1] * 100_000, "must be one for each member"),
        ("estimators", [], "has no parameter 'estimators'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_parameter_that_a_vote_does_not_allow_is_refused(name, value, match, forged):
    refused(forged(lambda nodes: nodes[-1]["parameters"].update({name: value})), match)


def test_a_hard_vote_over_huge_codes_takes_no_memory(forged):
    def edit(nodes):
        nodes[-1]["parameters"]["voting"] = "hard"
        for node in nodes:
            if node["type"] == "CNNClassifier":
                node["learned"]["classes_"]["values"] = [0, 2**40]

    refused(forged(edit), r"has no predict for the classes \[0, 1\]")


def test_a_member_that_votes_a_million_times_is_refused_before_it_is_asked(forged):
    def edit(nodes):
        nodes[-1]["fitted"] = [[f"m{i}", 3] for i in range(100_000)]
        nodes[-1]["parameters"]["weights"] = None

    refused(forged(edit), f"hold one another more than {MOST_HELD:,} times")


def test_votes_in_votes_that_grow_thirtyfold_are_refused(forged):
    def edit(nodes):
        nodes[-1]["parameters"]["weights"] = None
        for place in range(len(nodes) - 1, len(nodes) + 3):
            nodes.append(nodes[-1] | {"fitted": [[f"m{i}", place] for i in range(30)]})

    refused(forged(edit), f"hold one another more than {MOST_HELD:,} times")


def test_what_no_reader_would_take_is_not_written(members):
    voting = members[0]
    for _ in range(3):
        voting = VotingClassifier([(f"m{i}", voting) for i in range(30)])
    with pytest.raises(ModelFileError, match=r"hold one another more than .* with joblib"):
        Writer(KINDS).add(voting, "the estimator")


def test_estimators_that_are_deep_one_in_another_are_refused(forged):
    def edit(nodes):
        for place in range(len(nodes) - 1, len(nodes) + 9):
            nodes.append({"type": "Pipeline", "parameters": {}, "steps": [["a", place]]})

    refused(forged(edit), "its estimators are more than 10 one in another")


@pytest.mark.parametrize("levels", [9, 2000])
def test_estimators_that_are_too_deep_to_be_read_are_not_written(levels, members):
    nested = members[0]  # It is two levels deep.
    for _ in range(levels):
        nested = FrozenEstimator(nested)
    with pytest.raises(ModelFileError, match=r"more than 10 one in another; make it flatter"):
        Writer(KINDS).add(nested, "the estimator")


def test_estimators_that_are_deep_together_with_what_was_written_before_are_not_written(members):
    nested = members[0]
    for _ in range(6):
        nested = FrozenEstimator(nested)
    deeper = FrozenEstimator(FrozenEstimator(FrozenEstimator(nested)))
    with pytest.raises(ModelFileError, match=r"more than 10 one in another"):
        Writer(KINDS).add(VotingClassifier([("a", nested), ("b", deeper)]), "the estimator")


def test_ten_estimators_one_in_another_come_back(members, path):
    nested = members[0]
    for _ in range(8):
        nested = FrozenEstimator(nested)
    np.testing.assert_array_equal(again(nested, path).predict(X), members[0].predict(X))


def test_more_estimators_than_a_reader_takes_are_not_written(members):
    many = [(f"m{i}", FrozenEstimator(members[0])) for i in range(MOST_NODES)]
    with pytest.raises(ModelFileError, match=r"more than the 1,000 estimators"):
        Writer(KINDS).add(VotingClassifier(many), "the estimator")


def test_more_networks_than_a_reader_takes_are_not_written(members, monkeypatch):
    monkeypatch.setattr("pcam_sklearn.persistence._nodes.MOST_NETWORKS", 1)
    with pytest.raises(ModelFileError, match=r"more than the 1 networks .* with joblib"):
        Writer(KINDS).add(blend(*members[:2]), "the estimator")

"""Networks that vote: they read the same files once, and scikit-learn's tools work on them."""

import joblib
import numpy as np
import pytest
import sklearn
from PIL import Image
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from support.reads import count_reads
from support.tiny import PATCH_SIDE, make_data, quick_pipeline

from pcam_sklearn import PatchReader

pytestmark = pytest.mark.slow  # Each fit trains two networks.

X, Y = make_data(n=48, side=PATCH_SIDE)
SLIDES = np.repeat(np.arange(8), 6)
WEIGHTS = np.where(np.arange(48) % 3 == 0, 0.0, 1.0)
MEMBERS = {"half": {"model__scale": 0.5}, "whole": {"random_state": 1}}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    paths = np.array([str(folder / f"{i}.png") for i in range(len(X))])
    for path, patch in zip(paths, X, strict=True):
        Image.fromarray(patch).save(path)
    return paths


def make_vote(in_memory="auto", **options):
    """Return one reader, and two networks that vote on what it has read."""
    members = [(name, quick_pipeline(**changes)[1:]) for name, changes in MEMBERS.items()]
    voting = VotingClassifier(members, voting="soft", **options)
    return make_pipeline(PatchReader(in_memory=in_memory), voting)


@pytest.fixture(scope="module")
def vote(paths):
    return make_vote().fit(paths, Y)


@pytest.fixture(scope="module")
def alone(paths):
    """Return the same networks, each of which reads for itself."""
    return [quick_pipeline(**changes).fit(paths, Y) for changes in MEMBERS.values()]


def opened(paths, call):
    """Return the number of times that a call opens each file."""
    with count_reads(paths[0].rpartition("/")[0]) as counter:
        call()
    return counter


def test_a_vote_is_the_mean_of_pipelines_that_were_fitted_alone(vote, alone, paths):
    mean = np.mean([pipeline.predict_proba(paths) for pipeline in alone], axis=0)
    np.testing.assert_array_equal(vote.predict_proba(paths), mean)


def test_a_fit_and_a_prediction_read_each_file_once(vote, paths):
    once = opened(paths, lambda: PatchReader().transform(paths))
    assert set(once) == set(paths)
    assert opened(paths, lambda: clone(vote).fit(paths, Y)) == once
    assert opened(paths, lambda: vote.predict_proba(paths)) == once


def test_files_left_unread_are_read_by_each_member(vote, paths):
    unread = make_vote(in_memory=False)
    shape = opened(paths, lambda: unread[0].transform(paths))
    once = opened(paths, lambda: np.asarray(unread[0].transform(paths)))
    expected = {path: 2 * n - shape[path] for path, n in once.items()}
    assert opened(paths, lambda: unread.fit(paths, Y)) == expected
    assert opened(paths, lambda: unread.predict_proba(paths)) == expected
    np.testing.assert_array_equal(unread.predict_proba(paths), vote.predict_proba(paths))


def test_members_that_train_at_the_same_time_learn_the_same(vote, paths):
    parallel = make_vote(n_jobs=2).fit(paths, Y)
    np.testing.assert_array_equal(parallel.predict_proba(paths), vote.predict_proba(paths))


def test_cross_val_predict_reads_only_the_patches_of_a_fold(paths):
    folds = GroupKFold(2)
    found = cross_val_predict(
        make_vote(), paths, Y, cv=folds, groups=SLIDES, method="predict_proba"
    )
    for train, test in folds.split(paths, Y, SLIDES):
        one = make_vote().fit(paths[train], Y[train])
        np.testing.assert_array_equal(found[test], one.predict_proba(paths[test]))


def test_a_search_weighs_members_tunes_them_and_leaves_them_out(paths):
    grid = [
        {"votingclassifier__weights": [[1, 2]], "votingclassifier__half": ["drop"]},
        {"votingclassifier__whole__cnnclassifier__epochs": [1, 2]},
    ]
    search = GridSearchCV(make_vote(), grid, scoring="roc_auc", cv=2).fit(paths, Y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == 3


def test_labels_of_text_are_voted_for(vote, paths):
    labels = np.array(["normal", "tumour"])
    text = make_vote().fit(paths, labels[Y])
    np.testing.assert_array_equal(text.predict(paths), labels[vote.predict(paths)])
    np.testing.assert_array_equal(text.predict_proba(paths), vote.predict_proba(paths))


def test_slides_and_weights_are_routed_to_every_member(paths):
    with sklearn.config_context(enable_metadata_routing=True):
        routed = make_vote()
        for _, member in routed[-1].estimators:
            member[-1].set_fit_request(groups=True, sample_weight=True)
        routed.fit(paths, Y, groups=SLIDES, sample_weight=WEIGHTS)
    for member, changes in zip(routed[-1].estimators_, MEMBERS.values(), strict=True):
        assert member[-1].groups_.tolist() == sorted(set(SLIDES))
        weighted = quick_pipeline(**changes).fit(X, Y, cnnclassifier__sample_weight=WEIGHTS)
        np.testing.assert_array_equal(member.predict_proba(X), weighted.predict_proba(X))


def test_a_vote_comes_back_from_joblib(vote, paths, tmp_path):
    joblib.dump(vote, tmp_path / "vote.joblib")
    back = joblib.load(tmp_path / "vote.joblib")
    np.testing.assert_array_equal(back.predict_proba(paths), vote.predict_proba(paths))


def test_fitted_pipelines_vote_without_being_trained_again(vote, alone, paths):
    frozen = [(f"m{i}", FrozenEstimator(pipeline[1:])) for i, pipeline in enumerate(alone)]
    blend = make_pipeline(PatchReader(), VotingClassifier(frozen, voting="soft"))
    blend.fit(paths[:2], Y[:2])
    np.testing.assert_array_equal(blend.predict_proba(paths), vote.predict_proba(paths))
    assert blend[-1].estimators_[0].estimator[-1] is alone[0][-1]

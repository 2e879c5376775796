"""Slides in fit: the patches that are held out come from slides that are not trained on."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from support.tiny import PATCH_SIDE, learned, make_data, quick, quick_pipeline

from pcam_sklearn._estimators import knows_its_slides
from pcam_sklearn._training._data import TrainingSet
from pcam_sklearn._training._plan import split_rows
from pcam_sklearn.model_selection import SlideKFold
from pcam_sklearn.networks import efficientnet_lite0
from pcam_sklearn.persistence import load_model, save_model

X, Y = make_data(n=48, side=PATCH_SIDE)
SLIDES = np.repeat([f"slide {i}" for i in range(8)], 6)
WATCHES = {"validation_fraction": 0.25}


@pytest.fixture
def splits(monkeypatch):
    """Return a list of the slides trained on and held out in each fit; None if unknown."""
    found = []

    def spy(data, fraction, seed):
        rows = split_rows(data, fraction, seed)
        slides = [None if data.groups is None else set(data.groups[part]) for part in rows]
        found.append(slides)
        return rows

    monkeypatch.setattr("pcam_sklearn._training._plan.split_rows", spy)
    return found


def assert_apart(splits, n_slides):
    """Check that slides, so many in all, are trained on or held out, and none is both."""
    for training, held_out in splits:
        assert held_out
        assert not training & held_out
        assert len(training | held_out) == n_slides


def same(a, b):
    return np.array_equal(a.predict_proba(X), b.predict_proba(X))


# --- what is held out


@given(
    n_slides=st.integers(2, 9),
    n_patches=st.integers(2, 6),
    fraction=st.sampled_from([0.1, 0.25, 0.5]),
    n_zero=st.integers(0, 2),
    seed=st.integers(0, 2**31 - 1),
)
def test_rows_are_held_out_by_whole_slides_of_both_classes_and_none_of_weight_0(
    n_slides, n_patches, fraction, n_zero, seed
):
    codes = np.tile(np.arange(2 * n_patches) % 2, n_slides)
    slides = np.repeat(np.arange(n_slides), 2 * n_patches)
    weights = np.ones(len(codes), np.float32)
    weights[:n_zero] = 0
    data = TrainingSet(np.empty((len(codes), 1)), codes, weights, np.array([0, 1]), slides)
    training, held_out = split_rows(data, fraction, seed)
    assert sorted([*training, *held_out]) == np.flatnonzero(weights).tolist()
    assert not set(slides[training]) & set(slides[held_out])
    assert set(codes[training]) == set(codes[held_out]) == {0, 1}
    n_expected = max(round(fraction * n_slides), 1)
    assert abs(len(set(slides[held_out])) - n_expected) <= 1


def test_fit_watches_slides_that_it_does_not_train_on(splits):
    quick(**WATCHES).fit(X, Y, groups=SLIDES)
    assert_apart(splits, 8)


@pytest.mark.slow
def test_without_groups_patches_are_held_out_as_before(splits):
    assert same(quick(**WATCHES).fit(X, Y), quick(**WATCHES).fit(X, Y, groups=None))
    assert splits == [[None, None]] * 2


def test_the_slides_held_out_are_fixed_by_the_random_state():
    data = TrainingSet(X, Y, None, np.array([0, 1]), SLIDES)
    held_out = [split_rows(data, 0.25, seed)[1].tolist() for seed in (0, 0, *range(1, 9))]
    assert held_out[0] == held_out[1]
    assert any(other != held_out[0] for other in held_out[2:])


@pytest.mark.slow
def test_a_warm_start_watches_the_same_slides(splits):
    classifier = quick(**WATCHES, warm_start=True)
    classifier.fit(X, Y, groups=SLIDES).fit(X, Y, groups=SLIDES)
    assert splits[0] == splits[1]


@pytest.mark.slow
@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)], ids=["None", "drawn"])
def test_a_warm_start_watches_the_same_rows_with_any_random_state(splits, random_state):
    classifier = quick(**{**WATCHES, "warm_start": True, "random_state": random_state})
    classifier.fit(X, Y, groups=SLIDES)
    again = pickle.loads(pickle.dumps(classifier)).fit(X, Y, groups=SLIDES)
    again.fit(X, Y, groups=SLIDES)
    assert splits == [splits[0]] * 3


def test_a_slide_with_only_patches_of_weight_0_does_not_count(splits):
    weights = np.where(SLIDES == "slide 3", 0.0, 1.0)
    quick(**WATCHES).fit(X, Y, weights, SLIDES)
    assert_apart(splits, 7)


def test_where_nothing_is_held_out_groups_change_nothing_that_is_learned():
    assert same(quick().fit(X, Y), quick().fit(X, Y, groups=SLIDES))


@pytest.mark.slow
@pytest.mark.parametrize(
    "as_groups",
    [pd.Categorical, lambda slides: np.unique(slides, return_inverse=True)[1].tolist()],
    ids=["categorical", "list of numbers"],
)
def test_slides_may_be_names_or_numbers_in_any_array(as_groups, splits):
    quick(**WATCHES).fit(X, Y, groups=as_groups(SLIDES))
    assert_apart(splits, 8)


def test_the_callers_slides_are_left_as_they_are():
    slides = SLIDES.copy()
    slides.flags.writeable = False
    quick(**WATCHES).fit(X, Y, groups=slides)
    assert np.array_equal(slides, SLIDES)


# --- what is refused

ONE_EACH = np.where(Y == 1, "one", "zero")
WRONG = {
    "another length": (SLIDES[:-1], "inconsistent numbers of samples"),
    "two columns": (np.column_stack([SLIDES, SLIDES]), "one slide for each patch"),
    "None": (np.array([None, *SLIDES[1:]], dtype=object), "no slide for 1 of 48 patches"),
    "numbers and text": (np.array([1, *SLIDES[1:]], dtype=object), "by one type, got int and str"),
    "NaN": (np.array([np.nan, *range(47)]), "no slide for 1 of 48 patches"),
    "one slide": (
        np.repeat("only", 48),
        r"validation_fraction=0\.25 cannot be .* 1 slide\(s\), only",
    ),
    "a class on one slide": (
        ONE_EACH,
        r"cannot be held out .*come from 1 slide.*validation_fraction=0 and",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_slides_are_refused_and_change_nothing(wrong):
    groups, message = WRONG[wrong]
    classifier = quick(**WATCHES)
    with pytest.raises(ValueError, match=message):
        classifier.fit(X, Y, groups=groups)
    assert not learned(classifier)


def test_one_slide_is_enough_where_nothing_is_held_out():
    assert quick().fit(X, Y, groups=np.repeat("only", 48)).groups_.tolist() == ["only"]


# --- groups_


def test_groups_are_the_slides_fitted_on_once_each():
    assert quick().fit(X, Y, groups=SLIDES[::-1]).groups_.tolist() == sorted(set(SLIDES))


@pytest.mark.slow
def test_groups_are_none_if_fit_was_given_none():
    classifier = quick().fit(X, Y, groups=SLIDES)
    assert classifier.fit(X, Y).groups_ is None


@pytest.mark.slow
def test_a_warm_start_adds_slides_to_those_it_knows():
    classifier = quick(warm_start=True).fit(X[:12], Y[:12], groups=SLIDES[:12])
    classifier.fit(X[6:18], Y[6:18], groups=SLIDES[6:18])
    assert classifier.groups_.tolist() == ["slide 0", "slide 1", "slide 2"]
    assert classifier.fit(X, Y).groups_.tolist() == ["slide 0", "slide 1", "slide 2"]


def test_a_partial_fit_knows_the_slides_of_the_fit_before_and_that_its_own_are_unknown():
    classifier = quick().fit(X, Y, groups=SLIDES)
    assert knows_its_slides(classifier)
    classifier.partial_fit(X, Y)
    assert len(classifier.groups_) == 8
    assert not knows_its_slides(classifier)


def test_slides_that_were_unknown_once_stay_unknown():
    classifier = quick(warm_start=True).fit(X, Y).fit(X, Y, groups=SLIDES)
    assert len(classifier.groups_) == 8
    assert not knows_its_slides(classifier)
    assert not knows_its_slides(classifier.fit(X, Y, groups=SLIDES))
    assert not knows_its_slides(pickle.loads(pickle.dumps(classifier)))


def test_nothing_unknown_is_learned_before_the_first_epoch():
    classifier = quick(warm_start=True).initialize(X, Y)
    assert knows_its_slides(classifier.fit(X, Y, groups=SLIDES))


LITE = {"network": "efficientnet-lite0", "model__stages": 1, "model__enlarge": 1}
PATCHES, LABELS = make_data(8, side=32)


@pytest.fixture(scope="module", params=["known", "unknown", "in part"])
def weights(request, tmp_path_factory):
    """Return the share of known slides behind a model file, in words, and the file's parameter."""
    path = tmp_path_factory.mktemp("weights") / "first.pcam"
    first = quick(**LITE, model__weights=None)
    first.fit(PATCHES, LABELS, groups=None if request.param == "unknown" else np.repeat("old", 8))
    save_model(first.partial_fit(PATCHES, LABELS) if request.param == "in part" else first, path)
    return request.param, {"model__weights": str(path)}


@pytest.mark.parametrize(
    ("slides", "names"),
    [(np.repeat("new", 8), ["new"]), (np.repeat(7, 8), ["7"]), ([7] * 8, ["7"])],
    ids=["text", "numbers", "a list"],
)
def test_slides_behind_the_weights_of_a_model_file_are_among_them(weights, slides, names):
    known, weights = weights
    classifier = quick(**LITE, **weights).fit(PATCHES, LABELS, groups=slides)
    of_file = [] if known == "unknown" else ["old"]
    assert sorted(map(str, classifier.groups_)) == sorted([*names, *of_file])
    assert knows_its_slides(classifier) is (known == "known")


def test_the_network_s_function_means_the_network(weights):
    known, weights = weights
    function = {**LITE, "network": efficientnet_lite0, **weights}
    classifier = quick(**function).fit(PATCHES, LABELS, groups=np.repeat("new", 8))
    assert ("old" in classifier.groups_) is (known != "unknown")


@pytest.mark.filterwarnings("ignore::pcam_sklearn.persistence.ModelFileWarning")
def test_a_network_that_was_only_built_knows_the_slides_behind_its_weights(weights, tmp_path):
    known, weights = weights
    built = quick(**LITE, **weights, warm_start=True).initialize(PATCHES, LABELS)
    save_model(built, tmp_path / "built.pcam")
    loaded = load_model(tmp_path / "built.pcam")
    for classifier in (built, loaded.set_params(warm_start=True)):
        classifier.fit(PATCHES, LABELS, groups=np.repeat("new", 8))
        assert ("old" in classifier.groups_) is (known != "unknown")
        assert knows_its_slides(classifier) is (known == "known")


def test_a_new_fit_forgets_the_slides_before():
    classifier = quick().fit(X, Y, groups=SLIDES).fit(X[:6], Y[:6], groups=SLIDES[:6])
    assert classifier.groups_.tolist() == ["slide 0"]


def test_groups_are_saved_and_no_part_of_a_clone(tmp_path):
    classifier = quick().fit(X, Y, groups=SLIDES)
    joblib.dump(classifier, tmp_path / "classifier.joblib")
    assert np.array_equal(joblib.load(tmp_path / "classifier.joblib").groups_, classifier.groups_)
    assert not hasattr(clone(classifier), "groups_")


# --- through pipelines, searches and cross-validation


@pytest.mark.slow
def test_a_pipeline_hands_slides_on(splits):
    pipeline = quick_pipeline(**WATCHES).fit(X, Y, cnnclassifier__groups=SLIDES)
    patches = pipeline[:-1].transform(X)
    alone = quick(**WATCHES).fit(patches, Y, groups=SLIDES)
    assert_apart(splits, 8)
    assert np.array_equal(pipeline.predict_proba(X), alone.predict_proba(patches))


@pytest.mark.slow
def test_a_search_hands_slides_on_without_routing_as_a_fit_parameter(splits):
    folds = SlideKFold(2, random_state=0)
    search = GridSearchCV(quick_pipeline(**WATCHES), {"cnnclassifier__epochs": [1]}, cv=folds)
    search.set_params(refit=False).fit(X, Y, groups=SLIDES, cnnclassifier__groups=SLIDES)
    assert_apart(splits, 4)


@pytest.mark.slow
def test_routing_hands_slides_to_the_folds_and_to_the_fits(splits):
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = quick_pipeline(**WATCHES)
        pipeline[-1].set_fit_request(groups=True)
        folds = SlideKFold(2, random_state=0)
        search = GridSearchCV(pipeline, {"cnnclassifier__batch_size": [16]}, cv=folds)
        search.fit(X, Y, groups=SLIDES)
        scores = cross_validate(pipeline, X, Y, cv=folds, params={"groups": SLIDES})
    outer = [set(SLIDES[train]) for train, _ in folds.split(X, Y, SLIDES)]
    in_search, refit, in_cross_validation = splits[:2], splits[2:3], splits[3:]
    assert_apart(in_search + in_cross_validation, 4)
    assert_apart(refit, 8)
    assert [a | b for a, b in in_search] == outer
    assert [a | b for a, b in in_cross_validation] == outer
    assert np.isfinite(scores["test_score"]).all()
    assert len(search.best_estimator_[-1].groups_) == 8


@pytest.mark.slow
def test_slides_that_the_classifier_did_not_ask_for_reach_the_folds_alone(splits):
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = quick_pipeline(**WATCHES)
        pipeline[-1].set_fit_request(groups=False)
        cross_validate(pipeline, X, Y, cv=SlideKFold(2), params={"groups": SLIDES})
    assert splits == [[None, None]] * 2

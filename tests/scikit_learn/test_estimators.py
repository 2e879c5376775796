"""The last step, the slides and the scores of an estimator, alone or inside another."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pcam_sklearn._estimators import (
    classifiers_in,
    knows_its_slides,
    last_step,
    score_patches,
    slides_trained_on,
)

X = np.zeros((8, 1))
WORDS = np.array(["normal", "tumour"] * 3 + ["normal"] * 2)


class RemembersSlides(DummyClassifier):
    """A classifier that keeps its slides, as CNNClassifier does."""

    def fit(self, X, y, groups=None):
        self.groups_ = groups
        return super().fit(X, y)


def test_the_last_step_of_a_pipeline_is_its_classifier():
    classifier = DummyClassifier()
    assert last_step(make_pipeline(StandardScaler(), classifier)) is classifier
    assert last_step(classifier) is classifier


def test_slides_are_found_in_a_classifier_a_pipeline_and_a_search():
    slides = np.repeat(["a", "b"], 4)
    classifier = RemembersSlides()
    pipeline = make_pipeline(classifier)
    search = GridSearchCV(pipeline, {}, cv=2)
    classifier.fit(X, WORDS, groups=slides)
    search.fit(X, WORDS, remembersslides__groups=slides)
    for estimator in (classifier, pipeline, search):
        np.testing.assert_array_equal(slides_trained_on(estimator), slides)


def test_the_slides_of_a_vote_are_those_of_all_its_members():
    members = [RemembersSlides().fit(X, WORDS, groups=np.repeat(g, 4)) for g in (["a", "b"], ["c"])]
    named = [("a", FrozenEstimator(make_pipeline(members[0]))), ("b", FrozenEstimator(members[1]))]
    inner = VotingClassifier([*named, ("c", "drop"), ("d", RemembersSlides())])
    vote = VotingClassifier([("inner", inner), ("other", DummyClassifier())])
    fitted = make_pipeline(StandardScaler(), vote).fit(X, WORDS)
    assert list(classifiers_in(fitted)) == ["inner a", "inner b", "inner d", "other"]
    assert set(slides_trained_on(fitted)) == {"a", "b", "c"}
    assert slides_trained_on(vote.estimators_[1]) is None
    assert not knows_its_slides(fitted)


def test_slides_are_found_behind_a_calibration_and_a_threshold():
    slides = np.repeat(["a", "b"], 4)
    frozen = FrozenEstimator(make_pipeline(RemembersSlides().fit(X, WORDS, groups=slides)))
    calibrated = CalibratedClassifierCV(frozen, cv=2, ensemble=False).fit(X, WORDS)
    threshold = FixedThresholdClassifier(FrozenEstimator(calibrated), pos_label="tumour")
    for estimator in (calibrated, threshold.fit(X, WORDS)):
        np.testing.assert_array_equal(slides_trained_on(estimator), slides)


@pytest.mark.parametrize(
    ("around", "known"),
    [
        (lambda frozen: CalibratedClassifierCV(frozen, cv=2, ensemble=False), False),
        (lambda frozen: TunedThresholdClassifierCV(frozen, cv=2), False),
        (
            lambda frozen: TunedThresholdClassifierCV(frozen.estimator, cv="prefit", refit=False),
            False,
        ),
        (lambda frozen: make_pipeline(CalibratedClassifierCV(frozen, cv=2, ensemble=False)), False),
        (lambda frozen: CalibratedClassifierCV(make_pipeline(frozen), cv=2), False),
        (lambda frozen: StackingClassifier([("a", frozen)], DummyClassifier(), cv=2), False),
        (lambda frozen: FixedThresholdClassifier(frozen, pos_label="tumour"), True),
        (lambda frozen: VotingClassifier([("a", frozen)]), True),
    ],
    ids=[
        "calibration", "threshold", "prefit threshold", "in a pipeline", "around a pipeline",
        "stack", "fixed", "vote",
    ],
)  # fmt: skip
def test_what_is_learned_on_top_of_a_fitted_model_comes_from_unknown_slides(around, known):
    varied = RemembersSlides(strategy="stratified", random_state=0)
    fitted = varied.fit(X, WORDS, groups=np.repeat(["a", "b"], 4))
    assert knows_its_slides(around(FrozenEstimator(fitted)).fit(X, WORDS)) is known


def test_an_estimator_fitted_without_slides_has_none():
    assert slides_trained_on(RemembersSlides().fit(X, WORDS)) is None
    assert slides_trained_on(DummyClassifier().fit(X, WORDS)) is None
    assert not knows_its_slides(DummyClassifier().fit(X, WORDS))


@pytest.mark.parametrize(
    ("pos_label", "label", "share"),
    [(None, "tumour", 3 / 8), ("tumour", "tumour", 3 / 8), ("normal", "normal", 5 / 8)],
)
def test_the_score_is_the_probability_of_the_positive_class(pos_label, label, share):
    scores, found = score_patches(DummyClassifier().fit(X, WORDS), X, pos_label)
    assert found == label
    np.testing.assert_allclose(scores, share)


def test_an_unknown_positive_class_is_an_error_that_names_the_classes():
    dummy = DummyClassifier().fit(X, WORDS)
    with pytest.raises(ValueError, match=r"pos_label=1 is not a class.*'normal'.*'tumour'"):
        score_patches(dummy, X, pos_label=1)


def test_an_estimator_that_is_not_fitted_has_no_scores():
    with pytest.raises(NotFittedError):
        score_patches(DummyClassifier(), X)

"""Saved and loaded in one process: with joblib, pickle, cloudpickle and copy.

Other processes and backends are in test_backends.
"""

import copy
import pickle

import cloudpickle
import joblib
import keras
import numpy as np
import pytest
from sklearn.utils.validation import check_is_fitted
from support.tiny import PATCH_SIDE, learned, make_data, quick, quick_pipeline

X, Y = make_data(side=PATCH_SIDE)


def again_by_joblib(estimator, folder):
    joblib.dump(estimator, folder / "estimator.joblib")
    return joblib.load(folder / "estimator.joblib")


def again_compressed(estimator, folder):
    joblib.dump(estimator, folder / "estimator.joblib", compress=3)
    return joblib.load(folder / "estimator.joblib")


WAYS = {
    "joblib": again_by_joblib,
    "joblib compressed": again_compressed,
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "cloudpickle": lambda estimator, _: pickle.loads(cloudpickle.dumps(estimator)),
    "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
}


@pytest.fixture(scope="module")
def fitted():
    return quick_pipeline(optimizer="adam", metrics=("auc",)).fit(X, Y)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_pipeline_comes_back_with_the_same_probabilities(way, fitted, tmp_path):
    back = way(fitted, tmp_path)
    np.testing.assert_allclose(back.predict_proba(X), fitted.predict_proba(X), atol=1e-5)
    assert back.get_params().keys() == fitted.get_params().keys()
    assert learned(back[-1]).keys() == learned(fitted[-1]).keys()
    assert back[-1].history_ == fitted[-1].history_


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_loaded_classifier_trains_on_as_the_saved_one_does(way, tmp_path):
    patches = X[:, 1:-1, 1:-1]
    stays = quick(optimizer="adam").fit(patches, Y)
    back = way(stays, tmp_path)
    for classifier in (stays, back):
        classifier.partial_fit(patches, Y)
    assert back.n_iter_ == 2
    np.testing.assert_allclose(back.predict_proba(patches), stays.predict_proba(patches), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_unfitted_pipeline_comes_back_unfitted_with_its_parameters(way, tmp_path):
    back = way(quick_pipeline(optimizer__learning_rate=0.25), tmp_path)
    with pytest.raises(Exception, match="not fitted"):
        check_is_fitted(back[-1])
    assert back[-1].optimizer__learning_rate == 0.25
    assert back.fit(X, Y).predict(X).shape == Y.shape


@pytest.mark.slow
def test_a_copy_shares_no_weights_with_the_original(fitted):
    before = fitted.predict_proba(X)
    copied = copy.deepcopy(fitted)
    copied[-1].partial_fit(X[:, 1:-1, 1:-1], Y)
    assert np.array_equal(fitted.predict_proba(X), before)


@pytest.mark.slow
def test_instances_among_the_parameters_are_saved_without_what_they_saw(tmp_path):
    classifier = quick(
        optimizer=keras.optimizers.Adam(0.01),
        callbacks=[keras.callbacks.EarlyStopping("loss")],
        metrics=[keras.metrics.AUC(name="auc")],
    )
    unfitted = len(pickle.dumps(classifier))
    classifier.fit(X, Y)
    parameters = quick(**classifier.get_params())
    assert len(pickle.dumps(parameters)) == unfitted
    back = again_by_joblib(classifier, tmp_path)
    assert np.array_equal(back.predict_proba(X), classifier.predict_proba(X))


def test_saving_changes_nothing(fitted, tmp_path):
    before, probabilities = dict(vars(fitted[-1])), fitted.predict_proba(X)
    again_by_joblib(fitted, tmp_path)
    assert vars(fitted[-1]).keys() == before.keys()
    assert all(vars(fitted[-1])[name] is value for name, value in before.items())
    assert np.array_equal(fitted.predict_proba(X), probabilities)


def test_a_classifier_that_was_only_built_is_saved_too(tmp_path):
    X, y = make_data(n=8)
    built = quick(optimizer="adam").initialize(X, y)
    joblib.dump(built, tmp_path / "built.joblib")
    loaded = joblib.load(tmp_path / "built.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(X), built.predict_proba(X))

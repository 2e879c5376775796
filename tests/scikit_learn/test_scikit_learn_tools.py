"""Tools of scikit-learn on the pipeline from byte patches to probabilities."""

import matplotlib as mpl
import numpy as np
import pytest
import sklearn
from scipy.stats import loguniform
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import RocCurveDisplay, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.utils import get_tags
from support.tiny import PATCH_SIDE, make_data, quick_pipeline

mpl.use("Agg")
pytestmark = pytest.mark.slow  # A search or a curve fits several times.

X, Y = make_data(n=48, side=PATCH_SIDE)
SLIDES = np.repeat(np.arange(8), 6)
IN_BLOCKS = np.argsort(Y, kind="stable")  # Unstratified folds would hold one class.


@pytest.fixture(scope="module")
def pipeline():
    return quick_pipeline().fit(X, Y)


def finite(search):
    scores = search.cv_results_["mean_test_score"]
    return len(scores) > 0 and np.isfinite(scores).all()


# --- searches


def test_grid_search_with_roc_auc_is_finite_and_stratified_by_default():
    grid = {"cnnclassifier__optimizer__learning_rate": [0.01, 0.1]}
    options = {"scoring": "roc_auc", "refit": False}
    search = GridSearchCV(quick_pipeline(), grid, cv=3, **options)
    search.fit(X[IN_BLOCKS], Y[IN_BLOCKS])
    assert finite(search)
    by_hand = GridSearchCV(quick_pipeline(), grid, cv=StratifiedKFold(3), **options)
    by_hand.fit(X[IN_BLOCKS], Y[IN_BLOCKS])
    for i in range(3):
        name = f"split{i}_test_score"
        assert np.array_equal(search.cv_results_[name], by_hand.cv_results_[name])


def test_each_score_of_a_grid_search_is_that_of_a_pipeline_fitted_by_hand():
    folds = StratifiedGroupKFold(2)
    grid = {"cnnclassifier__optimizer__learning_rate": [0.01, 0.1]}
    search = GridSearchCV(quick_pipeline(), grid, scoring="roc_auc", cv=folds)
    search.fit(X, Y, groups=SLIDES)
    for i, (train, test) in enumerate(folds.split(X, Y, SLIDES)):
        assert not set(SLIDES[train]) & set(SLIDES[test])
        for j, parameters in enumerate(search.cv_results_["params"]):
            alone = quick_pipeline().set_params(**parameters).fit(X[train], Y[train])
            score = roc_auc_score(Y[test], alone.predict_proba(X[test])[:, 1])
            assert search.cv_results_[f"split{i}_test_score"][j] == score


def test_a_search_runs_over_the_crop_and_the_network_alike():
    grid = {"centercropnormalizer__crop_size": [10, 18], "cnnclassifier__model__scale": [0.5, 1.0]}
    search = GridSearchCV(quick_pipeline(), grid, scoring="roc_auc", cv=2, refit=False).fit(X, Y)
    assert finite(search)
    assert len(set(search.cv_results_["mean_test_score"])) > 1


def test_randomized_search_draws_learning_rates():
    space = {"cnnclassifier__optimizer__learning_rate": loguniform(1e-3, 1e-1)}
    search = RandomizedSearchCV(
        quick_pipeline(), space, n_iter=2, scoring="roc_auc", cv=2, random_state=0
    )
    assert finite(search.fit(X, Y))
    assert search.predict(X).shape == Y.shape


def test_halving_search_gives_more_patches_to_the_better_half():
    grid = {"cnnclassifier__optimizer__learning_rate": [0.001, 0.1]}
    search = HalvingGridSearchCV(
        quick_pipeline(), grid, scoring="roc_auc", cv=2, factor=2, random_state=0, min_resources=24
    )
    assert finite(search.fit(X, Y))
    assert search.n_resources_ == [24, 48]


def test_halving_search_gives_more_epochs_to_the_better_half():
    search = HalvingGridSearchCV(
        quick_pipeline(),
        {"cnnclassifier__optimizer__learning_rate": [0.001, 0.1]},
        resource="cnnclassifier__epochs",
        min_resources=1,
        max_resources=2,
        factor=2,
        scoring="roc_auc",
        cv=2,
        random_state=0,
    )
    assert finite(search.fit(X, Y))
    assert search.best_estimator_[-1].n_iter_ == 2


# --- cross-validation and curves


def test_cross_val_predict_gives_each_patch_the_probability_of_a_pipeline_that_did_not_see_it():
    folds = StratifiedKFold(2)
    probabilities = cross_val_predict(quick_pipeline(), X, Y, cv=folds, method="predict_proba")
    for train, test in folds.split(X, Y):
        alone = quick_pipeline().fit(X[train], Y[train])
        assert np.array_equal(probabilities[test], alone.predict_proba(X[test]))


def test_paths_are_cross_validated_as_the_patches_in_them(tmp_path):
    from PIL import Image

    paths = np.array([str(tmp_path / f"{i}.png") for i in range(len(X))])
    for path, patch in zip(paths, X, strict=True):
        Image.fromarray(patch).save(path)
    scores = [cross_val_score(quick_pipeline(), data, Y, cv=2) for data in (paths, X)]
    assert np.array_equal(*scores)


@pytest.mark.parametrize("incremental", [False, True])
def test_learning_curve_is_finite(incremental):
    sizes, train, test = learning_curve(
        quick_pipeline()[-1] if incremental else quick_pipeline(),
        X,
        Y,
        train_sizes=[0.5, 1.0],
        cv=2,
        scoring="roc_auc",
        exploit_incremental_learning=incremental,
    )
    assert sizes.tolist() == [12, 24]
    assert np.isfinite([train, test]).all()


@pytest.mark.parametrize("constructor", ["from_estimator", "from_predictions"])
def test_roc_curve_display_draws_the_pipeline(pipeline, constructor):
    from matplotlib import pyplot as plt

    probabilities = pipeline.predict_proba(X)[:, 1]
    if constructor == "from_estimator":
        display = RocCurveDisplay.from_estimator(pipeline, X, Y)
    else:
        display = RocCurveDisplay.from_predictions(Y, probabilities)
    assert display.roc_auc == roc_auc_score(Y, probabilities)
    plt.close(display.figure_)


# --- around the pipeline


def in_rows(probabilities):
    return probabilities.shape == (48, 2) and np.allclose(probabilities.sum(axis=1), 1)


def test_calibration_fits_pipelines_on_folds():
    calibrated = CalibratedClassifierCV(quick_pipeline(), cv=2).fit(X, Y)
    assert in_rows(calibrated.predict_proba(X))
    assert len(calibrated.calibrated_classifiers_) == 2


def test_calibration_leaves_a_frozen_pipeline_as_it_is(pipeline):
    before = pipeline.predict_proba(X)
    calibrated = CalibratedClassifierCV(FrozenEstimator(pipeline)).fit(X, Y)
    assert in_rows(calibrated.predict_proba(X))
    assert np.array_equal(pipeline.predict_proba(X), before)


def test_a_threshold_is_tuned():
    tuned = TunedThresholdClassifierCV(quick_pipeline(), cv=2, scoring="balanced_accuracy")
    tuned.fit(X, Y)
    positive = tuned.predict_proba(X)[:, 1] >= tuned.best_threshold_
    assert np.array_equal(tuned.predict(X), positive.astype(int))


def test_pipelines_vote():
    members = [("a", quick_pipeline()), ("b", quick_pipeline(random_state=1))]
    voting = VotingClassifier(members, voting="soft").fit(X, Y)
    mean = np.mean([member.predict_proba(X) for member in voting.estimators_], axis=0)
    np.testing.assert_allclose(voting.predict_proba(X), mean)


def test_pipelines_are_stacked():
    members = [("a", quick_pipeline()), ("b", quick_pipeline(random_state=1))]
    stacking = StackingClassifier(members, cv=2).fit(X, Y)
    assert in_rows(stacking.predict_proba(X))
    assert stacking.transform(X).shape == (48, 2)


def test_memory_caches_the_steps_before_the_network(tmp_path, pipeline):
    cached = quick_pipeline(memory=str(tmp_path))
    for _ in range(2):
        cached = clone(cached).fit(X, Y)
        assert np.array_equal(cached.predict_proba(X), pipeline.predict_proba(X))
    assert any(tmp_path.rglob("output.pkl"))


# --- metadata and tags

WEIGHTS = np.where(np.arange(48) % 3 == 0, 0.0, 1.0)


def test_sample_weight_is_routed_through_pipeline_and_search():
    by_hand = quick_pipeline().fit(X, Y, cnnclassifier__sample_weight=WEIGHTS)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = quick_pipeline()
        routed[-1].set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(routed, {"cnnclassifier__epochs": [1]}, cv=2)
        search.fit(X, Y, sample_weight=WEIGHTS)
        folds = cross_validate(routed, X, Y, cv=2, params={"sample_weight": WEIGHTS})
    assert np.array_equal(search.predict_proba(X), by_hand.predict_proba(X))
    assert search.cv_results_["mean_test_score"][0] == folds["test_score"].mean()


def test_weights_that_nobody_asked_for_are_refused():
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(quick_pipeline(), {"cnnclassifier__epochs": [1]}, cv=2)
        with pytest.raises(ValueError, match=r"sample_weight.*not explicitly set as requested"):
            search.fit(X, Y, sample_weight=WEIGHTS)


def test_partial_fit_s_weights_and_classes_can_be_requested():
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = quick_pipeline()[-1].set_partial_fit_request(sample_weight=True, classes=True)
    requests = classifier.get_metadata_routing().partial_fit.requests
    assert requests == {"classes": True, "sample_weight": True}


def test_the_tags_of_the_classifier_show_through_the_pipeline(pipeline):
    assert is_classifier(pipeline)
    assert not get_tags(pipeline).classifier_tags.multi_class
    assert pipeline.classes_.tolist() == [0, 1]


def test_set_output_pandas_does_not_reach_the_images(pipeline):
    with sklearn.config_context(transform_output="pandas"):
        again = quick_pipeline().fit(X, Y)
        assert np.array_equal(again.predict_proba(X), pipeline.predict_proba(X))

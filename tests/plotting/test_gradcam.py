"""Grad-CAM, on whichever backend Keras runs."""

import random

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from support.tiny import linear, quick, quick_pipeline

from pcam_sklearn import load_pretrained
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.plotting import GradCamDisplay, grad_cam

SIDE = 18


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def averaging(input_shape):
    """Return a network whose map is known: 1x1 convolution, mean, logistic regression."""
    inputs = keras.Input(input_shape)
    maps = keras.layers.Conv2D(2, 1, name="maps")(inputs)
    mean = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="end")(mean))


def residual(input_shape):
    """Return a network in which a branch bypasses the last convolution."""
    inputs = keras.Input(input_shape)
    stem = keras.layers.Conv2D(2, 3, padding="same", name="stem")(inputs)
    branch = keras.layers.Conv2D(2, 3, padding="same", name="branch")(stem)
    joined = keras.layers.Add(name="joined")([stem, branch])
    mean = keras.layers.GlobalAveragePooling2D()(joined)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(mean))


@pytest.fixture(scope="module")
def patches():
    rng = np.random.default_rng(0)
    return rng.random((20, SIDE, SIDE, 3), dtype=np.float32), np.arange(20) % 2


@pytest.fixture(scope="module")
def fitted(patches):
    classifier = quick(network=averaging).fit(*patches)
    rng = np.random.default_rng(1)
    classifier.model_.set_weights([rng.normal(size=w.shape) for w in classifier.model_.weights])
    return classifier


def by_hand(classifier, X):
    maps = classifier.model_.get_layer("maps")
    features = X @ np.asarray(maps.get_weights()[0])[0, 0] + maps.get_weights()[1]
    weights = classifier.model_.get_layer("end").get_weights()[0][:, 0]
    heat = np.maximum(features @ weights, 0)
    peak = heat.max(axis=(1, 2), keepdims=True)
    return heat / np.where(peak > 0, peak, 1)


def test_the_map_is_the_one_computed_by_hand(fitted, patches):
    X = patches[0][:4]
    np.testing.assert_allclose(grad_cam(fitted, X), by_hand(fitted, X), atol=1e-5)


@pytest.mark.slow
def test_a_search_has_the_map_of_the_pipeline_that_it_refitted(patches):
    grid = {"cnnclassifier__network": [averaging]}
    search = GridSearchCV(quick_pipeline(), grid, cv=2).fit(*patches)
    expected = grad_cam(search.best_estimator_, patches[0][:4])
    np.testing.assert_array_equal(grad_cam(search, patches[0][:4]), expected)


def test_a_certain_prediction_keeps_its_map(fitted, patches):
    X = patches[0][:4]
    classifier = quick(network=averaging).fit(*patches)
    weights = fitted.model_.get_weights()
    classifier.model_.set_weights([*weights[:3], weights[3] + 200])
    assert classifier.predict_proba(X)[:, 1].min() == 1
    np.testing.assert_allclose(grad_cam(classifier, X), grad_cam(fitted, X), atol=1e-5)


def test_what_speaks_against_the_class_is_another_map(fitted, patches):
    X = patches[0][:4]
    both = grad_cam(fitted, X) * grad_cam(fitted, X, positive=False)
    np.testing.assert_allclose(both, 0, atol=1e-6)


def test_the_model_and_the_random_state_stay_as_they_were(fitted, patches):
    before = fitted.predict_proba(patches[0]), random.getstate(), fitted.model_.to_json()
    grad_cam(fitted, patches[0][:1])
    np.testing.assert_array_equal(fitted.predict_proba(patches[0]), before[0])
    assert (random.getstate(), fitted.model_.to_json()) == before[1:]
    assert fitted.model_.get_layer("maps").output is not None


@pytest.mark.slow
def test_of_a_residual_network_the_joined_maps_are_taken(patches):
    classifier = quick(network=residual).fit(*patches)
    default = grad_cam(classifier, patches[0][:2])
    np.testing.assert_array_equal(default, grad_cam(classifier, patches[0][:2], layer="joined"))


def test_bytes_and_floats_give_one_map(fitted):
    X = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    floats = (X / 255).astype(np.float32)
    np.testing.assert_allclose(grad_cam(fitted, X), grad_cam(fitted, floats), atol=1e-5)


def test_a_pipeline_gives_maps_of_what_it_cuts():
    X = np.random.default_rng(0).integers(0, 256, (20, 20, 20, 3), dtype=np.uint8)
    pipeline = quick_pipeline(network=averaging).fit(X, np.arange(20) % 2)
    assert grad_cam(pipeline, X[:3]).shape == (3, SIDE, SIDE)


def test_an_unknown_layer_is_an_error_that_names_the_known_ones(fitted, patches):
    with pytest.raises(ValueError, match=r"layer='conv9' is not a layer.*'maps'"):
        grad_cam(fitted, patches[0][:1], layer="conv9")


def test_a_network_without_maps_is_refused(patches):
    classifier = quick(network=linear).fit(*patches)
    with pytest.raises(ValueError, match="type one of"):
        grad_cam(classifier, patches[0][:1], layer="dense")


def nested(input_shape):
    """Return a network whose convolution lies in a network within it, behind the scaling."""
    body = keras.Sequential(
        [keras.Input(input_shape), keras.layers.Conv2D(2, 3), keras.layers.GlobalMaxPooling2D()],
        name="body",
    )
    inputs = keras.Input(input_shape)
    scaled = keras.layers.Rescaling(2.0, name="scaling")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(body(scaled)))


def test_the_scaled_image_is_no_map_of_features(patches):
    patches, y = patches
    classifier = quick(network=nested).initialize(patches, y)
    with pytest.raises(ValueError, match="'body' is a network within it, whose layers have no map"):
        grad_cam(classifier, patches)
    with pytest.raises(ValueError, match=r"layer='scaling' is not a layer with feature maps"):
        grad_cam(classifier, patches, layer="scaling")


def test_patches_of_another_size_are_refused(fitted, patches):
    with pytest.raises(ValueError, match=r"X has patches of shape \(9, 9, 3\).* was fitted"):
        grad_cam(fitted, patches[0][:, :9, :9])


def test_a_classifier_without_a_network_is_refused(patches):
    X, y = patches
    with pytest.raises(ValueError, match="DummyClassifier has no network"):
        grad_cam(DummyClassifier().fit(X, y), X)


def test_a_classifier_that_is_not_fitted_is_refused(patches):
    with pytest.raises(NotFittedError):
        grad_cam(quick(), patches[0])


def test_every_patch_is_drawn_with_and_without_its_map(fitted, patches):
    X, y = patches
    display = GradCamDisplay.from_estimator(fitted, X[:3], y[:3])
    assert [len(ax.get_images()) for ax in display.axes_.ravel()] == [1, 1, 1, 2, 2, 2]
    assert display.axes_[0, 1].get_title().startswith("label 1\npredicted 0.")


def test_labels_for_other_patches_are_refused(fitted, patches):
    with pytest.raises(ValueError, match="y has 2 labels for 3 patches"):
        GradCamDisplay.from_estimator(fitted, patches[0][:3], [0, 1])


@pytest.mark.slow
def test_a_patch_without_evidence_is_said_to_have_none():
    display = GradCamDisplay(np.ones((1, 8, 8, 3)), np.zeros((1, 8, 8)), ["a"]).plot()
    assert display.axes_[1, 0].get_title() == "no evidence"


@pytest.mark.slow
def test_a_classifier_without_an_optimizer_has_the_same_map(patches):
    classifier = quick(network=averaging).fit(*patches)
    before = grad_cam(classifier, patches[0][:2])
    np.testing.assert_array_equal(grad_cam(classifier.trim(), patches[0][:2]), before)


@pytest.mark.slow
def test_the_model_of_the_package_has_a_map(sample_folder):
    data = load_kaggle(sample_folder)
    heat = grad_cam(load_pretrained(), data.paths[:1])
    assert heat.shape == (1, 96, 96)
    assert heat.max() == 1

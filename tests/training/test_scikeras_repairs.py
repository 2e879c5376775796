"""Each repair of SciKeras: CNNClassifier keeps what plain SciKeras provably breaks."""

import json
import warnings

import keras
import numpy as np
import pytest
from scikeras.wrappers import KerasClassifier
from sklearn.base import is_classifier
from sklearn.model_selection import StratifiedKFold, check_cv, cross_val_score
from support.other_process import run_python
from support.tiny import make_data, quick

X, Y = make_data()


def build(meta, scale=1.0):
    """Return the network of `quick` from a function as SciKeras takes it."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    inputs = keras.Input(meta["X_shape_"][1:])
    return keras.Sequential([inputs, keras.layers.Rescaling(scale), *layers])


def plain(**parameters):
    """Return SciKeras' own classifier of the same network."""
    return KerasClassifier(build, loss="binary_crossentropy", verbose=0, **parameters)


def scikit_learn_takes_it_for_a_classifier(make):
    assert is_classifier(make())


def cross_validation_is_stratified(make):
    assert isinstance(check_cv(3, Y, classifier=is_classifier(make())), StratifiedKFold)


def roc_auc_of_a_search_is_a_number(make):
    scores = cross_val_score(make(), X / np.float32(255), Y, scoring="roc_auc", cv=2)
    assert np.isfinite(scores).all()


def class_weight_leaves_the_caller_s_sample_weight_alone(make):
    weights = np.ones(len(Y))
    make(class_weight={0: 2.0, 1: 3.0}).fit(X, Y, sample_weight=weights)
    assert (weights == 1).all()


def trained_on_bytes_it_takes_floats(make):
    fitted = make().fit(X, Y)
    try:
        probabilities = fitted.predict_proba(X / np.float32(255))
    except ValueError as error:
        raise AssertionError("floats refused") from error
    np.testing.assert_allclose(probabilities, fitted.predict_proba(X), atol=1e-6)


def refuses(call, **parameters):
    try:
        call(**parameters)
    except (TypeError, ValueError):
        return True
    return False


def a_mistyped_parameter_of_the_network_is_refused(make):
    assert refuses(make().set_params, model__scael=0.5)


def a_mistyped_parameter_of_fit_is_refused(make):
    assert refuses(make().set_params, fit__epoch=2)
    assert refuses(make(fit__epoch=2).fit, X=X, y=Y)


def a_mistyped_parameter_of_the_callbacks_is_refused(make):
    assert refuses(make(callbacks__patience=2).fit, X=X, y=Y)


def the_parameters_stay_what_they_were(make):
    stop = keras.callbacks.ReduceLROnPlateau("loss")
    before = dict(vars(stop))
    make(callbacks=[stop]).fit(X, Y)
    assert vars(stop) == before


def a_failed_fit_leaves_it_unfitted(make):
    classifier = make()
    assert refuses(classifier.fit, X=X, y=Y, sample_weight=-np.ones(3))
    assert not hasattr(classifier, "model_")


REPAIRS = [
    scikit_learn_takes_it_for_a_classifier,
    cross_validation_is_stratified,
    roc_auc_of_a_search_is_a_number,
    class_weight_leaves_the_caller_s_sample_weight_alone,
    trained_on_bytes_it_takes_floats,
    a_mistyped_parameter_of_the_network_is_refused,
    a_mistyped_parameter_of_fit_is_refused,
    a_mistyped_parameter_of_the_callbacks_is_refused,
    the_parameters_stay_what_they_were,
    a_failed_fit_leaves_it_unfitted,
]


@pytest.mark.slow
@pytest.mark.parametrize("holds", REPAIRS, ids=lambda holds: holds.__name__)
def test_cnnclassifier_keeps(holds):
    holds(quick)


@pytest.mark.slow
@pytest.mark.parametrize("holds", REPAIRS, ids=lambda holds: holds.__name__)
def test_plain_scikeras_breaks(holds):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AssertionError):
            holds(plain)


GLOBAL_STATE = """
import os, random
import numpy as np, tensorflow as tf
from support.other_process import print_from_fork
from training import test_scikeras_repairs as repairs

def draws():
    return [random.random(), np.random.rand(), float(tf.random.normal(()))]

def seed():
    random.seed(1), np.random.seed(1), tf.random.set_seed(1)
    return draws()

def traces_of(make):
    environment = dict(os.environ)
    make(random_state=0).fit(repairs.X, repairs.Y)
    found = {"environment": dict(os.environ) == environment}
    try:
        tf.random.normal(())
        found["unseeded"] = "allowed"
    except RuntimeError as error:
        found["unseeded"] = str(error)

    seed()
    expected = draws()
    seed()
    make(random_state=0).fit(repairs.X, repairs.Y)
    found["goes on"] = [a == b for a, b in zip(draws(), expected, strict=True)]
    return found

for make in (repairs.quick, repairs.plain):
    print_from_fork(lambda: traces_of(make))
"""


@pytest.fixture(scope="module")
def global_state():
    """Return the traces of fits with random_state: of ours and of theirs, in a fork each.

    TensorFlow remembers whether determinism is on once it has been asked, and SciKeras asks
    after it has set the variable that turns it on. Two fits in one process would see each other.
    """
    output, _ = run_python("-c", GLOBAL_STATE)
    return dict(zip(("quick", "plain"), map(json.loads, output.splitlines()), strict=True))


@pytest.mark.slow
def test_random_state_leaves_tensorflow_free_to_draw_unseeded_numbers(global_state):
    assert global_state["quick"]["unseeded"] == "allowed"


@pytest.mark.slow
def test_random_state_of_plain_scikeras_leaves_op_determinism_switched_on(global_state):
    assert "determinism" in global_state["plain"]["unseeded"]


@pytest.mark.slow
def test_random_state_does_not_disturb_the_random_numbers_of_the_process(global_state):
    assert global_state["quick"]["goes on"] == [True, True, True]


@pytest.mark.slow
def test_random_state_of_plain_scikeras_restarts_the_random_numbers_of_tensorflow(global_state):
    assert global_state["plain"]["goes on"] == [True, True, False]


@pytest.mark.slow
def test_random_state_leaves_the_environment_alone(global_state):
    assert global_state["quick"]["environment"]

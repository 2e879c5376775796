"""Networks, losses, metrics, optimizers and callbacks of a user: fitted, copied, saved.

`support.own_parts` lists all of them, and combines them to a few classifiers.
"""

import copy
import io
import json
import pickle

import cloudpickle
import joblib
import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from support.other_process import run_python
from support.own_parts import GRID, KITS, Count, local_network, own_layer
from support.tiny import linear, make_data, quick

pytestmark = pytest.mark.slow

X, Y = make_data()


def dump_by_joblib(value):
    joblib.dump(value, io.BytesIO())


@pytest.fixture(scope="module")
def classifiers():
    return {name: quick(**parameters).fit(X, Y) for name, parameters in KITS.items()}


@pytest.fixture(params=KITS)
def fitted(request, classifiers):
    return classifiers[request.param]


@pytest.fixture(scope="module")
def in_a_fresh_process(classifiers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for name, classifier in classifiers.items():
        later = copy.deepcopy(classifier).partial_fit(X, Y).predict_proba(X)
        content = classifier, classifier.predict_proba(X), later
        joblib.dump(content, folder / f"{name}.joblib")
    return json.loads(run_python("-m", "support.own_parts", str(folder))[0])


def test_pickle_gives_the_same_probabilities(fitted):
    back = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(back.predict_proba(X), fitted.predict_proba(X))


def test_cloudpickle_gives_the_same_probabilities(fitted):
    back = pickle.loads(cloudpickle.dumps(fitted))
    assert np.array_equal(back.predict_proba(X), fitted.predict_proba(X))


def test_a_copy_trains_on_as_the_original_does(fitted):
    copies = [copy.deepcopy(fitted), copy.copy(fitted)]
    first, second = [copied.partial_fit(X, Y).predict_proba(X) for copied in copies]
    assert np.array_equal(first, second)
    assert fitted.n_iter_ == 1


def test_a_clone_learns_the_same(fitted):
    again = clone(fitted).fit(X, Y)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.history_ == fitted.history_


@pytest.mark.parametrize("name", KITS)
def test_joblib_gives_the_same_in_a_fresh_process_and_trains_on(name, in_a_fresh_process):
    assert in_a_fresh_process["loaded"][name] <= 1e-6


def test_parts_of_the_main_program_are_copied_as_well(in_a_fresh_process):
    assert max(in_a_fresh_process["main"].values()) == 0


def test_workers_return_fitted_estimators_and_searches_in_two_processes(in_a_fresh_process):
    scores = in_a_fresh_process["workers"]
    assert len(scores) == len(KITS) + 6
    assert np.isfinite(np.concatenate(list(scores.values()))).all()


def test_a_grid_search_takes_instances_as_candidates():
    search = GridSearchCV(quick(), GRID, cv=2, scoring="roc_auc").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    back = pickle.loads(pickle.dumps(search))
    assert np.array_equal(back.predict_proba(X), search.predict_proba(X))


@pytest.mark.parametrize("dumps", [pickle.dumps, dump_by_joblib], ids=["pickle", "joblib"])
@pytest.mark.parametrize("parameter", ["network", "loss", "callbacks"])
def test_what_pickle_cannot_find_is_an_error_that_says_to_move_it(dumps, parameter):
    value = local_network() if parameter == "network" else type("Local", (Count,), {})
    with pytest.raises(pickle.PicklingError, match=rf"{parameter}=.*top level of a module"):
        dumps(quick(**{parameter: value}))


@pytest.mark.parametrize("dumps", [pickle.dumps, dump_by_joblib], ids=["pickle", "joblib"])
def test_what_a_network_was_built_from_is_looked_for_too(dumps):
    fitted = quick(network=local_network()).initialize(X, Y).set_params(network="notebook")
    with pytest.raises(pickle.PicklingError, match=r"network=.*top level of a module"):
        dumps(fitted)


def test_cloudpickle_and_copies_take_local_functions():
    fitted = quick(network=local_network()).fit(X, Y)
    expected = fitted.predict_proba(X)
    back = pickle.loads(cloudpickle.dumps(fitted))
    for again in (back, copy.deepcopy(fitted), copy.copy(fitted)):
        assert np.array_equal(again.predict_proba(X), expected)


def test_a_network_that_its_function_no_longer_builds_is_an_error():
    fitted = quick(network=own_layer).fit(X, Y)
    state = fitted.__getstate__()
    state["trainer_"]["built_from"]["parameters"]["network"] = linear
    with pytest.raises(ValueError, match=r"other layers than the one that was saved"):
        quick().__setstate__(state)


def test_arrays_of_another_network_are_an_error():
    state = quick(network=own_layer).fit(X, Y).__getstate__()
    del state["trainer_"]["weights"]["sequential/scale/variable"]
    with pytest.raises(ValueError, match=r"is not the one whose values were saved.*scale"):
        quick().__setstate__(state)


def test_an_argument_that_cannot_be_copied_is_an_error_that_says_where_to_keep_it():
    class Forgetful(keras.metrics.Mean):
        def __init__(self, lost=1, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(ValueError, match=r"Forgetful cannot be copied.*'lost'"):
        copy.copy(Forgetful(2))


def test_pretrained_weights_are_not_read_again(tmp_path):
    side = 32
    patches, labels = make_data(8, side)
    path = tmp_path / "some.weights.h5"
    base = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(side, side, 3), pooling="avg"
    )
    base.save_weights(path)
    fitted = quick(network="transfer", model__weights=str(path)).initialize(patches, labels)
    expected = fitted.predict_proba(patches)
    path.unlink()
    back = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(back.predict_proba(patches), expected)


def test_a_trimmed_classifier_predicts_the_same_is_smaller_and_trains_on(tmp_path):
    fitted = quick(optimizer="adam", network=own_layer).fit(X, Y)
    expected, size = fitted.predict_proba(X), len(pickle.dumps(fitted))
    back = pickle.loads(pickle.dumps(fitted.trim()))
    assert np.array_equal(back.predict_proba(X), expected)
    assert len(pickle.dumps(back)) < 0.6 * size
    assert back.partial_fit(X, Y).n_iter_ == 2


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_layers_that_were_freed_or_frozen_later_stay_so(optimizer):
    fitted = quick(network=own_layer, optimizer=optimizer, warm_start=True).fit(X, Y)
    fitted.model_.layers[-1].trainable = False
    fitted.trim().fit(X, Y)
    back = pickle.loads(pickle.dumps(fitted))
    expected = fitted.partial_fit(X, Y).predict_proba(X)
    assert np.array_equal(back.partial_fit(X, Y).predict_proba(X), expected)

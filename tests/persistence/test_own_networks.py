"""A network of the user's own comes back by the function that built it, and by no other one."""

import functools

import keras
import numpy as np
import pytest
from support.model_files import X, built_pipeline, put_together, take_apart
from support.tiny import linear

from pcam_sklearn.persistence import ModelFileError, load_model, save_model


def relu(input_shape, act="relu"):
    layers = [keras.layers.Flatten(), keras.layers.Dense(8, activation=act)]
    output = keras.layers.Dense(1, activation="sigmoid", dtype="float32")
    return keras.Sequential([keras.Input(input_shape), *layers, output])


def tanh(input_shape):
    return relu(input_shape, act="tanh")


class Noise(keras.layers.Layer):
    """Numbers that are drawn in predictions too."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.uniform(keras.ops.shape(x), -9, 9, seed=self.seed_generator)


def noisy(input_shape):
    layers = [keras.layers.Flatten(), keras.layers.Dense(1), Noise()]
    return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Activation("sigmoid")])


def own(network, **changes):
    return built_pipeline(network=network, filters=None, dense_units=None, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pcam"


@pytest.mark.parametrize("network", [tanh, functools.partial(relu, act="tanh")])
def test_a_function_that_builds_the_same_layers_with_other_activations_is_refused(network, path):
    save_model(own(relu), path)
    with pytest.raises(ModelFileError, match=r"(tanh|relu with act)' builds another network than"):
        load_model(path, network=network)


def test_a_function_with_a_value_for_an_argument_is_told_by_the_name_of_the_argument(path):
    save_model(own(functools.partial(relu, act="tanh")), path)
    with pytest.raises(ModelFileError, match=r"'partial of .*relu with act'; import that function"):
        load_model(path)


def test_a_function_with_a_value_for_an_argument_is_not_mistaken_for_the_bare_function(path):
    save_model(own(functools.partial(relu, act="tanh")), path)
    with pytest.raises(ModelFileError, match=r"relu' builds another .* its arguments had then"):
        load_model(path, network=relu)


@pytest.mark.parametrize("options", [{}, {"dtype": "float16"}], ids=str)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_function_that_built_the_network_is_taken(policy, options, path):
    pipeline = own(relu, dtype_policy=policy)
    save_model(pipeline, path, **options)
    back = load_model(path, network=relu)
    np.testing.assert_allclose(back.predict_proba(X), pipeline.predict_proba(X), atol=0.01)


def test_a_file_of_an_earlier_version_holds_no_probabilities(path):
    save_model(own(relu), path)
    members, manifest = take_apart(path)
    del manifest["estimators"][2]["network"]["probabilities"]
    put_together(path, members, manifest)
    assert load_model(path, network=relu)[-1].network is relu


@pytest.mark.parametrize("forged", [[0.5], "x", [None] * 8, {"float": "nan"}], ids=str)
def test_probabilities_of_another_form_are_refused(forged, path):
    save_model(own(relu), path)
    members, manifest = take_apart(path)
    manifest["estimators"][2]["network"]["probabilities"] = forged
    put_together(path, members, manifest)
    with pytest.raises(ModelFileError, match="the probabilities of its network must be 8 numbers"):
        load_model(path, network=relu)


def test_a_network_that_draws_numbers_in_predictions_is_saved_without_them_and_as_it_was(path):
    pipeline = own(noisy)
    before = [np.array(v) for v in pipeline[-1].model_.variables]
    save_model(pipeline, path)
    manifest = take_apart(path)[1]
    assert manifest["estimators"][2]["network"]["probabilities"] is None
    for old, now in zip(before, pipeline[-1].model_.variables, strict=True):
        np.testing.assert_array_equal(old, np.array(now))
    assert load_model(path, network=noisy)[-1].network is noisy


def test_a_network_whose_probabilities_are_nan_is_saved_without_them(path):
    pipeline = own(linear)
    pipeline[-1].model_.set_weights(
        [np.full_like(w, np.nan) for w in pipeline[-1].model_.get_weights()]
    )
    save_model(pipeline, path)
    assert load_model(path, network=linear)[-1].network is linear


def test_a_network_of_the_package_is_known_by_its_name_alone(path):
    save_model(built_pipeline(), path)
    assert "probabilities" not in take_apart(path)[1]["estimators"][2]["network"]

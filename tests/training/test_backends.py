"""TensorFlow, JAX and PyTorch load what was saved here, and train, each in a fresh process."""

import numpy as np
import pandas as pd
import pytest
from support import backend_probe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return backend_probe.saved_pipeline(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module", params=backend_probe.BACKENDS)
def found(request, saved):
    return backend_probe.probe(request.param, saved[0])


def test_a_loaded_pipeline_gives_the_probabilities_of_the_saved_one(found, saved):
    _, X, pipeline = saved
    np.testing.assert_allclose(found["arrays"]["loaded"], pipeline.predict_proba(X), atol=1e-5)
    assert found["history"] == pipeline[-1].history_


def test_a_loaded_pipeline_is_trained_on(found, saved):
    assert found["n_iter"] == saved[2][-1].n_iter_ + 1
    assert not np.array_equal(found["arrays"]["one more epoch"], found["arrays"]["loaded"])


def test_the_same_random_state_gives_the_same_bits_twice(found):
    assert np.array_equal(found["arrays"]["first"], found["arrays"]["second"])


def test_patches_that_stay_on_the_device_train_as_those_handed_over_batch_by_batch(found):
    arrays = found["arrays"]
    assert np.array_equal(arrays["handed over batch by batch"], arrays["second"])


def test_fits_and_predictions_in_threads_give_what_they_give_one_by_one(found):
    assert np.array_equal(found["arrays"]["in threads"], found["arrays"]["one by one"])


def test_the_whole_recipe_works_in_16_bits(found):
    probabilities = found["arrays"]["the whole recipe in 16 bits"]
    assert np.isfinite(probabilities).all()
    assert len(np.unique(probabilities)) > 40


def test_averaged_weights_are_predicted_with_saved_and_trained_on_watched_or_not(found):
    arrays = found["arrays"]
    assert np.array_equal(arrays["averaged"], arrays["averaged and watched"])
    assert not np.array_equal(arrays["averaged"], arrays["not averaged"])


def test_the_model_of_the_package_gives_the_same_probabilities(found):
    expected = pd.read_csv(backend_probe.DATA / "pretrained.csv")["probability"][:4]
    np.testing.assert_allclose(found["arrays"]["pretrained"][:, 1], expected, atol=1e-5)


def test_probabilities_are_probabilities(found):
    probabilities = found["arrays"]["first"]
    assert probabilities.shape == (40, 2)
    assert (probabilities.sum(axis=1) == 1).all()
    assert len(np.unique(probabilities[:, 1])) > 1


def test_they_do_not_depend_on_the_batch_size_or_on_bytes_or_floats(found):
    assert found["small batches"] <= 1e-6
    assert found["floats"] <= 1e-6


def test_the_history_has_the_same_names(found):
    names = ["accuracy", "auc", "loss"]
    assert found["history keys"] == names + [f"val_{name}" for name in names]


def test_the_random_numbers_of_the_process_go_on(found):
    assert found["random state as before"]

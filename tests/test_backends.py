"""The same script on TensorFlow, JAX and PyTorch; each in a process of its own."""

import numpy as np
import other_process
import pytest


@pytest.fixture(scope="module", params=other_process.BACKENDS)
def found(request, tmp_path_factory):
    folder, _ = other_process.saved_pipeline(tmp_path_factory.getbasetemp())
    return other_process.run(request.param, folder)


def test_the_same_random_state_gives_the_same_bits_twice(found):
    assert np.array_equal(found["arrays"]["first"], found["arrays"]["second"])


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

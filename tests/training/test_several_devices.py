"""One fit on two devices learns what it learns on one, each framework in a fresh process."""

import numpy as np
import pytest
from support import several_devices

from pcam_sklearn._training._data import check_shares, watched_batch_size

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def on_jax():
    return several_devices.find("jax")


@pytest.fixture(scope="module")
def on_tensorflow():
    return several_devices.find("tensorflow")


@slow
@pytest.mark.parametrize("fit", ["the default recipe", "batches from Python"])
@pytest.mark.parametrize("what", ["weights", "probabilities", "val_loss"])
def test_two_devices_learn_on_jax_what_one_learns(on_jax, fit, what):
    assert on_jax[fit][what] <= 1e-5


@slow
def test_the_distribution_stays_as_the_user_has_set_it(on_jax):
    assert on_jax["distribution as before"]


@slow
@pytest.mark.parametrize(
    "fit",
    ["weights and slides", "one in the last batch", "one uneven batch", "batches from Python"],
)
@pytest.mark.parametrize("what", ["weights", "probabilities", "val_loss"])
def test_two_replicas_learn_on_tensorflow_what_one_learns(on_tensorflow, fit, what):
    assert on_tensorflow[fit][what] <= 1e-5


@slow
def test_the_default_recipe_runs_on_two_replicas(on_tensorflow):
    assert np.isfinite(on_tensorflow["the default recipe"]).all()


@slow
def test_a_strategy_of_one_device_gives_the_bits_of_no_strategy(on_tensorflow):
    assert on_tensorflow["one device"] == {"weights": 0, "probabilities": 0, "val_loss": 0}


@pytest.fixture(params=["jax", "tensorflow"])
def on_either(request):
    return request.getfixturevalue(f"on_{request.param}")


@slow
def test_a_network_is_trained_on_wherever_the_next_fit_runs(on_either):
    assert on_either["moves"]["epochs"] in (3, 4)
    assert on_either["moves"]["gap"] <= 1e-6


@slow
def test_a_saved_pipeline_is_loaded_on_one_device_and_on_two(on_either):
    assert on_either["file"] <= 1e-6


@slow
def test_a_search_runs_on_two_devices(on_either):
    assert all(0 <= score <= 1 for score in on_either["search"])


@slow
def test_batches_that_do_not_divide_are_an_error_with_those_that_do(on_either):
    assert on_either["15 patches"].startswith("batch_size=15 does not divide among 2 devices")


@slow
def test_several_steps_per_call_are_an_error_with_several_replicas(on_tensorflow):
    assert "compile__steps_per_execution=4 fails in Keras" in on_tensorflow["steps"]


@slow
def test_two_strategies_that_tensorflow_mixes_up_are_an_error_with_what_to_do(on_tensorflow):
    assert "cross_device_ops=tf.distribute.Reduc" in on_tensorflow["a second strategy"]


@slow
def test_another_strategy_is_an_error_with_those_that_work(on_tensorflow):
    assert "tf.distribute.MirroredStrategy or" in on_tensorflow["another strategy"]


@slow
def test_a_distribution_of_keras_on_tensorflow_is_an_error_with_what_to_use(on_tensorflow):
    assert "in the scope of a tf.distribute.MirroredStrategy" in on_tensorflow["keras.distribution"]


@slow
def test_a_distribution_of_keras_on_pytorch_is_an_error_with_what_to_use():
    assert "KERAS_BACKEND=jax" in several_devices.find("torch")["keras.distribution"]


@pytest.mark.parametrize(
    ("batch_size", "n_devices", "what_to_type"),
    [(15, 2, "batch_size=14 or batch_size=16"), (3, 8, "type batch_size=8"), (9, 4, "8 or .*12")],
)
def test_the_nearest_batch_sizes_that_divide_are_named(batch_size, n_devices, what_to_type):
    with pytest.raises(ValueError, match=what_to_type):
        check_shares(batch_size, n_devices)


def test_a_batch_that_divides_is_none_of_its_business():
    check_shares(16, 8)


def test_held_out_patches_come_in_batches_that_all_devices_share():
    assert [watched_batch_size(300, 256, n) for n in (1, 2, 3)] == [256, 256, 258]

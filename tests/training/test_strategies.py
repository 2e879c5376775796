"""Under a `tf.distribute` strategy all replicas train one network, on their shares of a batch.

As a script, ``python -m training.test_strategies`` splits the processor and prints the losses.
"""

import contextlib
import json

import keras
import numpy as np
import pytest
from support.other_process import run_python
from support.tiny import make_data, quick

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="strategies are TensorFlow's"
    ),
]

X, Y = make_data()


def losses(strategy):
    """Return the loss of each epoch of a classifier that draws no random numbers in training."""
    with strategy:
        fitted = quick(epochs=2, optimizer="adam", schedule="cosine").fit(X, Y)
        assert fitted.predict_proba(X).shape == (len(X), 2)
    return fitted.history_["loss"]


def main():
    """Print the losses of two replicas."""
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, two)
    print(json.dumps(losses(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())))


@pytest.fixture(scope="module")
def without_a_strategy():
    return losses(contextlib.nullcontext())


def test_one_replica_trains_as_without_a_strategy(without_a_strategy):
    import tensorflow as tf

    one = losses(tf.distribute.MirroredStrategy(["CPU:0"]).scope())
    np.testing.assert_allclose(one, without_a_strategy, rtol=1e-4)


def test_two_replicas_train_as_one_process_does(without_a_strategy):
    output, _ = run_python("-m", "training.test_strategies")
    two = json.loads(output.splitlines()[-1])
    np.testing.assert_allclose(two, without_a_strategy, rtol=1e-4)


if __name__ == "__main__":
    main()

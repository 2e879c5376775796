"""Under a `tf.distribute` strategy all replicas train one network, on their shares of a batch.

As a script, ``python -m training.test_strategies`` splits the processor and prints the losses.
"""

import contextlib
import json

import keras
import numpy as np
import pytest
from support.other_process import run_python
from support.tiny import make_data, small

X, Y = make_data()


def losses(strategy):
    """Return the loss of each epoch of a classifier that draws no random numbers in training."""
    with strategy:
        classifier = small(dropout=0, augment=None, schedule="cosine", early_stopping=False)
        fitted = classifier.fit(X, Y)
        assert fitted.predict_proba(X).shape == (len(X), 2)
    return fitted.history_["loss"]


def main():
    """Print the losses of two replicas."""
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, two)
    print(json.dumps(losses(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())))


on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="strategies are TensorFlow's"
)


@on_tensorflow
def test_one_replica_trains_as_without_a_strategy():
    import tensorflow as tf

    one = losses(tf.distribute.MirroredStrategy(["CPU:0"]).scope())
    np.testing.assert_allclose(one, losses(contextlib.nullcontext()), rtol=1e-4)


@on_tensorflow
def test_two_replicas_train_as_one_process_does():
    output, _ = run_python("-m", "training.test_strategies")
    alone = losses(contextlib.nullcontext())
    np.testing.assert_allclose(json.loads(output.splitlines()[-1]), alone, rtol=1e-4)


if __name__ == "__main__":
    main()

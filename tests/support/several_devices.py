"""Fits on two devices made of one processor, compared with fits on one.

As a script, ``KERAS_BACKEND=jax python -m support.several_devices jax`` prints findings as JSON.
"""

import contextlib
import copy
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from support.backend_probe import CACHE_OF_JAX
from support.other_process import run_python

TWO_FOR_JAX = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
N_PATCHES, BATCH = 47, 16  # A batch that does not divide comes last, held-out patches or none.


def find(framework):
    """Return the findings of this script, or skip the test if the framework is absent."""
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"needs {framework}, which is not installed")
    variables = {**TWO_FOR_JAX, **CACHE_OF_JAX} if framework == "jax" else {}
    output, _ = run_python(
        "-m", "support.several_devices", framework, KERAS_BACKEND=framework, **variables
    )
    return json.loads(output.splitlines()[-1])


def values(classifier):
    """Return the weights of a classifier, without the seeds of its layers."""
    import keras

    variables = [v for v in classifier.model_.variables if "seed" not in v.path]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def gap(one, other):
    """Return the largest difference between two lists of arrays."""
    return max(float(abs(a - b).max()) for a, b in zip(one, other, strict=True))


def message(call):
    """Return the message of the error that a call raises."""
    try:
        call()
    except (ValueError, RuntimeError) as error:
        return str(error)
    return "no error"


class Probe:
    """Fits on one device and under scopes, on the same patches."""

    def __init__(self, scope, side):
        from support.tiny import make_data

        self.scope = scope
        self.X, self.y = make_data(N_PATCHES, side=side)
        self.extras = {
            "sample_weight": np.linspace(0.5, 1.5, N_PATCHES),
            "groups": np.arange(N_PATCHES) // 2,
        }

    def differences(self, make, n=N_PATCHES, **extras):
        """Return the differences of weights, probabilities and history from those of one device."""
        X, y = self.X[:n], self.y[:n]
        one = make().fit(X, y, **extras)
        with self.scope():
            two = make().fit(X, y, **extras)
            probabilities = two.predict_proba(self.X[:37])
        return {
            "weights": gap(values(one), values(two)),
            "probabilities": gap([one.predict_proba(self.X[:37])], [probabilities]),
            "val_loss": gap(*[[np.array(c.history_.get("val_loss", 0))] for c in (one, two)]),
        }

    def moves(self, scopes, make):
        """Train one network in turn under scopes, and return the epochs and the last gap.

        A copy that goes on without a scope must predict as the one that stays, which is trained no
        further.
        """
        with scopes[0]():
            classifier = make().fit(self.X, self.y)
        for scope in scopes[1:]:
            with scope():
                classifier.partial_fit(self.X, self.y)
                inside = copy.deepcopy(classifier).predict_proba(self.X)
        outside = classifier.predict_proba(self.X)
        return {"epochs": classifier.n_iter_, "gap": gap([inside], [outside])}

    def file(self):
        """Save a pipeline under the scope, and return how far it is off when loaded, both ways."""
        from pcam_sklearn.persistence import load_model, save_model
        from support.tiny import PATCH_SIDE, make_data, quick_pipeline

        X, y = make_data(N_PATCHES, side=PATCH_SIDE)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.pcam")
            with self.scope():
                pipeline = quick_pipeline(network="residual", filters=(2, 4)).fit(X, y)
                save_model(pipeline, path)
                loaded = load_model(path)
                inside = loaded.predict_proba(X)
                loaded[-1].partial_fit(loaded[:-1].transform(X), y)
            outside = load_model(path).predict_proba(X)
        saved = pipeline.predict_proba(X)
        return max(gap([saved], [inside]), gap([saved], [outside]))

    def search(self):
        """Search under the scope, and return the scores."""
        from sklearn.model_selection import GridSearchCV

        from support.tiny import quick

        with self.scope():
            search = GridSearchCV(quick(), {"batch_size": [16]}, cv=2, error_score="raise")
            return search.fit(self.X, self.y).cv_results_["mean_test_score"].tolist()

    def from_python(self, make):
        """Return the differences for patches that are handed over batch by batch."""
        from pcam_sklearn._reading import _batches

        kept, _batches._TRAIN_IN_MEMORY = _batches._TRAIN_IN_MEMORY, 0
        try:
            return self.differences(make)
        finally:
            _batches._TRAIN_IN_MEMORY = kept


def recipe(**changes):
    """Return a classifier with the default recipe, on the smallest network that normalizes."""
    from pcam_sklearn import CNNClassifier

    watched = {"validation_fraction": 0.25, "early_stopping": True, "n_iter_no_change": 1}
    settings = {"network": "residual", "filters": (2, 4), "epochs": 3, "batch_size": BATCH}
    return CNNClassifier(**{**settings, **watched, "random_state": 0, **changes})


def jax_findings():
    """Return the findings on JAX."""
    import keras

    from support.tiny import quick

    distribution = keras.distribution.DataParallel()
    probe = Probe(distribution.scope, side=32)
    nothing = contextlib.nullcontext
    found = {
        "the default recipe": probe.differences(recipe, **probe.extras),
        "batches from Python": probe.from_python(lambda: quick(epochs=2)),
        "moves": probe.moves([nothing, distribution.scope, nothing], lambda: quick()),
        "file": probe.file(),
        "search": probe.search(),
    }
    keras.distribution.set_distribution(distribution)
    found["15 patches"] = message(lambda: quick(batch_size=15).fit(probe.X, probe.y))
    quick().fit(probe.X, probe.y)
    found["distribution as before"] = keras.distribution.distribution() is distribution
    return found


def tensorflow_findings():
    """Return the findings on TensorFlow."""
    import keras
    import tensorflow as tf

    from support.tiny import quick, small

    (processor,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, two)
    devices, other_sum = ["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice()
    a = tf.distribute.MirroredStrategy(devices)
    b = tf.distribute.MirroredStrategy(devices, cross_device_ops=other_sum)
    probe = Probe(a.scope, side=18)
    nothing = contextlib.nullcontext

    def exact(**changes):  # It draws no random numbers in training and normalizes nothing.
        settings = {
            "augment": None,
            "dropout": 0.0,
            "validation_fraction": 0.25,
            "batch_size": BATCH,
        }
        return small(**{**settings, **changes})

    alone = {"validation_fraction": 0, "early_stopping": False}
    found = {
        "weights and slides": probe.differences(exact, **probe.extras),
        "one in the last batch": probe.differences(lambda: exact(**alone), n=33),
        "one uneven batch": probe.differences(lambda: exact(**alone, batch_size=64)),
        "batches from Python": probe.from_python(quick),
        "moves": probe.moves([a.scope, b.scope, nothing, a.scope], lambda: quick()),
        "file": probe.file(),
        "search": probe.search(),
    }
    with a.scope():
        losses = recipe(epochs=1).fit(probe.X, probe.y).history_["loss"]
        found["steps"] = message(
            lambda: quick(compile__steps_per_execution=4).fit(probe.X, probe.y)
        )
        found["15 patches"] = message(lambda: quick(batch_size=15).fit(probe.X, probe.y))
    found["the default recipe"] = losses
    probe.scope = tf.distribute.OneDeviceStrategy("CPU:1").scope
    found["one device"] = probe.differences(quick)
    with tf.distribute.experimental.CentralStorageStrategy(["CPU:0", "CPU:1"]).scope():
        found["another strategy"] = message(lambda: quick().fit(probe.X, probe.y))
    found["keras.distribution"] = with_distribution(keras, probe)
    # The last one: TensorFlow sums nothing any more in this process.
    with tf.distribute.MirroredStrategy(devices).scope():
        found["a second strategy"] = message(lambda: exact(**alone).fit(probe.X, probe.y))
    return found


def torch_findings():
    """Return the findings on PyTorch, which Keras 3.15 does not distribute."""
    import keras

    return {"keras.distribution": with_distribution(keras, Probe(None, side=18))}


def with_distribution(keras, probe):
    """Return the message of a fit under `keras.distribution`."""
    from support.tiny import quick

    with keras.distribution.DataParallel(devices=["cpu:0"]).scope():
        return message(lambda: quick().fit(probe.X, probe.y))


if __name__ == "__main__":
    print(json.dumps(globals()[f"{sys.argv[1]}_findings"]()))

"""Networks, losses, metrics, optimizers and callbacks of a user's own, in every form.

As a script, ``python -m support.own_parts FOLDER`` loads every classifier that was saved there, and
copies one whose parts the script itself defines. It prints differences of probabilities.
"""

import copy
import functools
import json
import pickle
import sys
from pathlib import Path

import joblib
import keras
import numpy as np
from keras import ops
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate

from support.tiny import make_data, quick


class Scale(keras.layers.Layer):
    """A layer with a weight, which Keras was not told of."""

    def __init__(self, start=1.0):
        super().__init__()
        self.start = start

    def build(self, input_shape):
        self.scale = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.start)
        )

    def call(self, inputs):
        return inputs * self.scale


@keras.saving.register_keras_serializable("own_parts")
class RegisteredScale(Scale):
    """The same, registered."""


class Logistic(keras.Model):
    """A model with a `call` of its own."""

    def __init__(self, units=1):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(units, activation=bent)

    def call(self, inputs):
        return self.dense(self.flatten(inputs))


def bent(values):
    """Return values bent into (0, 1)."""
    return ops.sigmoid(values / 2)


def sequence(*layers):
    """Return a function that builds a network of some layers and a logistic regression."""
    return [keras.layers.Flatten(), *layers, keras.layers.Dense(1, activation="sigmoid")]


def own_layer(input_shape, start=0.5):
    """Return a network with a layer that Keras was not told of."""
    return keras.Sequential([keras.Input(input_shape), *sequence(Scale(start))])


def registered_layer(input_shape):
    """Return a network with a registered layer."""
    return keras.Sequential([keras.Input(input_shape), *sequence(RegisteredScale())])


def own_activation(input_shape):
    """Return a network that ends in a function of one's own."""
    flat = keras.layers.Flatten()
    return keras.Sequential([keras.Input(input_shape), flat, keras.layers.Dense(1, bent)])


def lambda_layer(input_shape):
    """Return a functional network with a `Lambda`."""
    inputs = keras.Input(input_shape)
    halved = keras.layers.Lambda(lambda values: values / 2)(inputs)
    flat = keras.layers.Flatten()(halved)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(flat))


def random_constant(input_shape):
    """Return a network with a constant that is drawn when it is built."""
    factor = float(np.random.uniform(0.5, 1))  # noqa: NPY002
    return keras.Sequential(
        [keras.Input(input_shape), *sequence(keras.layers.Lambda(lambda x: x * factor))]
    )


def published(input_shape, weights="published"):
    """Return a network that normalizes and scales only if it has read weights, as some do."""
    normalization = keras.layers.Normalization()
    scaling = []
    if weights is not None:
        normalization.adapt(np.random.default_rng(0).normal(0.5, 0.2, (8, *input_shape)))
        scaling = [keras.layers.Rescaling(0.5)]
    else:
        normalization.build((None, *input_shape))
    return keras.Sequential([keras.Input(input_shape), normalization, *sequence(*scaling)])


def normalized(input_shape, weights="published"):
    """Return a network that normalizes with what it has read."""
    normalization = keras.layers.Normalization()
    normalization.build((None, *input_shape))
    if weights is not None:
        normalization.adapt(np.random.default_rng(0).normal(0.5, 0.2, (8, *input_shape)))
    return keras.Sequential([keras.Input(input_shape), normalization, *sequence()])


def own_model(input_shape):
    """Return a model with a `call` of its own."""
    return Logistic()


class Builder:
    """A network as an object that can be called."""

    def __call__(self, input_shape):
        """Return a network."""
        return own_layer(input_shape, start=0.25)


def squares(y_true, y_pred):
    """Return the squared error."""
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


class Squares(keras.losses.Loss):
    """The squared error times a factor that no configuration tells of."""

    def __init__(self, factor=1.0, name="squares"):
        super().__init__(name=name)
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * squares(y_true, y_pred)


def mean_probability(y_true, y_pred):
    """Return the mean probability."""
    return ops.mean(y_pred, axis=-1)


class MeanAbove(keras.metrics.Metric):
    """The share of probabilities above a threshold that no configuration tells of."""

    def __init__(self, threshold=0.5, name="mean_above"):
        super().__init__(name=name)
        self.threshold = threshold
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.mean(ops.cast(y_pred > self.threshold, "float32")))

    def result(self):
        return self.total


class Damped(keras.optimizers.SGD):
    """Gradient descent with a factor that no configuration tells of."""

    def __init__(self, learning_rate=0.01, factor=0.5, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.factor = factor

    def update_step(self, gradient, variable, learning_rate):
        """Take a step along a part of the gradient."""
        super().update_step(gradient * self.factor, variable, learning_rate)


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls with the steps."""

    def __init__(self, start):
        self.start = start

    def __call__(self, step):
        return self.start / (1 + ops.cast(step, "float32"))

    def get_config(self):
        return {"start": self.start}


class Count(keras.callbacks.Callback):
    """A callback that counts epochs."""

    def __init__(self, start=0):
        super().__init__()
        self.count = start

    def on_epoch_end(self, epoch, logs=None):
        """Count."""
        self.count += 1


NETWORKS = {
    "own layer": {"network": own_layer},
    "registered layer": {"network": registered_layer},
    "own activation": {"network": own_activation},
    "Lambda": {"network": lambda_layer},
    "random constant": {"network": random_constant},
    "own model": {"network": own_model},
    "published": {"network": published},
    "normalized": {"network": normalized},
    "object": {"network": Builder()},
    "partial": {"network": functools.partial(own_layer, start=2.0)},
    "routed": {"network": own_layer, "model__start": 3.0},
}
LOSSES = {
    "loss function": {"loss": squares},
    "loss class": {"loss": Squares},
    "loss instance": {"loss": Squares(3.0)},
}
METRICS = {
    "metric function": {"metrics": [mean_probability]},
    "metric class": {"metrics": [MeanAbove]},
    "metric instance": {"metrics": [MeanAbove(0.25)]},
    "wrapped metric": {"metrics": [keras.metrics.MeanMetricWrapper(mean_probability)]},
}
OPTIMIZERS = {
    "optimizer class": {"optimizer": Damped},
    "optimizer class, rate": {"optimizer": Damped, "learning_rate": 0.5},
    "optimizer instance": {"optimizer": Damped(0.5, factor=0.25)},
    "own schedule": {"optimizer": keras.optimizers.Adam(Falling(0.1))},
    "routed schedule": {"optimizer": "adam", "optimizer__learning_rate": Falling(0.1)},
    "scaled optimizer": {
        "optimizer": keras.optimizers.LossScaleOptimizer(Damped(Falling(0.1), factor=0.25))
    },
    "averaged optimizer": {"optimizer": Damped(0.5, factor=0.25), "weight_averaging": 0.5},
}
CALLBACKS = {
    "callback class": {"callbacks": Count},
    "callback instance": {"callbacks": [Count(3)]},
    "routed callback": {"callbacks": {"count": Count}, "callbacks__count__start": 2},
}


def combine(*tables):
    """Return as many classifiers as the longest table has rows, with each row of each table."""
    kits = {}
    for place in range(max(map(len, tables))):
        rows = [list(table.items())[place % len(table)] for table in tables]
        name = ", ".join(name for name, _ in rows)
        kits[name] = {key: value for _, parameters in rows for key, value in parameters.items()}
    return kits


KITS = combine(NETWORKS, LOSSES, METRICS, OPTIMIZERS, CALLBACKS)


def load_and_train_on(folder):
    """Return by name how far the loaded classifiers are from what they were when saved."""
    X, y = make_data()
    differences = {}
    for path in sorted(Path(folder).glob("*.joblib")):
        classifier, expected, later = joblib.load(path)
        worst = abs(classifier.predict_proba(X) - expected).max()
        worst = max(worst, abs(classifier.partial_fit(X, y).predict_proba(X) - later).max())
        differences[path.stem] = float(worst)
    return differences


def copy_in_main():
    """Return by name how far copies are from a classifier whose parts `__main__` defines."""
    assert own_layer.__module__ == "__main__"
    X, y = make_data()
    name, parameters = next(iter(KITS.items()))
    classifier = quick(**parameters).fit(X, y)
    copies = {
        "pickle": pickle.loads(pickle.dumps(classifier)),
        "deepcopy": copy.deepcopy(classifier),
        "clone": clone(classifier).fit(X, y),
    }
    expected = classifier.predict_proba(X)
    return {
        f"{way} of {name}": float(abs(copied.predict_proba(X) - expected).max())
        for way, copied in copies.items()
    }


def local_network():
    """Return a network that only this call knows."""
    return lambda input_shape: own_layer(input_shape)


GRID = {
    "optimizer": [Damped(0.5, factor=0.25), keras.optimizers.Adam(Falling(0.1)), Damped],
    "loss": [Squares(2.0), Squares],
    "metrics": [[MeanAbove(0.25)]],
    "network": [own_layer],
}


def work_in_parallel():
    """Return the scores that two workers find, by name: of this module's parts and of `__main__`'s.

    They return fitted estimators as well, which must predict.
    """
    from support import own_parts

    X, y = make_data()
    module = {f"module: {name}": parameters for name, parameters in own_parts.KITS.items()}
    # Workers get them all in the same way, so a few are enough.
    main = {f"main: {name}": parameters for name, parameters in list(KITS.items())[:3]}
    scores = {}
    for name, parameters in {**module, **main, "local": {"network": local_network()}}.items():
        found = cross_validate(quick(**parameters), X, y, cv=2, n_jobs=2, return_estimator=True)
        assert found["estimator"][0].predict_proba(X).shape == (len(X), 2)
        scores[name] = found["test_score"].tolist()
    for name, grid in {"module: grid": own_parts.GRID, "main: grid": GRID}.items():
        search = GridSearchCV(quick(), grid, cv=2, n_jobs=2, scoring="roc_auc").fit(X, y)
        scores[name] = search.cv_results_["mean_test_score"].tolist()
    return scores


if __name__ == "__main__":
    found = {
        "loaded": load_and_train_on(sys.argv[1]),
        "main": copy_in_main(),
        "workers": work_in_parallel(),
    }
    print(json.dumps(found))

"""Patches and classifiers so small that a fit takes a moment."""

import keras
import numpy as np

from pcam_sklearn import CNNClassifier, make_pcam_pipeline

SIDE = 18  # the smallest patch of the notebook's network
PATCH_SIDE = 20  # A pipeline cuts SIDE out of it.


def make_data(n=40, side=SIDE, seed=0):
    """Return byte patches and labels 0, 1, 0, ...; the center of class 1 is a little darker."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    y = np.arange(n) % 2
    X[y == 1, side // 4 : -side // 4, side // 4 : -side // 4] //= 2
    return X, y


def linear(input_shape, scale=1.0):
    """Return a logistic regression on the pixels, the network that compiles fastest."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    return keras.Sequential([keras.Input(input_shape), keras.layers.Rescaling(scale), *layers])


def with_dropout(input_shape):
    """Return a logistic regression on some of the pixels, others at each step."""
    layers = [keras.layers.Flatten(), keras.layers.Dropout(0.5)]
    output = keras.layers.Dense(1, activation="sigmoid")
    return keras.Sequential([keras.Input(input_shape), *layers, output])


PLAIN = {
    "augment": None,
    "learning_rate": None,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "test_time_augmentation": None,
}
QUICK = {
    **PLAIN,
    "network": linear,
    "optimizer": "sgd",
    "metrics": (),
    "epochs": 1,
    "batch_size": 16,
    "validation_fraction": 0,
    "early_stopping": False,
    "random_state": 0,
    "compile__steps_per_execution": 1,
}
SMALL = {
    **PLAIN,
    "network": "notebook",
    "augment": "d4",
    "optimizer": "adam",
    "validation_fraction": 0.1,
    "early_stopping": True,
    "filters": (2, 2, 4),
    "dense_units": 16,  # With fewer units all of them may be dead.
    "epochs": 2,
    "batch_size": 16,
    "random_state": 0,
}


def quick(**changes):
    """Return a classifier that compiles in a fifth of a second."""
    return CNNClassifier(**{**QUICK, **changes})


def small(**changes):
    """Return a classifier that augments and stops early, of a few hundred parameters."""
    return CNNClassifier(**{**SMALL, **changes})


def quick_pipeline(memory=None, **changes):
    """Return the whole pipeline around `quick`, for patches of PATCH_SIDE."""
    return _pipeline(memory, {**QUICK, **changes})


def small_pipeline(memory=None, **changes):
    """Return the whole pipeline around `small`, for patches of PATCH_SIDE."""
    return _pipeline(memory, {**SMALL, **changes})


def _pipeline(memory, parameters):
    pipeline = make_pcam_pipeline(crop_size=SIDE, memory=memory, **parameters)
    return pipeline.set_params(centercropnormalizer__input_size=PATCH_SIDE)


def learned(classifier):
    """Return everything that fitting has set on a classifier, by name."""
    return {name: value for name, value in vars(classifier).items() if name.endswith("_")}

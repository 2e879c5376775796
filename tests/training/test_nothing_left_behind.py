"""A search fits again and again in one process: what a fit made is gone when its classifier is."""

import gc

import keras
import pytest
from support.tiny import SMALL, make_data

from pcam_sklearn import CNNClassifier

X, Y = make_data()
RECIPES = {
    "held out": {"validation_fraction": 0.2, "early_stopping": True},
    "default recipe": {
        "optimizer": "adamw",
        "schedule": "cosine",
        "weight_averaging": 0.9,
        "augment": ("d4", "stain", "sharpness", "zoom", "shift"),
        "label_smoothing": 0.1,
    },
}
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="graphs are TensorFlow's"
)


def growth(kind, recipe):
    """Return how many more things of a kind two fits leave, after one."""
    counts = []
    for _ in range(3):
        CNNClassifier(**{**SMALL, "epochs": 1, **recipe}).fit(X, Y).predict_proba(X)
        gc.collect()
        counts.append(sum(isinstance(thing, kind) for thing in gc.get_objects()))
    return counts[-1] - counts[0]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_fits_leave_no_networks(recipe):
    assert growth(keras.Model, recipe) == 0


@on_tensorflow
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_fits_leave_no_graphs_and_no_patches(recipe):
    import tensorflow as tf

    assert growth((tf.Graph, tf.Tensor), recipe) == 0

"""A search fits many times in one process, so a fit must leave nothing behind."""

import gc
import weakref

import keras
import pytest
from sklearn.base import clone
from support.tiny import make_data, quick, small

pytestmark = pytest.mark.slow

X, Y = make_data()
WATCHED = {"validation_fraction": 0.2, "early_stopping": True, "metrics": ("auc",)}
VARIED = {
    "schedule": "cosine",
    "weight_averaging": 0.9,
    "augment": ("d4", "stain", "sharpness", "zoom", "shift"),
    "label_smoothing": 0.1,
}
CLASSIFIERS = {
    "held out": quick(**WATCHED),
    "default recipe": quick(**VARIED, optimizer="adamw"),
    "network with dropout": small(epochs=1),
}
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="graphs are TensorFlow's"
)


def kinds():
    """Return the types whose instances are counted."""
    if keras.backend.backend() != "tensorflow":
        return {"networks": keras.Model}
    import tensorflow as tf

    return {"networks": keras.Model, "graphs and patches": (tf.Graph, tf.Tensor)}


def count_things():
    """Return the number of live instances of each kind."""
    gc.collect()
    things = gc.get_objects()
    # By `type`: `isinstance` asks for `__class__`, at which some lazy objects warn.
    return {
        name: sum(issubclass(type(thing), kind) for thing in things)
        for name, kind in kinds().items()
    }


@pytest.fixture(scope="module", params=CLASSIFIERS.values(), ids=CLASSIFIERS)
def growth(request):
    """Return the number of things of each kind that a second fit leaves behind."""
    counts = []
    for _ in range(2):
        clone(request.param).fit(X, Y).predict_proba(X)
        counts.append(count_things())
    return {name: counts[1][name] - counts[0][name] for name in counts[0]}


def test_fits_leave_no_networks(growth):
    assert growth["networks"] == 0


@on_tensorflow
def test_fits_leave_no_graphs_and_no_patches(growth):
    assert growth["graphs and patches"] == 0


def test_a_fit_on_large_patches_first_frees_what_the_fit_before_left(monkeypatch):
    monkeypatch.setattr("pcam_sklearn._reading._batches._MAKE_ROOM_FROM", X.nbytes)
    gc.disable()
    try:
        left = weakref.ref(quick().fit(X, Y).trainer_)
        quick().fit(X, Y)
        assert left() is None
    finally:
        gc.enable()

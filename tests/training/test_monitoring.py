"""Metrics of any shape, the epoch that is kept, and early stopping while the rate still rises."""

import keras
import numpy as np
import pytest
from support.tiny import make_data, quick, small

X, Y = make_data(60)
STOPS = {"early_stopping": True, "validation_fraction": 0.2, "metrics": ("auc",)}


class Halves(keras.metrics.Metric):
    """A metric that gives two values."""

    def __init__(self, name="halves"):
        super().__init__(name=name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Note nothing."""

    def result(self):
        """Return two numbers."""
        return keras.ops.convert_to_tensor([0.25, 0.75])


@pytest.mark.parametrize(
    "metric",
    [
        "f1_score",
        keras.metrics.F1Score(threshold=0.5, name="f1_score"),
        keras.metrics.FBetaScore(beta=2.0, threshold=0.5, name="f1_score"),
    ],
    ids=["name", "f1", "fbeta"],
)
def test_a_metric_with_one_value_per_output_is_a_number_in_the_history(metric):
    history = quick(metrics=[metric], epochs=2, validation_fraction=0.2).fit(X, Y).history_
    assert [type(value) for value in history["f1_score"] + history["val_f1_score"]] == [float] * 4


def test_a_metric_with_several_values_is_a_list_in_the_history():
    assert quick(metrics=[Halves()]).fit(X, Y).history_["halves"] == [[0.25, 0.75]]


def test_such_a_metric_is_monitored():
    f1 = keras.metrics.F1Score(threshold=0.5, name="f1")
    parameters = {**STOPS, "metrics": [f1], "monitor": "val_f1", "monitor_mode": "max"}
    classifier = quick(**parameters, epochs=3).fit(X, Y)
    assert classifier.best_epoch_ == 1 + np.argmax(classifier.history_["val_f1"])


def test_a_metric_with_several_values_cannot_be_monitored():
    with pytest.raises(ValueError, match=r"monitor='val_halves' has 2 values"):
        quick(**{**STOPS, "metrics": [Halves()]}, monitor="val_halves").fit(X, Y)


def own_metric(y_true, y_pred):
    return keras.ops.mean(y_pred, axis=-1)


def test_a_metric_that_keras_cannot_judge_needs_a_mode_that_can_be_passed():
    parameters = {**STOPS, "metrics": [own_metric], "monitor": "val_own_metric", "epochs": 3}
    with pytest.raises(ValueError, match=r"pass monitor_mode='max'"):
        quick(**parameters).fit(X, Y)
    classifier = quick(**parameters, monitor_mode="min").fit(X, Y)
    assert classifier.best_epoch_ == 1 + np.argmin(classifier.history_["val_own_metric"])


def test_an_unknown_mode_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"monitor_mode must be one of \['auto', 'min', 'max'\]"):
        quick(monitor_mode="highest").fit(X, Y)


@pytest.mark.parametrize("restores", [True, False])
def test_the_best_epoch_is_the_one_whose_weights_a_users_callback_restores(restores):
    stop = keras.callbacks.EarlyStopping(
        "loss", mode="max", patience=9, restore_best_weights=restores
    )
    classifier = quick(callbacks=[stop], epochs=3, learning_rate=0.1).fit(X, Y)
    best = 1 + int(np.argmax(classifier.history_["loss"]))
    assert classifier.best_epoch_ == (best if restores else 3)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [50, 10_000])
def test_early_stopping_waits_until_the_rate_has_risen(epochs):
    classifier = small(schedule="cosine", warmup=0.9, epochs=epochs, n_iter_no_change=1)
    classifier.fit(X, Y)
    assert classifier.n_iter_ > 10


def test_with_a_constant_rate_patience_counts_from_the_beginning():
    never = {"learning_rate": 1e-12, "optimizer": "sgd"}
    assert quick(**STOPS, **never, epochs=9, n_iter_no_change=2).fit(X, Y).n_iter_ <= 4

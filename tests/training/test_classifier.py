"""Fits of CNNClassifier: the notebook's network, history, early stopping, weights, warm starts."""

import inspect
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV
from support.tiny import learned, make_data, quick, small

from pcam_sklearn import CNNClassifier
from pcam_sklearn._training._data import TrainingSet
from pcam_sklearn._training._plan import split_rows
from pcam_sklearn.networks import build_network

X, Y = make_data()


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


def same(a, b, X=X):
    return np.array_equal(a.predict_proba(X), b.predict_proba(X))


# --- the notebook's network


def notebooks_network(third_pool, dropout=0.5):
    """Return the network as the notebook writes it."""
    model = keras.models.Sequential()
    model.add(keras.Input((32, 32, 3)))
    model.add(keras.layers.Conv2D(32, (3, 3), activation="relu"))
    model.add(keras.layers.MaxPooling2D((2, 2)))
    model.add(keras.layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(keras.layers.MaxPooling2D((2, 2)))
    model.add(keras.layers.Conv2D(128, (3, 3), activation="relu"))
    model.add(keras.layers.MaxPooling2D((third_pool, third_pool)))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(128, activation="relu"))
    model.add(keras.layers.Dropout(dropout))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    return model


def layer_configs(model):
    unlike = ("name", "build_config", "kernel_initializer", "bias_initializer")
    configs = [(type(layer).__name__, layer.get_config()) for layer in model.layers]
    return [(kind, {k: v for k, v in c.items() if k not in unlike}) for kind, c in configs]


@pytest.mark.parametrize(("third_pool", "side", "n_parameters"), [(1, 4, 355_649), (2, 2, 159_041)])
def test_the_notebook_s_network_is_rebuilt_layer_for_layer(third_pool, side, n_parameters):
    ours = build_network("notebook", (32, 32, 3), third_pool=third_pool)
    assert layer_configs(ours) == layer_configs(notebooks_network(third_pool))
    convolutions = (27 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    dense = (side * side * 128 + 1) * 128 + 129
    assert ours.count_params() == convolutions + dense == n_parameters


def test_with_the_same_weights_it_gives_the_same_probabilities():
    ours, theirs = build_network("notebook", (32, 32, 3)), notebooks_network(1)
    ours.set_weights(theirs.get_weights())
    patches = np.random.default_rng(0).random((4, 32, 32, 3), dtype=np.float32)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(ours(patches)), keras.ops.convert_to_numpy(theirs(patches))
    )


def test_the_notebook_s_training_is_adam_on_binary_cross_entropy():
    patches, y = make_data(n=8, side=32)
    training = {"optimizer": "adam", "learning_rate": 0.001, "label_smoothing": 0}
    classifier = CNNClassifier("notebook", third_pool=1, dropout=0.5, **training)
    classifier.initialize(patches, y)
    assert classifier.model_.count_params() == 355_649
    assert layer_configs(classifier.model_) == layer_configs(notebooks_network(1))
    optimizer = classifier.trainer_.optimizer
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(1e-3)
    assert classifier.trainer_.loss is keras.losses.binary_crossentropy


# --- history, held-out patches, early stopping


@pytest.mark.slow
def test_the_history_follows_loss_accuracy_and_auc_of_both_parts_by_epoch(fitted):
    names = {"loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc"}
    assert set(fitted.history_) == names
    assert {len(values) for values in fitted.history_.values()} == {2}
    assert all(type(value) is float for values in fitted.history_.values() for value in values)


@given(
    counts=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    fraction=st.sampled_from([0.2, 0.25, 0.5]),
    n_zero=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_held_out_has_both_classes_in_proportion_and_is_not_trained_on(
    counts, fraction, n_zero, seed
):
    codes = np.repeat([0, 1], counts)
    weights = np.ones(len(codes), np.float32)
    weights[:n_zero] = 0
    data = TrainingSet(np.empty((len(codes), 1)), codes, weights, np.array([0, 1]))
    training, held_out = split_rows(data, fraction, seed)
    assert sorted([*training, *held_out]) == list(np.flatnonzero(weights))
    assert len(held_out) == pytest.approx(fraction * weights.sum(), abs=1)
    for code in (0, 1):
        of_code = ((codes == code) & (weights > 0)).sum()
        assert (codes[held_out] == code).sum() == pytest.approx(fraction * of_code, abs=1)


@pytest.fixture(scope="module")
def stopped():
    """Return a classifier fitted on random labels, and the record of its training."""
    y = np.random.default_rng(0).permutation(Y)
    watching = {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 3}
    classifier = quick(
        epochs=40, monitor="val_auc", metrics=("auc",), optimizer__learning_rate=0.03, **watching
    ).fit(X, y)
    held_out = split_rows(TrainingSet(X, y, None, classifier.classes_), 0.25, seed=0)[1]
    return classifier, X[held_out], y[held_out]


@pytest.mark.slow
def test_training_stops_when_nothing_has_improved_for_a_while(stopped):
    classifier, _, _ = stopped
    assert classifier.n_iter_ == len(classifier.history_["loss"])
    assert 1 < classifier.best_epoch_ < classifier.best_epoch_ + 3 == classifier.n_iter_ < 40


@pytest.mark.slow
def test_the_best_epoch_is_the_first_one_with_the_highest_value_counted_from_1(stopped):
    classifier, _, _ = stopped
    assert classifier.best_epoch_ == 1 + int(np.argmax(classifier.history_["val_auc"]))


@pytest.mark.slow
def test_the_network_is_that_of_the_best_epoch(stopped):
    classifier, patches, y = stopped
    best = classifier.best_epoch_ - 1
    probabilities = classifier.predict_proba(patches)[:, 1]
    loss, auc = log_loss(y, probabilities), roc_auc_score(y, probabilities)
    assert loss == pytest.approx(classifier.history_["val_loss"][best], rel=1e-5)
    # Keras sums the area up between 200 thresholds.
    assert auc == pytest.approx(classifier.history_["val_auc"][best], abs=0.03)


@pytest.mark.slow
def test_the_last_epoch_can_be_the_best_one():
    parameters = {"early_stopping": True, "validation_fraction": 0.25, "monitor": "val_loss"}
    classifier = quick(epochs=3, optimizer__learning_rate=1e-6, **parameters).fit(X, Y)
    assert classifier.n_iter_ == 3
    assert classifier.best_epoch_ == 1 + int(np.argmin(classifier.history_["val_loss"]))


@pytest.mark.slow
def test_without_early_stopping_the_last_epoch_is_kept():
    classifier = quick(epochs=3, validation_fraction=0.25).fit(X, Y)
    assert (classifier.n_iter_, classifier.best_epoch_) == (3, 3)
    assert "val_loss" in classifier.history_


@pytest.mark.slow
def test_where_only_some_epochs_are_validated_the_best_of_those_is_kept():
    parameters = {"early_stopping": True, "validation_fraction": 0.25, "monitor": "val_loss"}
    classifier = quick(epochs=4, fit__validation_freq=2, **parameters).fit(X, Y)
    assert np.isnan(classifier.history_["val_loss"]).tolist() == [True, False, True, False]
    assert classifier.best_epoch_ in (2, 4)


def test_early_stopping_that_would_never_look_is_an_error():
    parameters = {"early_stopping": True, "validation_fraction": 0.25, "monitor": "val_loss"}
    for frequency in (5, [7, 8]):
        classifier = quick(epochs=4, fit__validation_freq=frequency, **parameters)
        with pytest.raises(ValueError, match=r"none of 1 to 4 does; leave it out, or train longer"):
            classifier.fit(X, Y)


@pytest.mark.slow
def test_early_stopping_counts_epochs_over_trainings_and_as_routed():
    parameters = {"early_stopping": True, "validation_fraction": 0.25, "monitor": "val_loss"}
    classifier = quick(epochs=1, fit__epochs=4, fit__validation_freq=4, **parameters).fit(X, Y)
    assert classifier.n_iter_ == 4
    resumed = quick(epochs=2, fit__validation_freq=3, warm_start=True).fit(X, Y)
    assert resumed.set_params(**parameters).fit(X, Y).n_iter_ == 4
    assert quick(epochs=2, fit__validation_freq=5, **parameters).partial_fit(X, Y).n_iter_ == 1


@pytest.mark.slow
def test_epochs_before_held_out_patches_were_looked_at_have_nan_in_the_history():
    classifier = quick(epochs=2, warm_start=True).fit(X, Y)
    classifier.set_params(validation_fraction=0.25).fit(X, Y)
    assert np.isnan(classifier.history_["val_loss"]).tolist() == [True, True, False, False]
    assert not np.isnan(classifier.history_["loss"]).any()


@pytest.mark.slow
def test_it_learns_what_there_is_to_learn():
    many, y = make_data(n=400, seed=1)
    classifier = quick(epochs=10, optimizer="adam", optimizer__learning_rate=0.01)
    assert roc_auc_score(Y, classifier.fit(many, y).predict_proba(X)[:, 1]) > 0.95


# --- weights


@pytest.mark.slow
def test_class_weight_is_a_sample_weight_of_each_patch():
    by_class = quick(class_weight={0: 1.0, 1: 5.0}).fit(X, Y)
    by_patch = quick().fit(X, Y, sample_weight=np.where(Y == 1, 5.0, 1.0))
    assert same(by_class, by_patch)
    assert not same(by_class, quick().fit(X, Y))


@pytest.mark.slow
def test_a_class_that_class_weight_does_not_name_weighs_1():
    assert same(quick(class_weight={1: 5.0}).fit(X, Y), quick(class_weight={0: 1, 1: 5}).fit(X, Y))


@pytest.mark.slow
def test_balanced_weighs_classes_by_the_inverse_of_their_number():
    rows = np.r_[0:30, 31:40:2]
    y = Y[rows]
    weights = (len(y) / (2 * np.bincount(y)))[y]
    balanced = quick(class_weight="balanced").fit(X[rows], y)
    assert same(balanced, quick().fit(X[rows], y, sample_weight=weights))


@pytest.mark.slow
def test_class_weight_multiplies_sample_weight():
    weights = np.linspace(0.5, 2, len(Y))
    both = quick(class_weight={0: 2.0}).fit(X, Y, sample_weight=weights)
    assert same(both, quick().fit(X, Y, sample_weight=np.where(Y == 0, 2, 1) * weights))


@pytest.mark.slow
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0, 1: 3.0}], ids=str)
def test_a_patch_of_weight_0_is_as_if_it_were_not_there(class_weight):
    weights = np.ones(len(Y))
    weights[[0, 1, 3, 5, 7]] = 0
    there = quick(class_weight=class_weight).fit(X, Y, sample_weight=weights)
    kept = weights > 0
    gone = quick(class_weight=class_weight).fit(X[kept], Y[kept], sample_weight=weights[kept])
    assert same(there, gone)


# --- going on


@pytest.mark.slow
def test_the_first_partial_fit_is_a_fit_of_one_epoch_that_holds_nothing_out():
    part = small().partial_fit(X, Y)
    whole = small(epochs=1, validation_fraction=0, early_stopping=False).fit(X, Y)
    assert same(part, whole)
    assert (part.n_iter_, part.best_epoch_, "val_loss" in part.history_) == (1, 1, False)


@pytest.mark.slow
def test_partial_fit_goes_on_epoch_by_epoch():
    classifier = quick().partial_fit(X, Y)
    first = classifier.predict_proba(X)
    classifier.partial_fit(X, Y)
    assert not np.array_equal(classifier.predict_proba(X), first)
    assert classifier.n_iter_ == 2 == len(classifier.history_["loss"])


@pytest.mark.slow
def test_partial_fit_takes_one_class_at_a_time_once_it_knows_both():
    classifier = quick(class_weight={1: 2.0}).partial_fit(X[::2], Y[::2], classes=[0, 1])
    classifier.partial_fit(X[1::2], Y[1::2]).partial_fit(X[:1], Y[:1])
    assert classifier.classes_.tolist() == [0, 1]
    assert classifier.n_iter_ == 3


@pytest.mark.slow
def test_partial_fit_goes_on_from_a_fit():
    classifier = quick(epochs=2).fit(X, Y).partial_fit(X, Y)
    assert classifier.n_iter_ == 3


@pytest.mark.slow
def test_a_warm_start_goes_on_from_the_last_fit():
    classifier = quick(epochs=2, warm_start=True).fit(X, Y)
    before = classifier.history_["loss"]
    classifier.fit(X, Y)
    assert classifier.n_iter_ == 4
    assert classifier.history_["loss"][:2] == before
    assert classifier.history_["loss"][2] < before[0]


@pytest.mark.slow
def test_a_warm_start_watches_the_patches_that_it_was_never_trained_on():
    standing = {"optimizer__learning_rate": 0.0, "validation_fraction": 0.25}
    classifier = quick(warm_start=True, **standing).fit(X, Y).fit(X, Y)
    first, second = classifier.history_["val_loss"]
    assert first == pytest.approx(second, rel=1e-6)


@pytest.mark.slow
def test_the_first_fit_with_warm_start_is_an_ordinary_fit():
    assert same(quick(warm_start=True).fit(X, Y), quick().fit(X, Y))


def test_initialize_builds_the_network_and_trains_nothing():
    classifier = quick().initialize(X, Y)
    assert (classifier.history_, classifier.n_iter_, classifier.best_epoch_) == ({}, 0, 0)
    assert classifier.predict(X).shape == Y.shape
    assert classifier.partial_fit(X, Y).n_iter_ == 1


# --- fit again, fail, predict


@pytest.mark.slow
def test_a_fit_on_other_patches_forgets_the_first_ones():
    other, y = make_data(n=30, side=20, seed=5)
    names = np.array(["normal", "tumor"])
    again = quick().fit(X, Y).fit(other, names[y])
    fresh = quick().fit(other, names[y])
    assert same(again, fresh, other)
    assert learned(again).keys() == learned(fresh).keys()
    assert again.history_ == fresh.history_


class Fail(keras.callbacks.Callback):
    """Stop the training with an error once the weights have changed."""

    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("broken off")


@pytest.mark.slow
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_training_that_fails_changes_nothing(method, warm_start):
    classifier = quick(optimizer="adam", warm_start=warm_start).fit(X, Y)
    before, probabilities = learned(classifier), classifier.predict_proba(X)
    state = [np.array(variable) for variable in classifier.model_.optimizer.variables]
    classifier.set_params(callbacks=[Fail()])
    with pytest.raises(RuntimeError, match="broken off"):
        getattr(classifier, method)(X, Y)
    after = learned(classifier)
    assert all(after.pop(name) is value for name, value in before.items())
    assert not after
    assert np.array_equal(classifier.predict_proba(X), probabilities)
    for value, variable in zip(state, classifier.model_.optimizer.variables, strict=True):
        assert np.array_equal(value, variable)


@pytest.mark.slow
def test_the_probabilities_of_a_patch_sum_to_1_in_the_order_of_classes_(fitted):
    probabilities = fitted.predict_proba(X)
    assert (probabilities.shape, probabilities.dtype) == ((40, 2), np.float64)
    assert (probabilities.sum(axis=1) == 1).all()
    direct = keras.ops.convert_to_numpy(fitted.model_(X / np.float32(255)))[:, 0]
    np.testing.assert_allclose(probabilities[:, 1], direct, atol=1e-6)


@pytest.mark.slow
def test_weights_that_are_set_by_hand_are_those_that_predict():
    one, other = (small(epochs=1, random_state=seed).fit(X, Y) for seed in (0, 1))
    before = one.predict_proba(X)
    one.model_.set_weights(other.model_.get_weights())
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), before)


DIVERGES = {
    "network": "notebook", "filters": (2, 2, 4), "dense_units": 8, "optimizer": "sgd",
    "learning_rate": 1e30, "epochs": 2,
}  # fmt: skip


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_spread"])
def test_a_network_that_gives_nan_predicts_nothing(method):
    diverged = quick(**DIVERGES).fit(X, Y)
    with pytest.raises(ValueError, match=r"NaN for 40 of 40 patches.*smaller learning_rate"):
        getattr(diverged, method)(X)


@pytest.mark.slow
def test_a_search_does_not_choose_a_fit_that_diverged():
    few = np.flatnonzero(np.cumsum(Y) <= 8)  # A fit that says 0 for all would be right on most.
    search = GridSearchCV(
        quick(**DIVERGES), {"learning_rate": [1e30, 0.01]}, cv=2, scoring="accuracy"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn tells of the failed scores.
        search.fit(X[few], Y[few])
    assert search.best_params_ == {"learning_rate": 0.01}
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [True, False]


def test_the_more_probable_label_is_predicted(fitted):
    expected = fitted.classes_[(fitted.predict_proba(X)[:, 1] > 0.5).astype(int)]
    assert np.array_equal(fitted.predict(X), expected)
    assert fitted.score(X, Y) == np.mean(expected == Y)


def test_what_fit_learns_is_documented_and_ends_in_an_underscore(fitted):
    new = set(vars(fitted)) - set(vars(small()))
    assert new == set(learned(fitted))
    assert all(f"\n{name} : " in inspect.getdoc(CNNClassifier) for name in new)
    assert (fitted.n_classes_, fitted.X_shape_, fitted.n_features_in_) == (2, X.shape, 18)

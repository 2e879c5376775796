"""The training recipe: schedule of the learning rate, smoothed labels, averaged weights."""

import copy

import joblib
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import log_loss
from support.tiny import learned, make_data, quick

from pcam_sklearn._training._callbacks import recipe_callbacks
from pcam_sklearn._training._data import TrainingSet
from pcam_sklearn._training._plan import split_rows
from pcam_sklearn._training._recipe import Rate
from pcam_sklearn.augmentation import AUGMENTATIONS

X, Y = make_data()


def trained(**changes):
    return quick(**{"warmup": 0.1, "weight_averaging": None, **changes})


class Recorder(keras.callbacks.Callback):
    """Note the learning rate of each epoch and the weights after each step."""

    def __init__(self):
        super().__init__()
        self.rates, self.weights, self.steps_by_epoch = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(weights(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.steps_by_epoch.append(len(self.weights))


def weights(model):
    """Return copies of a model's weights."""
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.trainable_weights]


def recorded(**changes):
    """Return an unfitted classifier and the callback that will record its training."""
    recorder = Recorder()
    return trained(callbacks=[recorder], **changes), recorder


def same(a, b):
    return np.array_equal(a.predict_proba(X), b.predict_proba(X))


# --- schedule


def warm_up_and_cosine(epochs, warmup, highest=1.0):
    """Return the rate in the middle of each epoch: a line up, then half a cosine down."""
    warmup = min(warmup, 10 / epochs)
    middle = (np.arange(epochs) + 0.5) / epochs
    rising = np.interp(middle, [0, max(warmup, 1e-9)], [0, 1])
    falling = np.cos(np.pi / 2 * np.clip((middle - warmup) / (1 - warmup), 0, 1)) ** 2
    return highest * np.where(middle < warmup, rising, falling)


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "warmup"), [(4, 0.0), (5, 0.3)])
def test_the_rate_of_each_epoch_rises_and_falls_along_a_cosine(epochs, warmup):
    classifier, recorder = recorded(
        schedule="cosine", warmup=warmup, epochs=epochs, optimizer__learning_rate=0.25
    )
    classifier.fit(X, Y)
    np.testing.assert_allclose(
        recorder.rates, warm_up_and_cosine(epochs, warmup, 0.25), rtol=1e-5, atol=1e-8
    )


@given(
    epochs=st.integers(1, 50),
    warmup=st.floats(0, 0.95),
    start=st.integers(0, 100),
)
def test_the_rate_is_never_negative_nor_above_the_highest(epochs, warmup, start):
    rate = Rate("cosine", start, epochs, warmup)
    rates = np.array([rate(start + epoch) for epoch in range(epochs)])
    np.testing.assert_allclose(rates, warm_up_and_cosine(epochs, warmup), atol=1e-6)
    assert ((rates > 0) & (rates <= 1)).all()
    at_top = rates.argmax()
    assert (np.diff(rates[: at_top + 1]) >= 0).all()
    assert (np.diff(rates[at_top:]) <= 0).all()


@pytest.mark.parametrize("rate", [np.float32(1e-3), np.float64(1e-3), 1, np.int64(1)])
def test_any_real_number_is_a_learning_rate(rate):
    classifier = trained(learning_rate=rate, warmup=np.float32(0.1), schedule="cosine").fit(X, Y)
    assert float(classifier.model_.optimizer.learning_rate) == pytest.approx(float(rate))


def test_a_constant_rate_is_the_optimizer_s_own():
    classifier, recorder = recorded(epochs=3, optimizer__learning_rate=0.25)
    classifier.fit(X, Y)
    assert recorder.rates == [0.25] * 3


@pytest.mark.slow
def test_after_fit_the_optimizer_has_its_own_rate_again():
    classifier, recorder = recorded(epochs=3, schedule="cosine", optimizer__learning_rate=0.25)
    classifier.fit(X, Y)
    assert float(classifier.model_.optimizer.learning_rate) == 0.25
    classifier.partial_fit(X, Y)
    assert recorder.rates[3:] == [0.25]


@pytest.mark.slow
def test_a_warm_start_begins_the_course_again():
    classifier, recorder = recorded(
        epochs=3, schedule="cosine", optimizer__learning_rate=0.25, warm_start=True
    )
    classifier.fit(X, Y).set_params(epochs=2).fit(X, Y)
    expected = np.concatenate([warm_up_and_cosine(n, 0.1, 0.25) for n in (3, 2)])
    np.testing.assert_allclose(recorder.rates, expected, rtol=1e-5)


class BreaksOff(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_training_that_fails_leaves_the_optimizer_its_own_rate():
    classifier = trained(
        epochs=2, schedule="cosine", optimizer__learning_rate=0.25, warm_start=True,
        callbacks=[BreaksOff()],
    )  # fmt: skip
    classifier.fit(X, Y)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, Y)
    assert float(classifier.model_.optimizer.learning_rate) == 0.25


def test_fit__epochs_sets_the_length_of_the_course():
    classifier, recorder = recorded(schedule="cosine", fit__epochs=4, optimizer__learning_rate=1.0)
    classifier.fit(X, Y)
    np.testing.assert_allclose(recorder.rates, warm_up_and_cosine(4, 0.1), rtol=1e-5)


@pytest.mark.parametrize("given_as", ["instance", "optimizer__learning_rate"])
def test_an_optimizer_with_a_schedule_of_its_own_keeps_that(given_as):
    halving = keras.optimizers.schedules.ExponentialDecay(0.5, 3, 0.5, staircase=True)
    parameters = {
        "instance": {"optimizer": keras.optimizers.SGD(halving)},
        "optimizer__learning_rate": {"optimizer__learning_rate": halving},
    }[given_as]
    classifier, recorder = recorded(epochs=3, schedule="cosine", **parameters)
    classifier.fit(X, Y)  # three steps per epoch
    np.testing.assert_allclose(recorder.rates, [0.25, 0.125, 0.0625])


class Rival(keras.callbacks.ReduceLROnPlateau):
    pass


RIVALS = {
    "a list": {"callbacks": [keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)]},
    "a subclass": {"callbacks": Rival("loss")},
    "routed": {"callbacks": keras.callbacks.ReduceLROnPlateau, "callbacks__monitor": "loss"},
    "fit__callbacks": {"fit__callbacks": [keras.callbacks.ReduceLROnPlateau("loss")]},
}


@pytest.mark.parametrize("rival", RIVALS)
def test_a_callback_that_sets_the_rate_too_is_refused(rival):
    classifier = trained(schedule="cosine", **RIVALS[rival])
    with pytest.raises(ValueError, match=r"would both set the learning rate; pass schedule='const"):
        classifier.fit(X, Y)
    assert not learned(classifier)


def test_a_constant_schedule_allows_a_callback_that_sets_the_rate():
    assert trained(**RIVALS["a list"]).fit(X, Y).n_iter_ == 1


def test_an_optimizer_that_scales_the_loss_is_taken_for_the_one_inside():
    inside = keras.optimizers.SGD(0.25, use_ema=True)
    around = keras.optimizers.LossScaleOptimizer(inside)
    rate = Rate("cosine", 0, 5, 0.1)
    kinds = [
        [type(own) for own in recipe_callbacks(rate, optimizer, [], keeps_best=False)]
        for optimizer in (inside, around)
    ]
    assert kinds[0] == kinds[1]
    assert len(kinds[0]) == 2


# --- learning_rate


def rate_of(**parameters):
    classifier = trained(**parameters).initialize(X, Y)
    return float(classifier.model_.optimizer.learning_rate)


@pytest.mark.parametrize("optimizer", ["adamw", keras.optimizers.RMSprop])
def test_the_learning_rate_is_that_of_an_optimizer_by_name_or_class(optimizer):
    assert rate_of(optimizer=optimizer, learning_rate=0.125) == 0.125
    assert rate_of(optimizer=optimizer, learning_rate=None) == pytest.approx(0.001)


def test_an_instance_brings_its_own_learning_rate():
    assert rate_of(optimizer=keras.optimizers.SGD(0.5), learning_rate=0.125) == 0.5


def test_a_routed_learning_rate_wins():
    assert rate_of(optimizer__learning_rate=0.5, learning_rate=0.125) == 0.5


# --- label smoothing


def test_smoothing_moves_the_labels_of_the_cross_entropy_towards_one_half():
    still = trained(optimizer__learning_rate=0.0, label_smoothing=0.2, batch_size=40).fit(X, Y)
    p = still.predict_proba(X)[:, 1]
    labels = np.where(Y == 1, 0.9, 0.1)
    expected = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    assert still.history_["loss"] == [pytest.approx(expected, rel=1e-5)]


@pytest.mark.slow
def test_smoothing_is_that_of_keras():
    loss = keras.losses.BinaryCrossentropy(label_smoothing=0.2)
    assert same(trained(label_smoothing=0.2).fit(X, Y), trained(loss=loss).fit(X, Y))


@pytest.mark.parametrize(
    ("loss", "shown"),
    [("hinge", "'hinge'"), (keras.losses.hinge, "'hinge'"), (keras.losses.Hinge(), "<.*hinge")],
    ids=["name", "function", "object"],
)
def test_labels_of_another_loss_are_not_smoothed_silently(loss, shown):
    message = rf"label_smoothing=0\.1 needs loss='binary_crossentropy', got {shown}.*smoothing=0\."
    with pytest.raises(ValueError, match=message):
        trained(loss=loss, label_smoothing=0.1).fit(X, Y)


# --- weight averaging


def average(steps, momentum):
    """Return the running average of the weights after each step, from the first step on."""
    means = [steps[0]]
    for step in steps[1:]:
        means.append(
            [momentum * m + (1 - momentum) * w for m, w in zip(means[-1], step, strict=True)]
        )
    return means


def assert_same_weights(model, expected):
    for weight, other in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-5)


HASTY = {"optimizer__learning_rate": 0.5, "epochs": 3}  # Large steps make the weights swing.


@pytest.fixture(scope="module")
def plain():
    """Return a classifier without an average, and the record of its training."""
    classifier, recorder = recorded(**HASTY)
    return classifier.fit(X, Y), recorder


@pytest.fixture(scope="module")
def averaging():
    """Return a classifier with an average, and the record of its training."""
    classifier, recorder = recorded(weight_averaging=0.8, **HASTY)
    return classifier.fit(X, Y), recorder


def test_training_ends_with_the_average_of_the_weights_over_the_steps(averaging):
    classifier, recorder = averaging
    assert len(recorder.weights) == 9
    assert_same_weights(classifier.model_, average(recorder.weights, 0.8)[-1])


def test_the_average_has_no_part_in_training(plain, averaging):
    for a, b in zip(plain[1].weights, averaging[1].weights, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    assert not same(plain[0], averaging[0])


def test_momentum_0_ends_with_the_last_weights(plain):
    assert same(trained(weight_averaging=0.0, **HASTY).fit(X, Y), plain[0])


def test_steps_per_execution_changes_no_average(averaging):
    many = trained(weight_averaging=0.8, **HASTY, compile__steps_per_execution=16)
    assert same(many.fit(X, Y), averaging[0])


def test_a_warm_start_goes_on_with_the_average(averaging):
    classifier = copy.deepcopy(averaging[0]).set_params(warm_start=True)
    first, (recorder,) = weights(classifier.model_), classifier.callbacks
    classifier.fit(X, Y)
    assert_same_weights(classifier.model_, average([first, *recorder.weights[9:]], 0.8)[-1])


@pytest.mark.slow
def test_where_patches_are_held_out_it_is_the_average_that_is_watched():
    classifier, recorder = recorded(weight_averaging=0.8, validation_fraction=0.25, **HASTY)
    classifier.fit(X, Y)
    assert_same_weights(classifier.model_, average(recorder.weights, 0.8)[-1])
    data = TrainingSet(X, Y, None, classifier.classes_)
    _, held_out = split_rows(data, 0.25, classifier.random_state)
    loss = log_loss(Y[held_out], classifier.predict_proba(X[held_out]))
    assert classifier.history_["val_loss"][-1] == pytest.approx(loss, rel=1e-5)


@pytest.fixture(scope="module", params=[2, 8], ids=["stops", "does not stop"])
def watched(request):
    """Return a classifier fitted on random labels, and the record of its training."""
    classifier, recorder = recorded(
        weight_averaging=0.8, validation_fraction=0.25, early_stopping=True, monitor="val_loss",
        n_iter_no_change=request.param, **HASTY | {"epochs": 8},
    )  # fmt: skip
    return classifier.fit(X, np.random.default_rng(0).permutation(Y)), recorder


@pytest.mark.slow
def test_the_best_epoch_is_kept_as_its_averaged_weights(watched):
    classifier, recorder = watched
    assert (classifier.n_iter_ < 8) == (classifier.n_iter_no_change < 8)
    assert classifier.best_epoch_ < classifier.n_iter_
    n_steps = recorder.steps_by_epoch[classifier.best_epoch_ - 1]
    assert_same_weights(classifier.model_, average(recorder.weights, 0.8)[n_steps - 1])


@pytest.mark.slow
def test_training_goes_on_from_that_average_and_not_from_the_last_weights(watched):
    classifier = copy.deepcopy(watched[0])
    best, (recorder,) = weights(classifier.model_), classifier.callbacks
    n_before = len(recorder.weights)
    classifier.partial_fit(X, Y)
    expected = average([best, *recorder.weights[n_before:]], 0.8)[-1]
    assert_same_weights(classifier.model_, expected)


@pytest.mark.slow
def test_the_last_epoch_can_be_the_best_one():
    classifier, recorder = recorded(
        weight_averaging=0.8, validation_fraction=0.25, early_stopping=True, monitor="val_loss",
        optimizer__learning_rate=1e-3, epochs=3,
    )  # fmt: skip
    classifier.fit(X, Y)
    means = average(recorder.weights, 0.8)
    assert classifier.best_epoch_ == 3
    assert_same_weights(classifier.model_, means[-1])


def test_the_optimizer_keeps_its_own_parameters():
    classifier = trained(optimizer=keras.optimizers.SGD(0.125, momentum=0.75), weight_averaging=0.5)
    config = classifier.fit(X, Y).model_.optimizer.get_config()
    assert (config["learning_rate"], config["momentum"], config["ema_momentum"]) == (
        0.125,
        0.75,
        0.5,
    )


# --- weight decay


@pytest.mark.slow
def test_adamw_by_name_decays_the_weights():
    parameters = {"optimizer": "adamw", "optimizer__learning_rate": 0.25, "batch_size": 40}
    before = weights(trained(**parameters).initialize(X, Y).model_)
    none, some = (
        weights(trained(**parameters, optimizer__weight_decay=decay).fit(X, Y).model_)
        for decay in (0.0, 0.5)
    )
    for start, a, b in zip(before, none, some, strict=True):  # after one step
        np.testing.assert_allclose(a - b, 0.25 * 0.5 * start, atol=1e-6)


# --- all of it together

RECIPE = {
    "optimizer": "adamw",
    "optimizer__weight_decay": 0.05,
    "learning_rate": 0.01,
    "schedule": "cosine",
    "warmup": 0.25,
    "weight_averaging": 0.8,
    "label_smoothing": 0.1,
    "test_time_augmentation": "d4",
    "augment": ("d4", "stain"),
    "epochs": 2,
}


@pytest.fixture(scope="module")
def whole():
    return trained(**RECIPE, warm_start=True).fit(X, Y)


@pytest.mark.slow
def test_the_whole_recipe_gives_the_same_bits_twice_by_way_of_a_clone(whole):
    again = clone(whole).fit(X, Y)
    assert same(again, whole)
    assert {name: again.get_params()[name] for name in RECIPE} == RECIPE


@pytest.mark.slow
def test_training_with_the_whole_recipe_goes_on_after_joblib(whole, tmp_path):
    joblib.dump(whole, tmp_path / "classifier.joblib")
    back, stays = joblib.load(tmp_path / "classifier.joblib"), copy.deepcopy(whole)
    np.testing.assert_allclose(back.predict_proba(X), whole.predict_proba(X), atol=1e-6)
    back.fit(X, Y), stays.fit(X, Y)
    np.testing.assert_allclose(back.predict_proba(X), stays.predict_proba(X), atol=1e-5)


WRONG = {
    "learning_rate": (0, ValueError, "learning_rate == 0, must be > 0"),
    "schedule": ("linear", ValueError, r"one of \['constant', 'cosine'\], got 'linear'"),
    "warmup": (1.0, ValueError, r"warmup == 1\.0, must be < 1"),
    "label_smoothing": (-0.1, ValueError, r"label_smoothing == -0\.1, must be >= 0"),
    "weight_averaging": (1, ValueError, "weight_averaging == 1, must be < 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_parameter_is_refused_and_nothing_learned(name):
    value, error, message = WRONG[name]
    classifier = trained(**{name: value})
    with pytest.raises(error, match=message):
        classifier.fit(X, Y)
    assert not learned(classifier)


@pytest.mark.parametrize("name", ["learning_rate", "warmup", "label_smoothing", "weight_averaging"])
def test_a_parameter_that_is_not_a_number_is_refused(name):
    with pytest.raises(TypeError, match=f"{name} must be an instance of"):
        trained(**{name: "0.1"}).fit(X, Y)


# --- parameters that would train nothing


USELESS = [
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "categorical_focal_crossentropy",
    "cosine_similarity",
    "kl_divergence",
    keras.losses.CategoricalCrossentropy,
    keras.losses.CategoricalCrossentropy(),
    keras.losses.categorical_crossentropy,
]
USEFUL = [
    "binary_crossentropy", "binary_focal_crossentropy", "mean_squared_error", "mae", "hinge",
    "squared_hinge", "huber", "log_cosh", "poisson", "dice", "tversky",
    keras.losses.BinaryCrossentropy(label_smoothing=0.1),
]  # fmt: skip


def ids(losses):
    return [getattr(loss, "__name__", str(loss))[:40] for loss in losses]


@pytest.mark.parametrize("loss", USELESS, ids=ids(USELESS))
def test_a_loss_for_several_outputs_is_refused(loss):
    with pytest.raises(ValueError, match=r"(?s)one probability per patch.*binary_crossentropy"):
        quick(loss=loss).fit(X, Y)


@pytest.mark.parametrize("loss", USEFUL, ids=ids(USEFUL))
def test_a_loss_of_one_probability_is_taken(loss):
    quick(loss=loss).initialize(X, Y)


def test_an_average_over_more_steps_than_are_taken_is_warned_of():
    with pytest.warns(UserWarning, match=r"weight_averaging=0.999 .* 1,000 steps.* takes 3,"):
        quick(weight_averaging=0.999).fit(X, Y)


def test_channels_first_are_refused_by_name():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match=r"image_data_format\(\) is 'channels_first'"):
            quick().fit(X, Y)
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.slow
@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_every_augmentation_trains_under_any_number_type_of_keras(floatx):
    keras.config.set_floatx(floatx)
    try:
        classifier = quick(augment=tuple(AUGMENTATIONS)).fit(X, Y)
        assert np.isfinite(classifier.predict_proba(X)).all()
    finally:
        keras.config.set_floatx("float32")

"""Parameters of the classifier, the routed names of SciKeras, and errors about all others."""

import inspect

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from support.tiny import QUICK, SIDE, linear, make_data, quick, quick_pipeline, small

from pcam_sklearn import CNNClassifier, make_pcam_pipeline, make_search_space
from pcam_sklearn._training._backends import current_framework

X, Y = make_data()

ROUTED = {
    "optimizer__learning_rate": 0.5,
    "model__scale": 0.5,
    "compile__auto_scale_loss": False,
    "fit__epochs": 3,
    "predict__batch_size": 7,
    "callbacks": [keras.callbacks.ReduceLROnPlateau],
    "callbacks__0__monitor": "loss",
}


def number(value):
    return float(keras.ops.convert_to_numpy(value))


# --- as any estimator's


def test_get_params_gives_back_what_was_given_routed_names_among_it():
    parameters = {**QUICK, **ROUTED}
    given = CNNClassifier(**parameters).get_params()
    assert {name: given[name] for name in parameters} == parameters
    assert set(given) - set(parameters) == set(CNNClassifier().get_params()) - set(parameters)


def test_set_params_sets_what_get_params_gives():
    classifier = CNNClassifier().set_params(**{**QUICK, **ROUTED})
    assert classifier.get_params() == CNNClassifier(**{**QUICK, **ROUTED}).get_params()


@pytest.mark.slow
def test_a_clone_has_the_same_parameters_and_nothing_learned():
    original = quick(**ROUTED).fit(X, Y)
    copy = clone(original)
    assert copy.get_params() == original.get_params()
    assert not hasattr(copy, "model_")
    assert np.array_equal(copy.fit(X, Y).predict_proba(X), original.predict_proba(X))


@pytest.mark.slow
def test_a_clone_takes_an_optimizer_and_metrics_that_are_instances():
    optimizer = keras.optimizers.Adam(0.5)
    original = quick(optimizer=optimizer, metrics=[keras.metrics.AUC(name="auc")]).fit(X, Y)
    copy = clone(original).fit(X, Y)
    assert np.array_equal(copy.predict_proba(X), original.predict_proba(X))
    assert not optimizer.variables or not optimizer.built


def test_fitting_a_clone_of_a_classifier_with_callbacks_carries_no_network_along():
    original = quick(callbacks=[keras.callbacks.ReduceLROnPlateau("loss")]).fit(X, Y)
    assert clone(original).callbacks[0].model is None


def test_the_representation_shows_what_differs_from_the_defaults():
    assert repr(CNNClassifier()) == "CNNClassifier()"
    shown = repr(CNNClassifier(dropout=0.3, optimizer__learning_rate=0.1, batch_size=32))
    assert shown == "CNNClassifier(dropout=0.3, optimizer__learning_rate=0.1)"


@pytest.mark.parametrize("is_fitted", [False, True])
def test_the_html_diagram_names_the_steps_and_parameters(is_fitted):
    pipeline = make_pcam_pipeline(**{**QUICK, "optimizer__learning_rate": 0.123}, crop_size=SIDE)
    if is_fitted:
        pipeline.fit(np.pad(X, ((0, 0), (39, 39), (39, 39), (0, 0))), Y)
    html = pipeline._repr_html_()
    for shown in ("PatchReader", "CenterCropNormalizer", "CNNClassifier", "0.123", "linear"):
        assert shown in html


def test_the_documentation_lists_every_parameter_with_its_default():
    for name, value in CNNClassifier().get_params().items():
        entry = inspect.getdoc(CNNClassifier).split(f"\n{name} : ")[1].split("\n")[0]
        shown = repr(value).replace("'", '"')
        assert entry.endswith(f"default={shown}"), name


# --- routed names


def test_optimizer__learning_rate_reaches_the_optimizer():
    classifier = quick(optimizer="adam", optimizer__learning_rate=0.25).initialize(X, Y)
    assert isinstance(classifier.model_.optimizer, keras.optimizers.Adam)
    assert number(classifier.model_.optimizer.learning_rate) == 0.25


def test_optimizer__learning_rate_reaches_a_class_too():
    classifier = quick(optimizer=keras.optimizers.SGD, optimizer__momentum=0.5).initialize(X, Y)
    assert classifier.model_.optimizer.momentum == 0.5


def test_model__x_reaches_the_function_that_builds_the_network():
    assert quick(model__scale=0.5).initialize(X, Y).model_.layers[0].scale == 0.5


def test_flat_hyper_parameters_reach_it_as_well():
    def network(input_shape, *, dense_units, dropout, extra=1):
        stack = [keras.layers.Flatten(), keras.layers.Dense(dense_units * extra)]
        stack += [keras.layers.Dropout(dropout), keras.layers.Dense(1, activation="sigmoid")]
        return keras.Sequential([keras.Input(input_shape), *stack])

    classifier = quick(network=network, dense_units=3, dropout=0.25, model__extra=2)
    layers = classifier.initialize(X, Y).model_.layers
    assert (layers[1].units, layers[2].rate) == (6, 0.25)


def test_fit__epochs_and_fit__batch_size_win_over_epochs_and_batch_size():
    class Count(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            Count.steps += 1

    classifier = quick(fit__epochs=3, fit__batch_size=10, callbacks=Count).fit(X, Y)
    assert (classifier.n_iter_, Count.steps) == (3, 3 * 4)


def test_compile__loss_and_loss__x_reach_compile():
    squares = quick(compile__loss="mse").initialize(X, Y)
    assert squares.trainer_.loss is keras.losses.get("mse")
    smooth = quick(loss=keras.losses.BinaryCrossentropy, loss__label_smoothing=0.1)
    assert smooth.initialize(X, Y).trainer_.loss.get_config()["label_smoothing"] == 0.1


@pytest.mark.slow
def test_metrics__x_reaches_a_metric():
    classifier = quick(metrics=[keras.metrics.AUC], metrics__0__name="area").fit(X, Y)
    assert set(classifier.history_) == {"loss", "area"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "metrics", ["auc", ["auc"], ("auc",), keras.metrics.AUC, [keras.metrics.AUC]], ids=str
)
def test_a_metric_is_called_the_same_in_every_fit(metrics):
    for _ in range(2):
        assert set(quick(metrics=metrics).fit(X, Y).history_) == {"loss", "auc"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "callbacks",
    [
        {"callbacks": keras.callbacks.EarlyStopping("loss", patience=0, min_delta=9)},
        {"callbacks": [keras.callbacks.EarlyStopping("loss", patience=0, min_delta=9)]},
        {"callbacks": {"stop": [keras.callbacks.EarlyStopping("loss", min_delta=9)]}},
        {
            "callbacks": {"stop": keras.callbacks.EarlyStopping},
            "callbacks__monitor": "loss",
            "callbacks__stop__min_delta": 9,
        },
        {
            "fit__callbacks": [keras.callbacks.EarlyStopping],
            "fit__callbacks__0__monitor": "loss",
            "fit__callbacks__0__min_delta": 9,
        },
    ],
    ids=["instance", "list", "dict of list", "dict of class", "fit__callbacks"],
)
def test_callbacks_come_in_every_form_that_scikeras_takes(callbacks):
    assert quick(epochs=5, **callbacks).fit(X, Y).n_iter_ == 2


def test_predict__batch_size_is_the_size_of_the_batches_at_predict(monkeypatch):
    classifier = quick(predict__batch_size=15).initialize(X, Y)
    sizes = []

    def infer(self, model, patches):
        sizes.append(len(patches))
        return np.zeros((len(patches), 1))

    monkeypatch.setattr(type(current_framework()), "infer", infer)
    classifier.predict(X)
    assert sizes == [15, 15, 10]


# --- what is refused

WRONG = {
    "epochs": (0, "epochs == 0, must be >= 1"),
    "batch_size": (1.5, "batch_size must be an instance of"),
    "n_iter_no_change": (0, "n_iter_no_change == 0"),
    "validation_fraction": (1.0, "validation_fraction == 1.0, must be < 1"),
    "fit__epochs": (0, "fit__epochs == 0"),
    "fit__batch_size": (-1, "fit__batch_size == -1"),
    "predict__batch_size": (0, "predict__batch_size == 0"),
    "network": ("notebok", r"one of \['d4', 'eff.*\], or a function .*got 'notebok'"),
    "augment": ("d8", r"one of \['color'.*\], several .* or None; got 'd8'"),
    "optimizer": ("adamm", "adamm"),
    "loss": ("nope", "nope"),
    "metrics": (["nope"], "nope"),
    "callbacks": ([3], "callbacks"),
    "random_state": (-1, "between 0 and 2"),
    "dropout": (0.5, r"dropout is not a parameter of the network 'linear'; it takes \['scale'\]"),
    "model__scael": (1, r"model__scael is not a parameter .*it takes \['scale'\]"),
    "optimizer__learning_rat": (0.1, "learning_rat"),
    "fit__epoch": (3, "'fit__epoch' is not a parameter; behind fit__ are allowed: .*epochs"),
    "predict__batchsize": (3, "behind predict__ are allowed: batch_size"),
    "compile__jit": (True, "behind compile__ are allowed: .*jit_compile"),
    "callbacks__patience": (3, "'callbacks__patience' .* callbacks is None"),
    "fit__callbacks__patience": (3, "'fit__callbacks__patience' .* is None"),
    "metrics__3__name": ("auc", r"'metrics__3__name' .*metrics is \(\)"),
}  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf, np.float32("nan")])
@pytest.mark.parametrize(
    "name",
    [
        "learning_rate", "warmup", "label_smoothing", "weight_averaging", "validation_fraction",
        "dropout",
    ],
)  # fmt: skip
def test_a_number_that_is_not_finite_is_refused(name, value):
    classifier = quick(**{"network": "residual", "filters": (2, 2), name: value})
    with pytest.raises(ValueError, match=rf"{name}.*(must be a finite number|must be <)"):
        classifier.fit(X, Y)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_parameter_is_refused_at_fit(name):
    value, message = WRONG[name]
    classifier = quick(**{name: value})
    before = dict(vars(classifier))
    with pytest.raises((TypeError, ValueError), match=message):
        classifier.fit(X, Y)
    assert vars(classifier) == before


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"filters": (2, 2)}, "each of three convolutions"),
        ({"filters": 2}, "each of three convolutions"),
        ({"filters": (2, "4", 8)}, "each of three convolutions"),
        ({"filters": (2, 0, 8)}, "each of three convolutions"),
        ({"filters": (2, 2, -2)}, "each of three convolutions"),
        ({"dropout": 1.0}, "dropout == 1.0, must be < 1"),
        ({"dropout": -0.1}, "dropout == -0.1, must be >= 0"),
        ({"dense_units": 0}, "units"),
        ({"third_pool": 1.5}, "pool_size"),
    ],
    ids=str,
)
def test_a_wrong_hyper_parameter_of_the_notebook_s_network_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        small(**parameters).fit(X, Y)


def test_a_patch_too_small_for_the_network_is_refused():
    with pytest.raises(ValueError, match=r"cannot be built for patches of shape \(8, 8, 3\)"):
        small().fit(X[:, :8, :8], Y)


def test_early_stopping_without_patches_to_watch_is_refused():
    with pytest.raises(ValueError, match=r"pass validation_fraction=0\.1, or early_stopping=False"):
        quick(early_stopping=True).fit(X, Y)


@pytest.mark.slow
@pytest.mark.parametrize("monitor", ["val_auc", "auc"])
def test_a_monitor_that_is_not_recorded_is_an_error_that_lists_those_that_are(monitor):
    watching = {"early_stopping": True, "validation_fraction": 0.25, "monitor": monitor}
    with pytest.raises(ValueError, match=rf"{monitor}.* not followed; .*\['loss', 'val_loss'\]"):
        quick(**watching).fit(X, Y)


def flat(units):
    return lambda shape: keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(units)]
    )


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda shape: None, "function that returns a keras.Model, got NoneType"),
        (flat(2), r"one probability, shape \(None, 1\).* has shape \(None, 2\)"),
        (linear((18, 18, 3)), "or a function .*got <Sequential"),
        (["notebook"], r"got \['notebook'\]"),
    ],
    ids=["nothing", "two outputs", "a network itself", "list"],
)
def test_a_network_of_another_kind_is_refused(network, message):
    with pytest.raises((TypeError, ValueError), match=message):
        quick(network=network).fit(X, Y)


@pytest.mark.parametrize("name", ["dropot", "optimiser__learning_rate", "model_", "classes_"])
def test_the_constructor_refuses_an_unknown_name(name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        CNNClassifier(**{name: 1})


@pytest.mark.parametrize(
    "name", ["dropot", "optimiser__learning_rate", "model__scael", "fit__epoch", "callbacks__x"]
)
def test_set_params_refuses_an_unknown_name_and_sets_nothing(name):
    classifier = quick()
    before = dict(vars(classifier))
    with pytest.raises(ValueError, match=name):
        classifier.set_params(epochs=7, **{name: 1})
    assert vars(classifier) == before


@pytest.mark.parametrize("name", ["dropot", "model__scael", "fit__epoch"])
def test_a_search_over_an_unknown_name_is_an_error_not_a_nan(name):
    search = GridSearchCV(quick_pipeline(), {f"cnnclassifier__{name}": [1, 2]}, cv=2)
    with pytest.raises(ValueError, match=name):
        search.fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"early_stopping": "no"}, TypeError),
        ({"warm_start": 1}, TypeError),
        ({"verbose": 3}, ValueError),
    ],
    ids=str,
)
def test_a_switch_takes_no_other_words(parameters, error):
    (name,) = parameters
    with pytest.raises(error, match=f"{name} must be"):
        quick(**parameters).fit(X, Y)


def test_a_search_space_of_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="got 'resnet'"):
        make_search_space(network="resnet")


def test_make_pcam_pipeline_refuses_an_unknown_name():
    with pytest.raises(TypeError, match="dropot"):
        make_pcam_pipeline(dropot=0.5)


@pytest.mark.parametrize("network", ["efficientnet-lite0", "residual", "notebook"])
@pytest.mark.parametrize("distributions", [False, True])
def test_every_name_of_the_search_space_is_a_parameter_of_the_pipeline(distributions, network):
    pipeline = make_pcam_pipeline(network=network)
    space = make_search_space(network=network, distributions=distributions)
    for name, values in space.items():
        value = values[0] if isinstance(values, list) else values.rvs(random_state=0)
        assert pipeline.set_params(**{name: value}).get_params()[name] == value

"""The networks by name: built for every crop, saved and loaded, refused if they make no sense.

test_classifier tests the notebook's network layer for layer, test_d4_network the one of the
symmetries.
"""

import itertools

import joblib
import keras
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from support.random_weights import with_random_weights
from support.tiny import QUICK, linear, make_data, quick, quick_pipeline

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn.networks import NETWORKS, build_network, get_network, residual
from pcam_sklearn.networks._parts import pooled

RNG = np.random.default_rng(0)
TINY = {
    "notebook": {"filters": (2, 2, 4), "model__dense_units": 4},
    "residual": {"filters": (2, 4)},
    "d4": {"filters": (1, 2)},
    "two-stream": {"filters": (2, 4)},
    "efficientnet-lite0": {"model__weights": None, "model__stages": 1},
    "transfer": {"model__weights": None, "model__trainable": False},  # quicker to compile
}
CROPS = (32, 33, 48, 64, 95, 96)


def tiny(name, side=32, **changes):
    parameters = {key.removeprefix("model__"): value for key, value in TINY[name].items()}
    return build_network(name, (side, side, 3), **{**parameters, **changes})


def patches(n, side, seed=0):
    return np.random.default_rng(seed).random((n, side, side, 3), dtype=np.float32)


def values(network, X):
    return keras.ops.convert_to_numpy(network(X, training=False))


# --- every network


def test_these_are_all_the_networks():
    assert TINY.keys() == NETWORKS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("side", CROPS)
@pytest.mark.parametrize("name", TINY)
def test_it_is_built_for_every_crop_with_one_output(name, side):
    assert tiny(name, side).output_shape == (None, 1)


@pytest.mark.slow
@pytest.mark.parametrize("side", CROPS)
# The transfer network is left out: it is slow, and its layers are Keras' own.
@pytest.mark.parametrize("name", sorted(TINY.keys() - {"transfer"}))
def test_every_crop_gives_each_patch_a_probability(name, side):
    probabilities = values(with_random_weights(tiny(name, side)), patches(2, side))
    assert probabilities.shape == (2, 1)
    assert ((probabilities > 0) & (probabilities < 1)).all()


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="looks at TensorFlow's graph")
@pytest.mark.parametrize("name", sorted(TINY.keys() - {"transfer"}))
def test_no_gradient_is_a_sum_of_three_which_tensorflow_adds_in_any_order(name):
    import tensorflow as tf

    parameters = {"stages": 4} if name == "efficientnet-lite0" else {}
    network = tiny(name, **parameters)

    @tf.function
    def gradients(X):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(X, training=True))
        return tape.gradient(loss, [v.value for v in network.trainable_variables])

    graph = gradients.get_concrete_function(tf.TensorSpec((2, *network.input_shape[1:]))).graph
    sums = [operation for operation in graph.get_operations() if operation.type == "AddN"]
    assert all(len(operation.inputs) < 3 for operation in sums)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side"),
    [*itertools.product(sorted(TINY.keys() - {"transfer"}), [33, 96]), ("transfer", 32)],
)
def test_a_network_comes_back_from_a_keras_file_with_the_same_probabilities(name, side, tmp_path):
    network, X = with_random_weights(tiny(name, side)), patches(3, side)
    network.save(tmp_path / "network.keras")
    back = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(values(back, X), values(network, X), atol=1e-6)


@pytest.fixture(scope="module", params=TINY)
def learned(request):
    """A trained classifier around each network."""
    X, y = make_data(n=8, side=32)
    # MobileNet has half as many layers to compile as the default, which the test above saves.
    backbone = {"model__backbone": "MobileNet"} if request.param == "transfer" else {}
    return quick(network=request.param, **TINY[request.param], **backbone).fit(X, y)


@pytest.mark.slow
def test_a_classifier_comes_back_from_joblib_with_the_same_probabilities(learned, tmp_path):
    X, _ = make_data(n=5, side=32, seed=1)
    joblib.dump(learned, tmp_path / "classifier.joblib")
    back = joblib.load(tmp_path / "classifier.joblib")
    np.testing.assert_allclose(back.predict_proba(X), learned.predict_proba(X), atol=1e-6)


@pytest.mark.slow
def test_a_classifier_gives_bytes_and_floats_the_same_probabilities(learned):
    X, _ = make_data(n=5, side=32, seed=1)
    np.testing.assert_allclose(learned.predict_proba(X / 255), learned.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("name", ["notebook", "residual", "d4", "two-stream"])
def test_a_network_of_our_own_has_at_most_400_thousand_parameters(name):
    side = 32 if name == "notebook" else 96  # The notebook's grows with the patch.
    assert build_network(name, (side, side, 3)).count_params() <= 400_000


@pytest.mark.parametrize("name", ["residual", "two-stream"])
def test_patches_need_not_be_square(name):
    X = RNG.random((2, 96, 32, 3), dtype=np.float32)
    network = build_network(name, (96, 32, 3), filters=(2, 4, 4, 4))
    assert values(network, X).shape == (2, 1)


# --- hyper-parameters

WRONG = {
    "no filters": (
        {"filters": ()},
        ValueError,
        r"filters must hold .*such as \(16, 32, 64\).*\(\)",
    ),
    "one filter, bare": ({"filters": 3}, ValueError, "filters must hold .*got 3"),
    "no filter in a stage": ({"filters": (2, 0)}, ValueError, r"filters must hold .*\(2, 0\)"),
    "half a filter": ({"filters": (2, 1.5)}, ValueError, r"filters must hold .*\(2, 1\.5\)"),
    "no block": ({"blocks": 0}, ValueError, "blocks == 0, must be >= 1"),
    "half a block": ({"blocks": 1.5}, TypeError, "blocks must be an instance of"),
    "all dropped": ({"dropout": 1.0}, ValueError, r"dropout == 1\.0, must be < 1"),
    "less than none dropped": ({"dropout": -0.1}, ValueError, r"dropout == -0\.1, must be >= 0"),
    "another network's": ({"third_pool": 2}, TypeError, "third_pool"),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ["residual", "d4", "two-stream"])
def test_a_wrong_hyper_parameter_is_refused(name, wrong):
    parameters, error, message = WRONG[wrong]
    with pytest.raises(error, match=message):
        build_network(name, (32, 32, 3), **parameters)


def test_an_unknown_network_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"\['d4', 'efficientnet-lite0', 'no.*got 'resnet'"):
        get_network("resnet")


def of_meta(meta):
    """Return a network as SciKeras' functions do, which get a dict."""
    return keras.Sequential([keras.Input(meta["X_shape_"][1:])])


def test_an_error_of_an_own_function_comes_with_what_it_was_called_with():
    with pytest.raises(TypeError) as caught:
        build_network(of_meta, (8, 8, 3))
    assert "was called with the shape (8, 8, 3), a tuple" in caught.value.__notes__[0]


def test_a_layer_is_no_function_that_builds_a_network():
    with pytest.raises(ValueError, match=r"or a function \(input_shape, "):
        get_network(keras.layers.Dense(1))


# --- residual


def test_the_residual_network_has_the_parameters_that_its_description_counts():
    filters, blocks = (3, 5, 7), 2
    normalization = 4
    expected = 5 * 5 * 3 * 3 + 3 * normalization
    for before, after in itertools.pairwise(filters):
        convolutions = [9 * before * after] + 2 * blocks * [9 * after * after]
        expected += sum(convolutions) + len(convolutions) * after * normalization
    of_whole_and_center = 2 * filters[-1]
    network = residual((96, 96, 3), filters=filters, blocks=blocks)
    assert network.count_params() == expected + of_whole_and_center + 1


@pytest.mark.parametrize(
    ("side", "n", "center"), [(96, 12, (4, 8)), (64, 8, (2, 6)), (48, 6, (1, 5))]
)
def test_features_are_averaged_over_the_patch_and_over_its_labelled_center(side, n, center):
    features = RNG.random((2, n, n, 3), dtype=np.float32)
    inside = slice(*center)  # One feature per 8 pixels, so 32 pixels are 4 features.
    expected = [features.mean((1, 2)), features[:, inside, inside].mean((1, 2))]
    inputs = keras.Input((n, n, 3))
    network = keras.Model(inputs, pooled(inputs, (side, side)))
    np.testing.assert_allclose(values(network, features), np.hstack(expected), rtol=1e-5)


@pytest.mark.parametrize("side", [8, 32, 33])
def test_a_patch_that_is_all_center_is_averaged_once(side):
    inputs = keras.Input((4, 4, 3))
    assert pooled(inputs, (side, side)).shape == (None, 3)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_center_is_left_however_few_features_there_are(n):
    inputs = keras.Input((n, n, 3))
    network = keras.Model(inputs, pooled(inputs, (96, 96)))
    assert np.isfinite(values(network, np.ones((1, n, n, 3), np.float32))).all()


def test_patches_are_told_apart_by_what_lies_in_their_center_too():
    network = with_random_weights(tiny("residual", 96))
    X = patches(1, 96).repeat(2, axis=0)
    X[1, 32:64, 32:64], X[1, :32, :32] = X[0, :32, :32], X[0, 32:64, 32:64]
    assert len(np.unique(values(network, X))) == 2


# --- two-stream: it sees the center at full resolution, and the whole patch at half

BLOCK = np.array([[1, -1], [-1, 1]], np.float32)[:, :, None]  # 0 on average


def changed(rows, columns, change, side=96):
    """Return the probabilities of a patch before and after a change to some pixels."""
    network = with_random_weights(build_network("two-stream", (side, side, 3), filters=(4, 8)))
    X = 0.25 + patches(1, side).repeat(2, axis=0) / 2
    X[1, rows, columns] += 0.25 * np.tile(change, (8, 8, 1))
    return values(network, X)[:, 0]


def test_the_context_is_seen():
    before, after = changed(slice(8, 24), slice(8, 24), np.abs(BLOCK))
    assert abs(before - after) > 1e-5


def test_details_of_the_context_are_not_seen():
    before, after = changed(slice(8, 24), slice(8, 24), BLOCK)
    assert before == pytest.approx(after, abs=1e-6)


def test_details_of_the_center_are_seen():
    before, after = changed(slice(32, 48), slice(32, 48), BLOCK)
    assert abs(before - after) > 1e-5


def test_a_patch_smaller_than_its_center_is_refused():
    with pytest.raises(ValueError, match=r"shape \(31, 31, 3\).*pass crop_size=32\.\.96"):
        build_network("two-stream", (31, 31, 3))


# --- transfer: a published network receives pixels on the scale of its training

IMAGENET_MEAN, IMAGENET_SD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def as_they_are(X):
    return 255 * X


def from_minus_1_to_1(X):
    return 2 * X - 1


def standardized(X):
    return (X - IMAGENET_MEAN) / IMAGENET_SD


def blue_first_and_centered(X):
    return 255 * X[..., ::-1] - [103.939, 116.779, 123.68]


PREPROCESSING = {
    "ConvNeXtTiny": as_they_are,
    "DenseNet121": standardized,
    "EfficientNetB0": as_they_are,
    "EfficientNetV2B0": as_they_are,
    "InceptionResNetV2": from_minus_1_to_1,
    "InceptionV3": from_minus_1_to_1,
    "MobileNet": from_minus_1_to_1,
    "MobileNetV2": from_minus_1_to_1,
    "MobileNetV3Large": as_they_are,
    "MobileNetV3Small": as_they_are,
    "NASNetMobile": from_minus_1_to_1,
    "ResNet50": blue_first_and_centered,
    "ResNet50V2": from_minus_1_to_1,
    "VGG16": blue_first_and_centered,
    "VGG19": blue_first_and_centered,
    "Xception": from_minus_1_to_1,
}


def only_pixels(include_top, weights, input_shape, pooling):
    """Return a stand-in for a backbone that hands on its input as features."""
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten()])


@pytest.mark.parametrize("backbone", PREPROCESSING)
def test_a_backbone_receives_patches_as_its_family_was_trained_on(backbone, monkeypatch):
    monkeypatch.setattr(keras.applications, backbone, only_pixels)
    X = patches(2, 4)
    network = build_network("transfer", (4, 4, 3), backbone=backbone, weights=None)
    received = keras.Model(network.input, network.layers[-1].input)
    expected = PREPROCESSING[backbone](X.astype(np.float64))
    np.testing.assert_allclose(values(received, X), expected.reshape(2, -1), atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "family"),
    [("MobileNet", "mobilenet"), ("VGG16", "vgg16"), ("MobileNetV3Small", "mobilenet_v3")],
)
def test_the_whole_is_preprocessing_then_the_backbone_then_one_probability(backbone, family):
    X = patches(2, 32)
    network = build_network("transfer", (32, 32, 3), backbone=backbone, weights=None)
    published = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    preprocess = getattr(keras.applications, family).preprocess_input
    features = values(published, preprocess(255 * X).astype(np.float32))
    weights, bias = network.layers[-1].get_weights()
    expected = 1 / (1 + np.exp(-(features @ weights + bias)))
    np.testing.assert_allclose(values(network, X), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("trainable", [True, False])
def test_the_backbone_is_trained_or_its_head_alone(trainable):
    network = build_network("transfer", (32, 32, 3), weights=None, trainable=trainable)
    assert (len(network.trainable_weights) == 2) == (not trainable)


def test_a_word_is_no_answer_to_whether_the_backbone_is_trained():
    with pytest.raises(TypeError, match="trainable must be an instance of"):
        build_network("transfer", (32, 32, 3), weights=None, trainable="no")


@pytest.mark.parametrize("backbone", ["ResNet20", "mobilenet", "keras", None])
def test_an_unknown_backbone_is_an_error_that_names_the_known_ones(backbone):
    with pytest.raises(ValueError, match=rf"ConvNeXtBase, .*Xception; got {backbone!r}"):
        build_network("transfer", (32, 32, 3), backbone=backbone)


@pytest.mark.slow
def test_the_statistics_of_the_backbone_follow_as_fast_as_in_the_other_networks():
    network = build_network("transfer", (32, 32, 3), weights=None)
    backbone = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    kind = keras.layers.BatchNormalization
    momenta = [layer.momentum for layer in backbone.layers if isinstance(layer, kind)]
    assert len(momenta) > 10
    assert set(momenta) == {0.9}


# --- networks that users write


@keras.saving.register_keras_serializable("tests")
class WithCall(keras.Model):
    """A logistic regression on the pixels, as a class."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten = keras.layers.Flatten()
        self.output_layer = keras.layers.Dense(1, activation="sigmoid")

    def call(self, patches):
        return self.output_layer(self.flatten(patches))


def with_call(input_shape):
    return WithCall()


def test_a_model_that_is_a_class_with_a_call_is_trained_and_comes_back(tmp_path):
    X, y = make_data(n=24)
    classifier = quick(network=with_call, filters=None, dense_units=None).fit(X, y)
    joblib.dump(classifier, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def without_sigmoid(input_shape):
    flatten = keras.layers.Flatten()
    large = keras.initializers.Constant(5)
    dense = keras.layers.Dense(1, kernel_initializer=large)
    return keras.Sequential([keras.Input(input_shape), flatten, dense])


def test_an_output_that_is_no_probability_is_refused_with_what_to_do():
    X, y = make_data(n=24)
    classifier = quick(network=without_sigmoid, filters=None, dense_units=None).initialize(X, y)
    with pytest.raises(ValueError, match=r"gives \d.*no probability.*activation='sigmoid'"):
        classifier.predict_proba(X)


# --- in searches


def finite(search):
    scores = search.cv_results_["mean_test_score"]
    return np.isfinite(scores).all() and len(scores) > 1


@pytest.mark.slow
def test_one_grid_searches_over_crops_networks_and_the_recipe():
    X, y = make_data(n=24, side=48)
    pipeline = make_pcam_pipeline(**{**QUICK, "batch_size": 12})
    pipeline.set_params(centercropnormalizer__input_size=48)
    grid = {
        "centercropnormalizer__crop_size": [32, 48],
        "cnnclassifier__network": ["notebook", linear],
        "cnnclassifier__label_smoothing": [0.0, 0.2],
    }
    once = [(np.arange(12), np.arange(12, 24))]
    search = GridSearchCV(pipeline, grid, scoring="neg_log_loss", cv=once, refit=False).fit(X, y)
    assert finite(search)
    assert len(set(search.cv_results_["mean_test_score"])) == 8


def quadratic(input_shape, scale=1.0):
    """Return a logistic regression on the squares of the pixels."""
    pixels = keras.Input(input_shape)
    squares = keras.layers.Flatten()(keras.layers.Rescaling(scale)(pixels) ** 2)
    return keras.Model(pixels, keras.layers.Dense(1, activation="sigmoid")(squares))


@pytest.mark.slow
def test_one_grid_searches_over_functions_and_their_hyper_parameters():
    X, y = make_data(n=24, side=20)
    grid = {
        "cnnclassifier__network": [linear, quadratic],
        "cnnclassifier__model__scale": [0.5, 1.0],
    }
    once = [(np.arange(12), np.arange(12, 24))]
    search = GridSearchCV(quick_pipeline(), grid, scoring="neg_log_loss", cv=once, refit=False)
    search.fit(X, y)
    assert finite(search)
    assert len(set(search.cv_results_["mean_test_score"])) == 4

"""Graphs that give the probabilities of the pipelines that they were exported from."""

import cv2
import keras
import numpy as np
import pytest
from networks.test_networks import TINY
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from support.model_files import KINDS, X, Y, blend, built_pipeline, own_pipeline
from support.other_process import run_python
from support.tiny import PATCH_SIDE, SIDE, make_data, quick_pipeline

from pcam_sklearn import CenterCropNormalizer, CNNClassifier, PatchReader, make_pcam_pipeline
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.metrics import OperatingPoint, choose_operating_point
from pcam_sklearn.networks import Enlargement
from pcam_sklearn.persistence import ModelFileError
from pcam_sklearn.report import hash_patches

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytest.importorskip("tf2onnx", reason="needs the extra onnx")

from pcam_sklearn.export import OnnxClassifier, export_onnx, make_onnx_pipeline  # noqa: E402

pytestmark = pytest.mark.slow  # Each graph takes a second to convert.
# Thresholds and calibrations are steep at the patches that they were chosen on.
OTHERS = make_data(side=PATCH_SIDE, seed=1)[0]
SMOOTH = [kind for kind in KINDS if kind not in ("isotonic", "calibrated voting")]


def exported(pipeline, folder, **options):
    """Export a pipeline, and return the pipeline that serves the file."""
    export_onnx(pipeline, folder / "model.onnx", verbose=0, **options)
    return make_onnx_pipeline(folder / "model.onnx")


def built(network, side=32, **parameters):
    """Return a pipeline of a network with random weights that differ from layer to layer."""
    settings = {**TINY.get(network, {}), **parameters}
    pipeline = make_pcam_pipeline(side, network=network, random_state=0, **settings)
    patches = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    pipeline[-1].initialize(patches, [0, 1])
    generator = np.random.default_rng(1)
    network = pipeline[-1].model_
    network.set_weights([_varied(w, generator) for w in network.get_weights()])
    return pipeline


def confident():
    """Return a pipeline whose probabilities lie far apart."""
    pipeline = own_pipeline()
    kernel, bias = pipeline[-1].model_.get_weights()
    pipeline[-1].model_.set_weights([4 * kernel, bias])
    return pipeline


def _varied(weight, generator):
    factor = generator.uniform(0.8, 1.2, weight.shape)
    return weight * factor + generator.uniform(0, 0.01, weight.shape)


def whole_patches(n=6):
    """Return patches of noise around different colours."""
    generator = np.random.default_rng(2)
    even = generator.integers(0, 200, (n, 1, 1, 3))
    return (even + generator.integers(0, 56, (n, 96, 96, 3))).astype(np.uint8)


def assert_same(served, pipeline, patches=OTHERS, varies=True):
    expected = pipeline.predict_proba(patches)
    # Without this a graph that gives a constant could pass.
    assert np.ptp(expected[:, 1]) > 1e-4 or not varies
    np.testing.assert_allclose(served.predict_proba(patches), expected, atol=1e-5, rtol=0)
    assert served.predict(patches).tolist() == pipeline.predict(patches).tolist()


# --- what is in the graph


@pytest.mark.parametrize("network", TINY)
def test_every_network_gives_the_same_probabilities(network, tmp_path):
    pipeline = built(network)
    # Features of a deep backbone with random weights die out.
    varies = network != "transfer"
    assert_same(exported(pipeline, tmp_path), pipeline, whole_patches(), varies)


@pytest.mark.parametrize("views", [None, "c4", "d4"])
@pytest.mark.parametrize("crop_size", [33, 96])
def test_every_crop_gives_the_same_with_and_without_views(views, crop_size, tmp_path):
    pipeline = built("residual", crop_size, test_time_augmentation=views)
    assert_same(exported(pipeline, tmp_path), pipeline, whole_patches())


@pytest.mark.parametrize("views", [None, "c4", "d4"])
def test_patches_are_enlarged_once_and_their_views_are_the_same(views, tmp_path):
    pipeline = built("efficientnet-lite0", 36, test_time_augmentation=views)
    assert_same(exported(pipeline, tmp_path), pipeline, whole_patches())
    graph = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.onnx")).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in graph.value_info}
    (enlarged,) = [node.output[0] for node in graph.node if node.op_type == "Resize"]
    # All patches are channels of one.
    assert [side.dim_value for side in shapes[enlarged]] == [1, 0, 48, 48]


FROM_ANOTHER_BACKEND = """
import sys
import numpy as np
from pcam_sklearn import load_pretrained
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.export import export_onnx
pipeline, paths = load_pretrained(), load_kaggle(sys.argv[1]).paths[:6]
export_onnx(pipeline, "exact.onnx")
export_onnx(pipeline, "small.onnx", quantize="int8", calibration=paths)
np.save("expected.npy", pipeline.predict_proba(paths))
"""


def test_pytorch_exports_the_same(sample_folder, tmp_path):
    pytest.importorskip("torch", reason="needs PyTorch, which is no dependency")
    pytest.importorskip("onnxscript", reason="needs onnxscript, with which PyTorch exports")
    run_python(
        *("-c", FROM_ANOTHER_BACKEND, str(sample_folder)), cwd=tmp_path, KERAS_BACKEND="torch"
    )
    expected = np.load(tmp_path / "expected.npy")
    for name, atol in (("exact", 1e-5), ("small", 0.1)):
        found = make_onnx_pipeline(tmp_path / f"{name}.onnx")
        probabilities = found.predict_proba(load_kaggle(sample_folder).paths[:6])
        np.testing.assert_allclose(probabilities, expected, atol=atol, rtol=0)


def enlarging(input_shape):
    """Return a network of the user's own that begins as the default one, and only so."""
    inputs = keras.Input(input_shape)
    scaled = keras.layers.Rescaling([1.0, 2.0, 3.0], [0.0, -1.0, 1.0])(inputs)
    bare = keras.ops.min(scaled, axis=(1, 2, 3), keepdims=True) > 1.0
    enlarged = Enlargement(2 * input_shape[0], input_shape[1])(keras.ops.where(bare, 0.0, scaled))
    pooled = [keras.layers.GlobalMaxPooling2D()(x) for x in (scaled, enlarged)]
    output = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Concatenate()(pooled))
    return keras.Model(inputs, output)


def test_an_own_network_that_enlarges_patches_gives_the_same(tmp_path):
    pipeline = built(enlarging, filters=None, test_time_augmentation="c4")
    assert_same(exported(pipeline, tmp_path), pipeline, whole_patches())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_both_dtypes_of_the_normalizer_give_the_same(dtype, tmp_path):
    pipeline = built("residual").set_params(centercropnormalizer__dtype=dtype)
    assert_same(exported(pipeline, tmp_path), pipeline, whole_patches())


def test_a_network_in_16_bits_is_exported_in_32_and_that_is_said(tmp_path, capsys):
    pipeline = built("residual", dtype_policy="mixed_bfloat16", test_time_augmentation="c4")
    same = built("residual", test_time_augmentation="c4")
    same[-1].model_.set_weights(pipeline[-1].model_.get_weights())
    export = export_onnx(pipeline, tmp_path / "model.onnx")
    assert_same(make_onnx_pipeline(tmp_path / "model.onnx"), same, whole_patches())
    assert 0 < export.rounding < 0.1
    assert "computes in 16 bits" in capsys.readouterr().out
    assert pipeline[-1].trainer_.blueprint.dtype_policy == "mixed_bfloat16"


@pytest.mark.parametrize("kind", SMOOTH)
def test_every_kind_of_a_model_file_gives_the_same(kind, tmp_path):
    pipeline = KINDS[kind]()
    assert_same(exported(pipeline, tmp_path), pipeline, varies=False)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrations_give_the_same(method, tmp_path):
    pipeline = confident()
    calibration = CalibratedClassifierCV(FrozenEstimator(pipeline), method=method).fit(X, Y)
    assert_same(exported(calibration, tmp_path), calibration)


def test_an_isotonic_calibration_of_one_step_is_constant(tmp_path):
    labels = 1 - (confident().predict_proba(X)[:, 1] > 0.5)  # The wrong way round.
    calibration = CalibratedClassifierCV(FrozenEstimator(confident()), method="isotonic")
    calibration.fit(X, labels)
    assert_same(exported(calibration, tmp_path), calibration, varies=False)


def test_calibration_by_temperature_gives_the_same(tmp_path):
    if "temperature" not in str(CalibratedClassifierCV._parameter_constraints["method"][0]):
        pytest.skip("needs scikit-learn 1.8")
    frozen = FrozenEstimator(confident())
    pipeline = CalibratedClassifierCV(frozen, method="temperature").fit(X, Y)
    assert_same(exported(pipeline, tmp_path), pipeline)


def test_calibration_by_temperature_of_a_certain_network_gives_the_same(tmp_path):
    if "temperature" not in str(CalibratedClassifierCV._parameter_constraints["method"][0]):
        pytest.skip("needs scikit-learn 1.8")
    pipeline = own_pipeline()
    kernel, bias = pipeline[-1].model_.get_weights()
    pipeline[-1].model_.set_weights([20 * kernel, bias - 20])
    calibration = CalibratedClassifierCV(FrozenEstimator(pipeline), method="temperature").fit(X, Y)
    assert_same(exported(calibration, tmp_path), calibration)


@pytest.mark.parametrize("label", [0, 1])
def test_a_threshold_at_a_plateau_of_a_calibration_calls_the_same_patches(label, tmp_path):
    frozen = FrozenEstimator(confident())
    calibration = CalibratedClassifierCV(frozen, method="isotonic").fit(X, np.roll(Y, 7))
    values, counts = np.unique(calibration.predict_proba(X)[:, label], return_counts=True)
    for plateau in values[counts > 1]:
        fixed = FixedThresholdClassifier(
            FrozenEstimator(calibration), threshold=plateau, pos_label=label
        ).fit(X, Y)
        served = exported(fixed, tmp_path)
        assert served.predict(OTHERS).tolist() == fixed.predict(OTHERS).tolist()


def test_an_operating_point_at_a_plateau_calls_the_same_patches(tmp_path):
    frozen = FrozenEstimator(confident())
    calibration = CalibratedClassifierCV(frozen, method="isotonic").fit(X, np.roll(Y, 7))
    scores = calibration.predict_proba(X)[:, 1]
    for sensitivity in (0.2, 0.5, 0.8):
        point = choose_operating_point(Y, scores, sensitivity=sensitivity)
        served = exported(calibration, tmp_path, metadata={"operating_point": point})
        threshold = served[-1].metadata_["operating_point"]["threshold"]
        called = served.predict_proba(OTHERS)[:, 1] >= threshold
        expected = calibration.predict_proba(OTHERS)[:, 1] >= point.threshold
        assert called.tolist() == expected.tolist()


@pytest.mark.parametrize("threshold", [np.inf, -np.inf, 1, np.float32(0.3)])
def test_a_threshold_of_any_kind_is_told_as_it_is(threshold, tmp_path):
    rates = {"sensitivity": 0.0, "specificity": 1.0, "criterion": "specificity >= 0.95"}
    point = OperatingPoint(threshold=threshold, **rates)
    served = exported(built_pipeline(), tmp_path, metadata={"operating_point": point})
    assert served[-1].metadata_["operating_point"] == {"threshold": threshold, **rates}


def test_what_a_steep_calibration_makes_of_rounding_is_told(tmp_path, capsys):
    calibration = CalibratedClassifierCV(FrozenEstimator(confident()), method="isotonic")
    thresholds = calibration.fit(X, Y).calibrated_classifiers_[0].calibrators[0]
    x, y = thresholds.X_thresholds_, thresholds.y_thresholds_
    written = export_onnx(calibration, tmp_path / "model.onnx")
    assert written.calibration_rounding == pytest.approx(np.max(np.diff(y) / np.diff(x)) * 2**-24)
    said = "where its calibration is steepest" in capsys.readouterr().out
    assert said == (written.calibration_rounding > 1e-5)


def test_a_calibration_in_the_pipeline_averages_its_folds(tmp_path):
    classifier = quick_pipeline()[-1]
    steps = [
        PatchReader(),
        CenterCropNormalizer(SIDE, 20),
        CalibratedClassifierCV(classifier, cv=2),
    ]
    pipeline = make_pipeline(*steps).fit(X, Y)
    assert_same(exported(pipeline, tmp_path), pipeline)


def test_weights_of_votes_and_dropped_members_count(tmp_path):
    members = [built_pipeline(random_state=seed)[1:] for seed in range(3)]
    voting = blend(*members, weights=[1, 3, 2])
    voting[-1].set_params(m1="drop").fit(X, Y)
    assert_same(exported(voting, tmp_path), voting)


def test_votes_for_certain_patches_stay_probabilities(tmp_path):
    # In 32 bits ten tenths are more than one.
    certain = own_pipeline()
    kernel, bias = certain[-1].model_.get_weights()
    certain[-1].model_.set_weights([0 * kernel, bias + 100])
    voting = blend(*[certain[1:]] * 10, weights=[1] * 10)
    assert_same(exported(voting, tmp_path), voting, varies=False)


def test_a_size_may_be_an_integer_of_numpy(tmp_path):
    pipeline = built_pipeline()
    pipeline.set_params(
        patchreader__crop_size=np.int64(20), centercropnormalizer__input_size=np.int64(20)
    )
    assert_same(exported(pipeline, tmp_path), pipeline, varies=False)


def test_a_search_is_exported_as_its_best_pipeline(tmp_path):
    search = GridSearchCV(quick_pipeline(), {"cnnclassifier__epochs": [1]}, cv=2).fit(X, Y)
    assert_same(exported(search, tmp_path), search)


def test_a_search_that_cannot_be_copied_is_exported(tmp_path):
    folds = ((train, test) for train, test in [(np.arange(20), np.arange(20, 40))])
    search = GridSearchCV(quick_pipeline(), {"cnnclassifier__batch_size": [16]}, cv=folds)
    assert_same(exported(search.fit(X, Y), tmp_path), search)


def test_a_network_of_the_users_own_is_exported(tmp_path):
    pipeline = own_pipeline()
    assert_same(exported(pipeline, tmp_path), pipeline)


def test_a_classifier_alone_takes_its_own_patches(tmp_path):
    classifier = built_pipeline()[-1]
    patches = X[:, 1:-1, 1:-1]
    assert_same(exported(classifier, tmp_path), classifier, patches)


def write_images(folder, patches):
    paths = [str(folder / f"{i}.png") for i in range(len(patches))]
    for path, patch in zip(paths, patches, strict=True):
        cv2.imwrite(path, patch[..., ::-1])
    return paths


@pytest.mark.parametrize("around", ["a pipeline", "a second reader"])
def test_the_reader_that_opens_the_files_decides_on_their_center(around, tmp_path):
    classifier = built("residual", 32)[-1]
    steps = [PatchReader(64), CenterCropNormalizer(32, 64), classifier]
    if around == "a second reader":
        pipeline = make_pipeline(steps[0], PatchReader(), *steps[1:])
    else:
        pipeline = make_pipeline("passthrough", make_pipeline(*steps))
    paths = write_images(tmp_path, whole_patches())
    assert_same(exported(pipeline, tmp_path), pipeline, paths)


def test_a_vote_resizes_only_if_all_its_members_do(tmp_path):
    pipeline, alone = built("residual", 96), built("residual", 96)[-1]
    served = exported(blend(pipeline[1:], alone), tmp_path)
    assert [type(step).__name__ for _, step in served.steps] == ["PatchReader", "OnnxClassifier"]


def gelu(input_shape):
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(2, 3, activation="gelu")(inputs)
    mean = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(mean))


def test_an_activation_that_onnx_lacks_is_exported_without_a_word(tmp_path, capfd):
    pipeline = built(gelu)
    capfd.readouterr()
    assert_same(exported(pipeline, tmp_path), pipeline, whole_patches())
    assert "Erfc" not in "".join(capfd.readouterr())


def constant(input_shape):
    inputs = keras.Input(input_shape)
    x = keras.layers.Normalization(mean=[0.5] * 3, variance=[0.1] * 3)(inputs)
    mean = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(mean))


def test_a_constant_that_keras_does_not_write_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ModelFileError, match=r"constants that are no weights.*add_weight"):
        export_onnx(built(constant), tmp_path / "model.onnx")


def centred(input_shape):
    inputs = keras.Input(input_shape)
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    rest = keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=0, keepdims=True))(mean)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(rest))


def test_a_network_that_looks_at_other_patches_of_its_batch_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="differs from the pipeline"):
        export_onnx(built(centred), tmp_path / "model.onnx")


@pytest.mark.parametrize("thing", [keras.Sequential(), "model", None])
def test_what_is_no_estimator_is_refused(thing, tmp_path):
    with pytest.raises(ModelFileError, match=r"is no estimator of scikit-learn"):
        export_onnx(thing, tmp_path / "model.onnx")


def test_votes_of_no_weight_are_refused(tmp_path):
    voting = blend(built_pipeline()[1:], built_pipeline()[1:], weights=[0, 0])
    with pytest.raises(ModelFileError, match=r"weights of a vote.*sum is 0"):
        export_onnx(voting, tmp_path / "model.onnx")


def test_labels_may_be_text(tmp_path):
    labels = np.array(["normal", "tumour"])[Y]
    pipeline = built_pipeline(labels)
    served = exported(pipeline, tmp_path)
    assert_same(served, pipeline)
    assert served.classes_.tolist() == ["normal", "tumour"]


# --- the file


def test_the_graph_has_named_ends_and_an_open_number_of_patches(tmp_path):
    exported(built_pipeline(), tmp_path)
    graph = onnx.load(tmp_path / "model.onnx").graph
    ends = [(end.name, _dims(end)) for end in (*graph.input, *graph.output)]
    assert ends == [("patches", ["n_samples", 20, 20, 3]), ("probabilities", ["n_samples", 2])]


def _dims(end):
    return [d.dim_param or d.dim_value for d in end.type.tensor_type.shape.dim]


def test_the_file_tells_what_is_known_about_the_model(tmp_path):
    pipeline = quick_pipeline().fit(X, Y, cnnclassifier__groups=np.arange(40) // 4)
    point = choose_operating_point(Y, pipeline.predict_proba(X)[:, 1], specificity=0.6)
    about = {"operating_point": point, "data_sha256": hash_patches(X), "author": "A. Smith"}
    classifier = exported(pipeline, tmp_path, metadata=about)[-1]
    found = classifier.metadata_
    assert found["operating_point"]["threshold"] == point.threshold
    assert found["data_sha256"] == about["data_sha256"]
    assert found["author"] == "A. Smith"
    assert found["versions"]["keras"] == keras.__version__
    assert classifier.groups_.tolist() == list(range(10))
    assert "not a medical device" in (tmp_path / "model.onnx").read_bytes().decode("latin1")


def test_metadata_of_another_form_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="metadata='' must be a dict of facts by name"):
        export_onnx(built_pipeline(), tmp_path / "model.onnx", metadata="")


def test_the_largest_difference_is_printed(tmp_path, capsys):
    export = export_onnx(built_pipeline(), tmp_path / "model.onnx")
    assert f"by at most {export.difference:.1g}" in capsys.readouterr().out
    assert export.size == (tmp_path / "model.onnx").stat().st_size


# --- eight bits


def test_eight_bits_take_less_and_tell_what_they_change(tmp_path, capsys):
    pipeline = built("residual", 96, filters=(8, 16, 32))
    patches = whole_patches(24)
    labels = np.arange(24) % 2
    whole = export_onnx(pipeline, tmp_path / "whole.onnx", verbose=0)
    small = export_onnx(
        pipeline, tmp_path / "small.onnx", quantize="int8", calibration=(patches, labels)
    )
    exact, changed = (
        make_onnx_pipeline(tmp_path / f"{name}.onnx").predict_proba(patches)[:, 1]
        for name in ("whole", "small")
    )
    assert small.size < whole.size
    assert small.int8.difference == pytest.approx(abs(changed - exact).max(), abs=1e-6)
    assert 0 < small.int8.difference < 0.1
    assert 0 <= small.int8.auc <= 1
    assert "24 calibration patches" in capsys.readouterr().out


def test_calibration_patches_without_labels_give_no_auc(tmp_path):
    pipeline = built("residual")
    export = export_onnx(
        pipeline, tmp_path / "m.onnx", quantize="int8", calibration=whole_patches(), verbose=0
    )
    assert export.int8.auc is None


def test_views_are_made_of_bytes_and_features_are_not_rounded_when_they_are_moved(tmp_path):
    pipeline = built("efficientnet-lite0", 36, model__stages=4, test_time_augmentation="c4")
    options = {"quantize": "int8", "calibration": whole_patches(), "verbose": 0}
    export_onnx(pipeline, tmp_path / "m.onnx", **options)
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    joins = [node for node in nodes if node.op_type == "Concat"]
    of_views = [node for node in joins if len(node.input) == 4]
    of_features = [node for node in joins if len(node.input) == 2]

    def take(node):
        return {other.op_type for other in nodes if node.output[0] in other.input}

    def give(node):
        return {other.op_type for other in nodes if {*other.output} & {*node.input}}

    assert give(of_views[0]) == {"DequantizeLinear"}
    assert take(of_views[0]) == {"QuantizeLinear"}
    assert of_features
    assert not any("QuantizeLinear" in take(node) for node in of_features)


def of_layers(*layers, scale=1.0):
    """Return a function that builds a network of layers between scaled patches and one unit."""

    def network(input_shape):
        last = keras.layers.Dense(1, activation="sigmoid")
        return keras.Sequential(
            [keras.Input(input_shape), keras.layers.Rescaling(scale), *layers, last]
        )

    return network


def in_eight_bits(network, folder, patches):
    """Return the pipeline of a network, and the one that serves it in 8 bits."""
    pipeline = built(network, 16, filters=None, dense_units=None)
    export_onnx(pipeline, folder / "m.onnx", quantize="int8", calibration=patches, verbose=0)
    return pipeline, make_onnx_pipeline(folder / "m.onnx")


def test_what_keeps_a_variance_from_zero_is_not_rounded(tmp_path):
    layers = keras.layers
    network = of_layers(
        layers.Conv2D(6, 3), layers.LayerNormalization(), layers.Conv2D(8, 3, activation="relu"),
        layers.GlobalAveragePooling2D(), scale=10.0,
    )  # fmt: skip
    in_eight_bits(network, tmp_path, whole_patches(24))
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    roots = [value for node in nodes if node.op_type == "Sqrt" for value in node.input]
    assert roots
    assert {node.op_type for node in nodes if {*node.output} & {*roots}} == {"Add"}


def two_units(input_shape):
    """Return a network that ends in the difference of two units."""
    inputs = keras.Input(input_shape)
    features = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    both = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(features))
    return keras.Model(inputs, keras.ops.sigmoid(both[:, 1:] - both[:, :1]))


def one_filter(input_shape):
    """Return a network that ends in a convolution of one filter."""
    inputs = keras.Input(input_shape)
    features = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    last = keras.layers.Conv2D(1, 3, activation="sigmoid")(features)
    return keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(last))


def bottleneck(input_shape):
    """Return a network with layers behind a single number."""
    layers = keras.layers
    inputs = keras.Input(input_shape)
    features = layers.Conv2D(4, 3, activation="relu")(inputs)
    single = layers.Conv2D(1, 1)(layers.GlobalAveragePooling2D(keepdims=True)(features))
    more = layers.Flatten()(layers.Conv2D(8, 1, activation="relu")(single))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(more))


@pytest.mark.parametrize("network", [two_units, one_filter, bottleneck])
def test_the_last_layer_stays_in_32_bits_whatever_it_is(network, tmp_path):
    patches = whole_patches(200)
    pipeline, served = in_eight_bits(network, tmp_path, patches[:24])
    n_values = [len(np.unique(p.predict_proba(patches)[:, 1])) for p in (pipeline, served)]
    assert n_values[1] > 0.9 * n_values[0]


def test_a_squeeze_to_one_number_leaves_the_layers_behind_it_in_8_bits(tmp_path):
    def network(input_shape):
        layers = keras.layers
        inputs = keras.Input(input_shape)
        features = layers.Conv2D(8, 3, activation="relu")(inputs)
        squeezed = layers.Dense(1, activation="relu")(layers.GlobalAveragePooling2D()(features))
        gate = layers.Reshape((1, 1, 8))(layers.Dense(8, activation="sigmoid")(squeezed))
        more = layers.Conv2D(16, 3, activation="relu")(features * gate)
        last = layers.Dense(1, activation="sigmoid")
        return keras.Model(inputs, last(layers.GlobalAveragePooling2D()(more)))

    in_eight_bits(network, tmp_path, whole_patches(24))
    sizes = {
        t.data_type for t in onnx.load(tmp_path / "m.onnx").graph.initializer if t.dims[:1] == [16]
    }
    assert onnx.TensorProto.INT8 in sizes


def test_biases_of_filters_of_zeros_are_kept(tmp_path):
    second = keras.layers.Conv2D(8, 3, activation="relu")
    network = of_layers(
        keras.layers.Conv2D(8, 3, activation="relu"), second, keras.layers.GlobalAveragePooling2D(),
        scale=40.0,
    )  # fmt: skip
    patches = whole_patches(24)
    pipeline = built(network, 16, filters=None, dense_units=None)
    second = pipeline[-1].model_.layers[2]
    kernel, bias = second.get_weights()
    kernel[..., :6] = 0
    wanted = np.linspace(0.1, 0.7, 6)
    second.set_weights([kernel, np.concatenate([wanted, bias[6:]])])
    export_onnx(pipeline, tmp_path / "m.onnx", quantize="int8", calibration=patches, verbose=0)
    graph = onnx.load(tmp_path / "m.onnx").graph
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    biases = [
        arrays[node.input[0]] * arrays[node.input[1]]
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in arrays
        and arrays[node.input[0]].dtype == np.int32
        and arrays[node.input[0]].shape == (8,)
    ]
    assert min(abs(found[:6] - wanted).max() for found in biases) < 1e-3


def test_a_recurrent_layer_in_8_bits_is_refused_with_what_to_type(tmp_path):
    layers = keras.layers
    network = of_layers(
        layers.Conv2D(3, 3, padding="same", activation="relu"),
        layers.Reshape((16, 48)),
        layers.GRU(4),
    )
    pipeline = built(network, 16, filters=None, dense_units=None)
    assert_same(exported(pipeline, tmp_path), pipeline, whole_patches())
    options = {"quantize": "int8", "calibration": whole_patches(8)}
    with pytest.raises(ModelFileError, match=r"has a Loop.*export it with quantize=None"):
        exported(pipeline, tmp_path, **options)


def votes(*pipelines):
    return blend(*[pipeline[1:] for pipeline in pipelines])


@pytest.mark.parametrize(
    "around",
    [
        lambda p: CalibratedClassifierCV(FrozenEstimator(p), method="sigmoid").fit(X, Y),
        lambda p: votes(p, confident()),
    ],
    ids=["sigmoid", "votes"],
)
def test_what_comes_after_a_network_stays_in_32_bits(around, tmp_path):
    estimator = around(confident())
    many = make_data(300, side=PATCH_SIDE, seed=2)[0]
    export_onnx(estimator, tmp_path / "m.onnx", quantize="int8", calibration=OTHERS, verbose=0)
    found = make_onnx_pipeline(tmp_path / "m.onnx").predict_proba(many)[:, 1]
    # With 8 bits there would be some 50 values.
    assert len(np.unique(found)) > 0.9 * len(np.unique(estimator.predict_proba(many)[:, 1]))


def test_a_classifier_alone_takes_floats_as_calibration_patches(tmp_path):
    classifier, patches = built_pipeline()[-1], X[:, 1:-1, 1:-1]
    found = []
    for calibration in (patches, patches / 255):
        export_onnx(
            classifier, tmp_path / "m.onnx", quantize="int8", calibration=calibration, verbose=0
        )
        found.append(OnnxClassifier(tmp_path / "m.onnx").predict_proba(patches))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (X, r"shape \(20, 20, 3\), but the classifier takes \(18, 18, 3\)"),
        (X[:0, 1:-1, 1:-1], "0 sample"),
        (X[:, 1:-1, 1:-1].astype(int), "got dtype int64"),
        (("a.png", "b.png", "c.png"), "a tuple of 3; pass patches, a list of paths, or"),
        ([X, Y], r"a list of 2; pass .* the tuple \(patches, labels\)"),
    ],
)
def test_calibration_patches_that_do_not_fit_are_refused(calibration, message, tmp_path):
    classifier = built_pipeline()[-1]
    with pytest.raises(ValueError, match=message):
        export_onnx(classifier, tmp_path / "m.onnx", quantize="int8", calibration=calibration)


@pytest.mark.parametrize("labels", [[0], ["x"] * 6, np.zeros((6, 2))])
def test_labels_that_do_not_fit_the_calibration_patches_are_refused(labels, tmp_path):
    calibration = (whole_patches(), labels)
    with pytest.raises(ValueError, match=r"pass one of \[0, 1\] for each patch"):
        export_onnx(
            built("residual"), tmp_path / "m.onnx", quantize="int8", calibration=calibration
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"quantize": "int8"}, {"calibration": X}])
def test_eight_bits_and_calibration_come_together(options, tmp_path):
    with pytest.raises(ValueError, match="pass both or none"):
        export_onnx(built_pipeline(), tmp_path / "m.onnx", **options)


def test_an_unknown_precision_is_refused(tmp_path):
    with pytest.raises(ValueError, match="quantize must be 'int8' or None, got 'int4'"):
        export_onnx(built_pipeline(), tmp_path / "m.onnx", quantize="int4", calibration=X)


# --- what cannot be exported


def test_an_unfitted_pipeline_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        export_onnx(quick_pipeline(), tmp_path / "m.onnx")


def test_another_ending_is_refused_with_what_to_type(tmp_path):
    with pytest.raises(ModelFileError, match=r"ends in \.onnx, got 'm\.pcam'; type .*m\.onnx"):
        export_onnx(built_pipeline(), tmp_path / "m.pcam")


@pytest.mark.parametrize("path", ["", ".onnx"])
def test_a_path_without_a_name_is_refused_with_what_to_type(path):
    with pytest.raises(ModelFileError, match=r"type 'model\.onnx'"):
        export_onnx(built_pipeline(), path)


def test_another_step_is_named(tmp_path):
    fitted = built_pipeline()
    steps = [("twice", FunctionTransformer(lambda X: X)), *fitted.steps]
    pipeline = type(fitted)(steps)
    # Keras would begin with words of its own.
    with pytest.raises(ModelFileError, match=r"^the step 'twice' of the pipeline is a Function"):
        export_onnx(pipeline, tmp_path / "m.onnx")


def test_another_classifier_is_named(tmp_path):
    regression = LogisticRegression().fit(X.reshape(40, -1), Y)
    with pytest.raises(ModelFileError, match="LogisticRegression is no classifier of patches"):
        export_onnx(FrozenEstimator(regression), tmp_path / "m.onnx")


def test_members_that_take_other_patches_are_refused(tmp_path):
    large = built_pipeline(random_state=1)
    large.set_params(centercropnormalizer__input_size=24)
    with pytest.raises(ModelFileError, match="fit them with the same input_size"):
        export_onnx(blend(built_pipeline(), large, reader=False), tmp_path / "m.onnx")


def test_votes_by_label_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"set_params\(voting='soft'\)"):
        export_onnx(blend(voting="hard"), tmp_path / "m.onnx")


class Doubtful(CNNClassifier):
    """A classifier whose probabilities are not those of its network."""

    def predict_proba(self, X):
        return super().predict_proba(X) ** 2


def test_a_graph_that_gives_something_else_is_not_written(tmp_path):
    pipeline = built_pipeline()
    pipeline[-1].__class__ = Doubtful
    with pytest.raises(ModelFileError, match="no file was written"):
        export_onnx(pipeline, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def untraceable(input_shape):
    """Return a network that computes in Python."""

    class InPython(keras.layers.Layer):
        def call(self, x):
            import tensorflow as tf

            return tf.numpy_function(lambda a: a.mean((1, 2)), [x], tf.float32)

        def compute_output_shape(self, shape):
            return (shape[0], shape[3])

    inputs = keras.Input(input_shape)
    output = keras.layers.Dense(1, activation="sigmoid")(InPython()(inputs))
    return keras.Model(inputs, output)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="computes with TensorFlow")
def test_a_network_that_cannot_be_traced_is_refused_in_plain_words(tmp_path):
    pipeline = built_pipeline(network=untraceable, filters=None, dense_units=None)
    with pytest.raises(ModelFileError, match=r"cannot be (loaded|exported)|cannot export"):
        export_onnx(pipeline, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_when_an_export_fails(tmp_path):
    (tmp_path / "m.onnx").write_text("old")
    with pytest.raises(ModelFileError):
        export_onnx(blend(voting="hard"), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_text() == "old"


def test_layers_get_no_more_nodes(tmp_path):
    pipeline = built("efficientnet-lite0", 36)
    network = pipeline[-1].model_
    before = [len(layer._inbound_nodes) for layer in network.layers]
    export_onnx(pipeline, tmp_path / "m.onnx", verbose=0)
    assert [len(layer._inbound_nodes) for layer in network.layers] == before


def test_what_a_converter_cannot_write_is_refused_in_plain_words(tmp_path):
    groups = keras.layers.Conv2D(6, 3, groups=3)
    network = of_layers(groups, keras.layers.GlobalAveragePooling2D())
    with pytest.raises(ModelFileError, match=r"no valid ONNX file.*KERAS_BACKEND=torch"):
        exported(built(network, 16, filters=None, dense_units=None), tmp_path)
    assert not any(tmp_path.iterdir())


def test_the_pipeline_is_left_as_it_was(tmp_path):
    pipeline = built_pipeline()
    before = pipeline.predict_proba(X), sorted(vars(pipeline[-1]))
    exported(pipeline, tmp_path)
    np.testing.assert_array_equal(pipeline.predict_proba(X), before[0])
    assert sorted(vars(pipeline[-1])) == before[1]


def test_a_served_classifier_can_be_calibrated(tmp_path):
    exported(built_pipeline(), tmp_path)
    served = FrozenEstimator(OnnxClassifier(tmp_path / "model.onnx"))
    calibrated = CalibratedClassifierCV(served).fit(X, Y)
    assert calibrated.predict_proba(X).shape == (40, 2)

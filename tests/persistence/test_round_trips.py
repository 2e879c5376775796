"""All that goes into a model file comes back: probabilities, decisions, parameters, attributes."""

import copy

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from support.model_files import GROUPS, KINDS, X, Y, built_pipeline, calibrated, own_pipeline, tuned
from support.own_parts import Squares
from support.tiny import SIDE, learned, linear, quick_pipeline, small_pipeline

from pcam_sklearn import CenterCropNormalizer, CNNClassifier, PatchReader
from pcam_sklearn.networks import _published
from pcam_sklearn.persistence import ModelFileError, ModelFileWarning, load_model, save_model
from pcam_sklearn.persistence._kinds import KINDS as KINDS_OF_FILES
from pcam_sklearn.persistence._nodes import Writer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pcam"


def again(estimator, path, **options):
    save_model(estimator, path)
    return load_model(path, **options)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_probabilities_and_decisions(kind, path):
    estimator = KINDS[kind]()
    back = again(estimator, path)
    np.testing.assert_array_equal(back.predict_proba(X), estimator.predict_proba(X))
    np.testing.assert_array_equal(back.predict(X), estimator.predict(X))
    assert type(back) is type(estimator)


@pytest.mark.slow
def test_a_calibration_over_folds_keeps_the_classifier_of_each_fold(path):
    ensemble = CalibratedClassifierCV(quick_pipeline(), cv=2, ensemble=True).fit(X, Y)
    back = again(ensemble, path, network=linear)
    assert len(back.calibrated_classifiers_) == 2
    np.testing.assert_array_equal(back.predict_proba(X), ensemble.predict_proba(X))


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize(
    "labels", [Y, np.array(["a", "b"])[Y], Y == 1], ids=["0 1", "text", "bool"]
)
def test_calibration_by_temperature_comes_back_with_any_labels(labels, ensemble, path):
    if "temperature" not in str(CalibratedClassifierCV._parameter_constraints["method"][0]):
        pytest.skip("needs scikit-learn 1.8")
    calibration = CalibratedClassifierCV(
        quick_pipeline(), cv=2, method="temperature", ensemble=ensemble
    ).fit(X, labels)
    save_model(calibration, path)
    loaded = load_model(path, network=linear)
    np.testing.assert_array_equal(loaded.predict_proba(X), calibration.predict_proba(X))
    assert loaded.predict(X).tolist() == calibration.predict(X).tolist()


@pytest.mark.slow
def test_a_search_comes_back_as_its_best_estimator(path):
    search = GridSearchCV(quick_pipeline(), {"cnnclassifier__batch_size": [16]}, cv=2).fit(X, Y)
    back = again(search, path, network=linear)
    np.testing.assert_array_equal(back.predict_proba(X), search.predict_proba(X))
    assert back[-1].batch_size == 16


def test_an_estimator_that_two_others_hold_is_saved_once(path):
    back = again(calibrated("sigmoid"), path)
    assert back.calibrated_classifiers_[0].estimator is back.estimator


@pytest.mark.slow
def test_parameters_and_what_was_learned_come_back(path):
    pipeline = small_pipeline(class_weight={0: 1.0, 1: np.float32(2.5)}, epochs=np.int64(1))
    pipeline.fit(X, Y, cnnclassifier__groups=GROUPS)
    back = again(pipeline, path)
    for name, value in pipeline[-1].get_params().items():
        assert back[-1].get_params()[name] == value, name
        assert type(back[-1].get_params()[name]) is type(value), name
    names = learned(pipeline[-1]).keys() - {"model_", "trainer_"}
    assert learned(back[-1]).keys() == learned(pipeline[-1]).keys()
    for name in names:
        np.testing.assert_equal(getattr(back[-1], name), getattr(pipeline[-1], name))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([False, True]),
        np.array([1, 2], dtype=np.int8),
        np.array([1.0, 2.0]),
        np.array(["healthy", "tumour"]),
        np.array(["healthy", "tumour"], dtype=object),
    ],
    ids=["bool", "int8", "float", "text", "object"],
)
def test_labels_keep_their_dtype(labels, path):
    back = again(built_pipeline(labels[Y]), path)
    assert back.classes_.dtype == labels.dtype
    assert back.classes_.tolist() == labels.tolist()


def test_values_that_json_lacks_come_back(path):
    pipeline = built_pipeline()
    losses = [float("nan"), float("inf"), -float("inf"), 0.1]
    pipeline[-1].history_ = {"loss": losses, "two": [[1.0, 2.0]] * 4}
    pipeline[-1].groups_ = np.array(["a", "ü"])
    back = again(pipeline, path)
    np.testing.assert_equal(back[-1].history_, pipeline[-1].history_)
    assert back[-1].groups_.tolist() == ["a", "ü"]


def test_a_threshold_for_the_other_class_decides_as_before(path):
    scoring = make_scorer(f1_score, pos_label="a")
    labels = np.array(["a", "b"])[Y]
    estimator = tuned(labels, scoring=scoring)
    with pytest.warns(ModelFileWarning, match=r"lacks scoring=make_scorer\(f1_score"):
        save_model(estimator, path)
    with pytest.warns(ModelFileWarning, match="saved without scoring="):
        back = load_model(path)
    assert back.best_threshold_ == estimator.best_threshold_
    np.testing.assert_array_equal(back.predict(X), estimator.predict(X))


@pytest.mark.slow
@pytest.mark.parametrize("include", [True, False])
def test_a_resumed_fit_goes_on_as_the_saved_one_if_the_optimizer_is_included(include, path):
    pipeline = small_pipeline(warm_start=True, early_stopping=False).fit(X, Y)
    save_model(pipeline, path, include_optimizer=include)
    back = load_model(path)
    same = [e.fit(X, Y).predict_proba(X) for e in (pipeline, back)]
    assert np.array_equal(*same) == include


@pytest.mark.slow
def test_a_loaded_pipeline_can_be_cloned_copied_and_fitted_again(path):
    back = again(built_pipeline(), path)
    assert clone(back).fit(X, Y).predict(X).shape == Y.shape
    np.testing.assert_array_equal(copy.deepcopy(back).predict_proba(X), back.predict_proba(X))


def test_parts_of_keras_come_back_as_classes_functions_and_instances(path):
    pipeline = built_pipeline(
        optimizer=keras.optimizers.Adam(0.125),
        loss=keras.losses.binary_crossentropy,
        metrics=[keras.metrics.Recall, keras.metrics.AUC(name="auc", curve="PR"), "accuracy"],
    )
    back = again(pipeline, path)[-1]
    assert type(back.optimizer) is keras.optimizers.Adam
    assert back.optimizer.get_config() == pipeline[-1].optimizer.get_config()
    assert back.loss is keras.losses.binary_crossentropy
    assert back.metrics[0] is keras.metrics.Recall
    assert back.metrics[1].get_config() == pipeline[-1].metrics[1].get_config()
    assert back.metrics[2] == "accuracy"


def test_what_only_a_fit_needs_is_left_out_with_a_warning_on_both_sides(path):
    pipeline = built_pipeline(
        loss=Squares, random_state=np.random.RandomState(0), callbacks=[keras.callbacks.History()]
    )
    expected = r"callbacks=.*, loss=.*Squares.*, random_state="
    with pytest.warns(ModelFileWarning, match=expected):
        save_model(pipeline, path)
    with pytest.warns(ModelFileWarning, match=expected):
        back = load_model(path)
    np.testing.assert_array_equal(back.predict_proba(X), pipeline.predict_proba(X))
    assert back[-1].loss == "binary_crossentropy"
    assert back[-1].callbacks is None


def test_parameters_routed_to_a_part_that_is_left_out_are_left_out_too(path):
    class Own(keras.optimizers.SGD):
        """An optimizer of the user's own."""

    pipeline = built_pipeline(optimizer=Own, optimizer__momentum=0.5)
    with pytest.warns(ModelFileWarning, match="optimizer__momentum=0.5"):
        save_model(pipeline, path)
    with pytest.warns(ModelFileWarning):
        back = load_model(path)
    assert back[-1].optimizer == "adamw"
    assert not hasattr(back[-1], "optimizer__momentum")


def test_a_network_of_the_users_own_comes_back_by_its_function(path):
    pipeline = own_pipeline(model__scale=0.5)
    save_model(pipeline, path)
    back = load_model(path, network=linear)
    assert back[-1].network is linear
    np.testing.assert_array_equal(back.predict_proba(X), pipeline.predict_proba(X))


def test_without_the_function_a_network_of_the_users_own_is_refused(path):
    save_model(own_pipeline(), path)
    expected = r"built by 'support\.tiny\.linear'; .*type load_model\(path, network=function\)"
    with pytest.raises(ModelFileError, match=expected):
        load_model(path)


def test_another_function_is_refused(path):
    def other(input_shape, scale=1.0):
        layers = [keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
        return keras.Sequential([keras.Input(input_shape), *layers])

    save_model(own_pipeline(), path)
    with pytest.raises(ModelFileError, match="built of other layers"):
        load_model(path, network=other)


def test_a_function_that_needs_values_at_once_is_called_again(path):
    def centered(input_shape):
        network = linear(input_shape)
        network.layers[-1].set_weights([np.ones((3 * SIDE**2, 1)), np.array([0.5])])
        return network

    pipeline = built_pipeline(network=centered, filters=None, dense_units=None)
    back = again(pipeline, path, network=centered)
    np.testing.assert_array_equal(back.predict_proba(X), pipeline.predict_proba(X))


@pytest.mark.slow
def test_a_published_network_comes_back_with_the_weights_of_its_file_alone(path, monkeypatch):
    patches = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    classifier = CNNClassifier("efficientnet-lite0", random_state=0)
    classifier.initialize(patches, [0, 1, 0, 1])
    monkeypatch.setattr(_published, "_PACKAGE", "not_installed")
    back = again(classifier, path)
    np.testing.assert_array_equal(back.predict_proba(patches), classifier.predict_proba(patches))


def test_half_the_bits_make_half_the_file_and_nearly_the_same_probabilities(path):
    pipeline = built_pipeline(filters=(16, 16, 16), dense_units=64)
    save_model(pipeline, path)
    whole = path.stat().st_size
    save_model(pipeline, path, dtype="float16")
    back = load_model(path)
    n_bytes = 2 * pipeline[-1].model_.count_params()
    assert whole - path.stat().st_size == pytest.approx(n_bytes, rel=0.01)
    assert {weight.dtype for weight in back[-1].model_.weights} == {"float32"}
    expected = [array.astype(np.float16) for array in pipeline[-1].model_.get_weights()]
    for ours, theirs in zip(back[-1].model_.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(back.predict_proba(X), pipeline.predict_proba(X), atol=1e-3)


def test_a_weight_that_16_bits_cannot_hold_is_named(path):
    pipeline = built_pipeline()
    weights = pipeline[-1].model_.weights[0]
    weights.assign(np.full(weights.shape, 1e5, dtype=np.float32))
    with pytest.raises(ModelFileError, match=r"kernel' goes up to 1e\+05.*pass dtype='float32'"):
        save_model(pipeline, path, dtype="float16")
    assert not path.exists()


def test_an_unknown_dtype_is_refused(path):
    with pytest.raises(ModelFileError, match="dtype must be 'float32' or 'float16', got 'int8'"):
        save_model(built_pipeline(), path, dtype="int8")


@pytest.mark.slow
def test_a_published_network_that_its_weights_change_is_refused(path, monkeypatch):
    patches = np.zeros((4, 32, 32, 3), dtype=np.uint8)
    classifier = CNNClassifier("transfer", model__weights=None).initialize(patches, [0, 1, 0, 1])
    classifier.model_ = classifier.trainer_.network = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Rescaling(2.0), classifier.model_]
    )
    classifier.model_.compile(optimizer=None)
    with pytest.raises(ModelFileError, match="Keras builds this backbone with other layers"):
        save_model(classifier, path)


def test_a_layer_that_was_adapted_computes_with_its_own_mean(path):
    def adapted(input_shape):
        return keras.Sequential(
            [keras.Input(input_shape), keras.layers.Normalization(), *linear(input_shape).layers]
        )

    pipeline = built_pipeline(network=adapted, filters=None, dense_units=None)
    layer = pipeline[-1].model_.layers[0]
    layer.adapt(np.random.default_rng(0).random((8, SIDE, SIDE, 3), dtype=np.float32))
    back = again(pipeline, path, network=adapted)
    np.testing.assert_array_equal(back.predict_proba(X), pipeline.predict_proba(X))


def test_a_function_is_refused_where_the_network_has_a_name(path):
    save_model(built_pipeline(), path)
    with pytest.raises(ModelFileError, match="leave network= out"):
        load_model(path, network=linear)


def test_transformers_and_classifiers_are_saved_alone_too(path):
    assert again(PatchReader(crop_size=8, in_memory=False), path).get_params() == {
        "crop_size": 8,
        "in_memory": False,
    }
    assert again(CenterCropNormalizer(dtype="uint8"), path).dtype == "uint8"
    classifier = built_pipeline()[-1]
    patches = X[:, :SIDE, :SIDE]
    back = again(classifier, path)
    np.testing.assert_array_equal(back.predict_proba(patches), classifier.predict_proba(patches))


def test_an_unfitted_pipeline_is_not_saved(path):
    with pytest.raises(NotFittedError):
        save_model(small_pipeline(), path)
    assert not path.exists()


def test_a_step_of_another_kind_is_refused_by_name(path):
    pipeline = built_pipeline()
    other = make_pipeline(
        FrozenEstimator(pipeline[:1]), LogisticRegression().fit([[0], [1]], [0, 1])
    )
    with pytest.raises(ModelFileError, match=r"the step 'logisticregression' is a sklearn\.linear"):
        save_model(other, path)


def test_a_subclass_is_refused(path):
    class Own(CNNClassifier):
        """A classifier of the user's own."""

    own = Own(**built_pipeline()[-1].get_params()).initialize(X, Y)
    with pytest.raises(ModelFileError, match=r"is a .*Own, and a model file holds only"):
        save_model(own, path)


def test_a_parameter_of_the_network_that_is_no_plain_data_is_refused(path):
    def own(input_shape, activation=None):
        return linear(input_shape)

    pipeline = built_pipeline(
        network=own, filters=None, dense_units=None, model__activation=keras.activations.relu
    )
    with pytest.raises(ModelFileError, match=r"model__activation=.* is needed to build"):
        save_model(pipeline, path)


@pytest.mark.parametrize("name", ["", ".pcam", "..", "/"])
def test_a_path_that_names_no_file_is_refused_with_one_that_does(name):
    with pytest.raises(ModelFileError, match=r"type '/?model\.pcam'"):
        save_model(PatchReader(), name)


def test_a_search_to_calibrate_is_refused_with_what_to_calibrate(path):
    search = GridSearchCV(quick_pipeline(), {"cnnclassifier__batch_size": [16]}, cv=2)
    writer = Writer(KINDS_OF_FILES)
    with pytest.raises(ModelFileError, match=r"GridSearchCV.* calibrate search\.best_estimator_"):
        writer.add(CalibratedClassifierCV(search), "the estimator")


@pytest.mark.parametrize("name", ["model.joblib", "model", "model.PCAM"])
def test_another_ending_is_refused_with_the_name_to_type(name, tmp_path):
    with pytest.raises(ModelFileError, match=r"ends in \.pcam.*type .*model\.pcam'"):
        save_model(built_pipeline(), tmp_path / name)


def test_an_old_file_stays_if_the_new_one_is_refused(path):
    path.write_bytes(b"old")
    with pytest.raises(ModelFileError):
        save_model(LogisticRegression().fit([[0], [1]], [0, 1]), path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == [path.name]

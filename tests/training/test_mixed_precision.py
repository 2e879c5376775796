"""Mixed precision: 16 bits inside the network, and nowhere else."""

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from support.tiny import SMALL, make_data, quick, small

from pcam_sklearn import CNNClassifier
from pcam_sklearn.plotting import grad_cam

X, Y = make_data()
MIXED = ("mixed_bfloat16", "mixed_float16")
ONE_OFTEN = ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)]
FEW = {"filters": (2,), "dense_units": None}
UNWATCHED = {"validation_fraction": 0, "early_stopping": False, "metrics": ()}
RESIDUAL = {"network": "residual", **FEW, **UNWATCHED}
NETWORKS = {
    "notebook": {},
    "residual": FEW,
    "d4": {"filters": (1, 1), "dense_units": None},
    "two-stream": FEW,
    "efficientnet-lite0": {
        "filters": None, "dense_units": None, "model__weights": None, "model__stages": 2,
    },
    "transfer": {"filters": None, "dense_units": None, "model__weights": None},
}  # fmt: skip


@pytest.fixture(scope="module", params=ONE_OFTEN)
def fitted(request):
    return small(**RESIDUAL, dtype_policy=request.param).fit(X, Y)


@pytest.fixture(scope="module")
def plain():
    """Return the same classifier in 32 bits."""
    return small(**RESIDUAL).fit(X, Y)


def compute_dtypes(classifier):
    return {layer.compute_dtype for layer in classifier.model_.layers if layer.weights}


@pytest.mark.slow
@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_each_network_computes_in_16_bits_and_ends_in_float32(network):
    side = 32 if network in ("transfer", "two-stream") else X.shape[1]
    patches, labels = make_data(4, side)
    parameters = {**SMALL, "network": network, **NETWORKS[network]}
    classifier = CNNClassifier(**{**parameters, "dtype_policy": "mixed_bfloat16"})
    model = classifier.initialize(patches, labels).model_
    dtypes = {layer.compute_dtype for layer in model.layers if layer.weights}
    assert dtypes == {"bfloat16", "float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.layers[-1].compute_dtype == "float32"


@pytest.mark.slow
def test_training_learns_about_what_float32_learns(fitted, plain):
    assert_allclose(fitted.predict_proba(X), plain.predict_proba(X), atol=0.03)
    assert not np.array_equal(fitted.predict_proba(X), plain.predict_proba(X))


@pytest.mark.slow
def test_bytes_and_floats_give_the_same_probabilities(fitted):
    floats = X.astype(np.float32) / 255
    assert_allclose(fitted.predict_proba(floats), fitted.predict_proba(X), atol=1e-6)


@pytest.mark.slow
def test_a_saved_classifier_predicts_the_same_and_keeps_its_policy(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert compute_dtypes(loaded) == compute_dtypes(fitted)


@pytest.mark.slow
def test_a_loaded_classifier_trains_on(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    going_on = joblib.load(tmp_path / "model.joblib").set_params(warm_start=True).fit(X, Y)
    assert going_on.n_iter_ == 2 * fitted.n_iter_


@pytest.mark.slow
def test_the_loss_of_float16_is_scaled_and_that_of_bfloat16_is_not(fitted):
    scaled = isinstance(fitted.trainer_.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (fitted.dtype_policy == "mixed_float16")


@pytest.mark.slow
@pytest.mark.parametrize("policy", MIXED)
def test_averaged_weights_and_a_schedule_work_with_it(policy):
    recipe = {"weight_averaging": 0.5, "schedule": "cosine", "dtype_policy": policy}
    averaged = small(**RESIDUAL, **recipe).fit(X, Y)
    last = small(**RESIDUAL, **{**recipe, "weight_averaging": None}).fit(X, Y)
    assert not np.array_equal(averaged.predict_proba(X), last.predict_proba(X))


def test_the_policy_of_keras_stays_whether_a_network_is_built_or_fails():
    before = keras.config.dtype_policy()
    small(dtype_policy="mixed_bfloat16").initialize(X, Y)
    assert keras.config.dtype_policy() == before
    with pytest.raises(ValueError, match="cannot be built"):
        small(dtype_policy="mixed_bfloat16").initialize(X[:, :4, :4], Y)
    assert keras.config.dtype_policy() == before


@pytest.mark.slow
def test_without_a_policy_that_of_keras_is_taken():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        classifier = small().initialize(X, Y)
    finally:
        keras.config.set_dtype_policy(before)
    assert "bfloat16" in compute_dtypes(classifier)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", *MIXED])
def test_a_loaded_classifier_keeps_its_policy_whatever_that_of_keras(policy, tmp_path):
    saved = small(dtype_policy=policy).initialize(X, Y)  # Keras forgets the policy of a Sequential.
    joblib.dump(saved, tmp_path / "model.joblib")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if policy in MIXED else "mixed_bfloat16")
    try:
        loaded = joblib.load(tmp_path / "model.joblib")
        assert_array_equal(loaded.predict_proba(X), saved.predict_proba(X))
        assert loaded.trainer_.dtype_policy.name == policy
    finally:
        keras.config.set_dtype_policy(before)


def test_a_network_that_ends_in_16_bits_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"ends in bfloat16.*give its last layer dtype='float32'"):
        quick(dtype_policy="mixed_bfloat16").fit(X, Y)


@pytest.mark.slow
def test_grad_cam_sees_about_what_it_sees_in_float32(plain):
    mixed = small(**RESIDUAL, dtype_policy="mixed_bfloat16").initialize(X, Y)
    mixed.model_.set_weights(plain.model_.get_weights())
    assert_allclose(grad_cam(mixed, X[:4]), grad_cam(plain, X[:4]), atol=0.1)


@pytest.mark.parametrize("policy", ["float64", "bfloat16", 16, ""])
def test_an_unknown_policy_is_an_error_that_lists_the_known_ones(policy):
    with pytest.raises(ValueError, match=r"dtype_policy must be one of.*mixed_bfloat16.*got"):
        small(dtype_policy=policy).fit(X, Y)

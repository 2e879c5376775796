"""The same code on a GPU; these tests need one."""

import keras
import numpy as np
import pytest
from support.tiny import make_data, small

X, Y = make_data()
pytestmark = pytest.mark.skipif(
    "cpu" in str(keras.ops.ones(1).device).lower(), reason="needs a GPU that Keras' backend uses"
)


def test_probabilities_are_those_of_the_cpu():
    classifier = small().fit(X, Y)
    with keras.device("cpu:0"):
        on_cpu = small().fit(X, Y)
        on_cpu.model_.set_weights(classifier.model_.get_weights())
        expected = on_cpu.predict_proba(X)
    np.testing.assert_allclose(classifier.predict_proba(X), expected, atol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_training_in_16_bits_gives_finite_probabilities(policy):
    assert np.isfinite(small(dtype_policy=policy).fit(X, Y).predict_proba(X)).all()

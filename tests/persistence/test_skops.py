"""skops saves and loads fitted pipelines, and asks for trust in this package's types alone."""

import numpy as np
import pytest
from support.model_files import GROUPS, X, Y, built_pipeline
from support.tiny import small_pipeline

from pcam_sklearn.persistence import TRUSTED_TYPES

skops = pytest.importorskip("skops.io")


@pytest.fixture(scope="module")
def fitted():
    return small_pipeline(epochs=1).fit(X, Y, cnnclassifier__groups=GROUPS)


@pytest.mark.slow
def test_a_fitted_pipeline_needs_trust_in_exactly_these_types(fitted):
    untrusted = skops.get_untrusted_types(data=skops.dumps(fitted))
    assert sorted(untrusted) == sorted(TRUSTED_TYPES)


@pytest.mark.slow
def test_a_fitted_pipeline_comes_back_with_the_same_probabilities(fitted):
    back = skops.loads(skops.dumps(fitted), trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(back.predict_proba(X), fitted.predict_proba(X))


def test_labels_of_text_and_weights_of_classes_need_no_more_trust():
    pipeline = built_pipeline(np.array(["a", "b"])[Y], class_weight={"a": 1.0, "b": np.float32(2)})
    untrusted = skops.get_untrusted_types(data=skops.dumps(pipeline))
    assert sorted(untrusted) == sorted(TRUSTED_TYPES)

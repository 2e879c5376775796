"""A fitted estimator as one Keras model, from the bytes of patches to the probabilities.

Each function takes the patches as a symbolic tensor, and returns the probability of the second
class, of shape (n_samples, 1).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn.augmentation._views import c4_views, d4_views, find_views
from pcam_sklearn.classifier import CNNClassifier
from pcam_sklearn.export._calibration import calibrate
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


def inner(estimator: Any) -> Any:
    """Return the estimator that gives the probabilities of a frozen one, a search or a threshold."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif isinstance(estimator, THRESHOLDS):
            estimator = estimator.estimator_
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def build_graph(estimator: Any, patch_shape: tuple[int, int, int], name: str) -> keras.Model:
    """Return the model from bytes of shape (n_samples, *patch_shape) to (n_samples, 2)."""
    patches = keras.Input(patch_shape, dtype="uint8", name=name)
    positive = _probability(estimator, patches)
    graph = keras.Model(patches, ops.concatenate([1 - positive, positive], axis=1))
    graph(np.zeros((1, *patch_shape), np.uint8))  # Keras exports only what was called.
    return graph


def _probability(estimator: Any, patches: Any) -> Any:
    estimator = inner(estimator)
    for kind, build in _BUILDERS.items():
        if isinstance(estimator, kind):
            return build(estimator, patches)
    raise ModelFileError(
        f"a {type(estimator).__module__}.{type(estimator).__qualname__} cannot be exported; only "
        f"{', '.join(sorted(kind.__name__ for kind in _BUILDERS))}, thresholds, frozen estimators "
        "and searches around them can"
    )


def _of_pipeline(pipeline: Pipeline, patches: Any) -> Any:
    for name, step in pipeline.steps[:-1]:
        if step in (None, "passthrough") or isinstance(step, PatchReader):
            continue
        if not isinstance(step, CenterCropNormalizer):
            raise ModelFileError(
                f"the step {name!r} of the pipeline is a {type(step).__name__}, and only "
                "PatchReader and CenterCropNormalizer can stand before the classifier"
            )
        patches = _crop(step, patches)
    return _probability(pipeline[-1], patches)


def _crop(normalizer: CenterCropNormalizer, patches: Any) -> Any:
    side, size = normalizer.input_size, normalizer.crop_size
    if patches.shape[1:3] != (side, side):
        raise ModelFileError(
            f"a CenterCropNormalizer resizes patches of {patches.shape[1]}x{patches.shape[2]} to "
            f"{side}x{side}, and a graph cannot resize as OpenCV does; give all members the same "
            "input_size"
        )
    start = (side - size) // 2
    return patches[:, start : start + size, start : start + size]


def _of_classifier(classifier: CNNClassifier, patches: Any) -> Any:
    """Return what a network gives, averaged over the views of each patch."""
    if tuple(patches.shape[1:]) != tuple(classifier.X_shape_[1:]):
        raise ModelFileError(
            f"a CNNClassifier was fitted on patches of shape {classifier.X_shape_[1:]}, and in "
            f"this graph gets {tuple(patches.shape[1:])}"
        )
    blueprint = classifier.trainer_.blueprint
    views = find_views(
        classifier.test_time_augmentation, classifier.X_shape_, blueprint.parameters["network"]
    )
    x = ops.cast(patches, "float32") / 255
    network = _in_float32(classifier)
    if views is None:
        return network(x)
    turned = _VIEWS[views](x)
    # One pass over all views: a network for each would be a graph of four times the size.
    output = network(ops.concatenate(turned, axis=0))
    return ops.mean(ops.reshape(output, (len(turned), -1, 1)), axis=0)


def _in_float32(classifier: CNNClassifier) -> keras.Model:
    """Return the network, built once more in float32 if it computes in another precision."""
    blueprint, network = classifier.trainer_.blueprint, classifier.model_
    if blueprint.dtype_policy == "float32":
        return network
    in_float32 = replace(blueprint, dtype_policy="float32")
    built = in_float32.build_network(type(classifier), weights_follow=True)
    built.set_weights(network.get_weights())
    return built


def _quarter_turns(x: Any) -> list[Any]:
    across = ops.transpose(x, (0, 2, 1, 3))
    return [x, ops.flip(across, 1), ops.flip(x, (1, 2)), ops.flip(across, 2)]


def _turns_and_mirrors(x: Any) -> list[Any]:
    upright = [x, ops.flip(x, 1), ops.flip(x, 2), ops.flip(x, (1, 2))]
    return [view for up in upright for view in (up, ops.transpose(up, (0, 2, 1, 3)))]


def _of_calibrated(calibrated: CalibratedClassifierCV, patches: Any) -> Any:
    parts = [
        calibrate(part, _probability(part.estimator, patches))
        for part in calibrated.calibrated_classifiers_
    ]
    return sum(parts[1:], start=parts[0]) / len(parts)


def _of_vote(voting: VotingClassifier, patches: Any) -> Any:
    if voting.voting != "soft":
        raise ModelFileError(
            "a VotingClassifier that counts labels gives no probabilities; type "
            "set_params(voting='soft')"
        )
    weights = [1.0] * len(voting.estimators) if voting.weights is None else voting.weights
    pairs = zip(voting.estimators, weights, strict=True)
    kept = [float(weight) for (_, member), weight in pairs if not isinstance(member, str)]
    votes = [_probability(member, patches) for member in voting.estimators_]
    weighted = [vote * (weight / sum(kept)) for vote, weight in zip(votes, kept, strict=True)]
    return sum(weighted[1:], start=weighted[0])


_VIEWS: dict[Any, Callable[[Any], list[Any]]] = {
    c4_views: _quarter_turns,
    d4_views: _turns_and_mirrors,
}
_BUILDERS: dict[type, Callable[[Any, Any], Any]] = {
    Pipeline: _of_pipeline,
    CNNClassifier: _of_classifier,
    CalibratedClassifierCV: _of_calibrated,
    VotingClassifier: _of_vote,
}

"""A fitted estimator as one Keras model, from the bytes of patches to the probabilities.

Each function of a kind of estimator takes the patches as a tensor, and returns the probability of
the second class, of shape (n_samples, 1).
"""

import copy
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
from pcam_sklearn._training._model import PatchModel
from pcam_sklearn.classifier import CNNClassifier
from pcam_sklearn.export._calibration import calibrate
from pcam_sklearn.export._views import Split, average_over_views, split_network
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

Parts = dict[int, Split]  # By the id of a classifier.
THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


def inner(estimator: Any) -> Any:
    """Return the estimator that gives the probabilities of a search, or of one with a threshold."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif isinstance(estimator, THRESHOLDS):
            estimator = estimator.estimator_
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def members(estimator: Any) -> list[Any]:
    """Return the classifiers that an estimator calibrates, or that vote in it."""
    if isinstance(estimator, CalibratedClassifierCV):
        return [part.estimator for part in estimator.calibrated_classifiers_]
    return estimator.estimators_ if isinstance(estimator, VotingClassifier) else []


class _Graph(keras.Model):
    """The computation of an estimator as a Keras model, from bytes to (n_samples, 2)."""

    def __init__(self, estimator: Any, parts: Parts) -> None:
        super().__init__(name="graph", dtype="float32", autocast=False)
        self.networks = [after for _, after in parts.values()]
        # Keras looks into estimators and dicts that are attributes.
        self._computed = [(estimator, parts)]

    def call(self, patches: Any) -> Any:
        """Return the probabilities of both classes."""
        positive = _probability(*self._computed[0], patches)
        return ops.concatenate([1 - positive, positive], axis=1)


def build_graph(estimator: Any, patch_shape: tuple[int, int, int]) -> keras.Model:
    """Return the model from bytes of shape (n_samples, *patch_shape) to (n_samples, 2)."""
    # Keras would put errors in the call of its own model into text of its own.
    parts = {id(classifier): split_network(classifier) for classifier in networks_in(estimator)}
    _probability(estimator, parts, np.zeros((1, *patch_shape), np.uint8))
    graph = _Graph(estimator, parts)
    graph(np.zeros((1, *patch_shape), np.uint8))  # Keras exports only what was called.
    return graph


def networks_in(estimator: Any) -> list[CNNClassifier]:
    """Return the classifiers with networks that an estimator computes."""
    estimator = inner(estimator)
    if isinstance(estimator, CNNClassifier):
        return [estimator]
    held = [estimator[-1]] if isinstance(estimator, Pipeline) else members(estimator)
    return [found for member in held for found in networks_in(member)]


def calibrations_in(estimator: Any) -> list[Any]:
    """Return the `calibrated_classifiers_` that an estimator computes."""
    estimator = inner(estimator)
    own = list(getattr(estimator, "calibrated_classifiers_", []))
    held = [estimator[-1]] if isinstance(estimator, Pipeline) else members(estimator)
    return own + [found for member in held for found in calibrations_in(member)]


def in_float32(estimator: Any) -> Any:
    """Return the estimator, or a copy that computes in 32 bits if a network of it does not."""
    if all(c.trainer_.blueprint.dtype_policy == "float32" for c in networks_in(estimator)):
        return estimator
    copied = copy.deepcopy(estimator)
    for classifier in networks_in(copied):
        blueprint = replace(classifier.trainer_.blueprint, dtype_policy="float32")
        network = blueprint.build_network(type(classifier), weights_follow=True)
        network.set_weights(classifier.model_.get_weights())
        classifier.model_, classifier.trainer_ = network, PatchModel(network, blueprint)
    return copied


def _probability(estimator: Any, parts: Parts, patches: Any) -> Any:
    estimator = inner(estimator)
    for kind, build in _BUILDERS.items():
        if isinstance(estimator, kind):
            return build(estimator, parts, patches)
    raise ModelFileError(
        f"a {type(estimator).__module__}.{type(estimator).__qualname__} cannot be exported; only "
        f"{', '.join(sorted(kind.__name__ for kind in _BUILDERS))}, thresholds, frozen estimators "
        "and searches around them can"
    )


def _of_pipeline(pipeline: Pipeline, parts: Parts, patches: Any) -> Any:
    for name, step in pipeline.steps[:-1]:
        if step in (None, "passthrough") or isinstance(step, PatchReader):
            continue
        if not isinstance(step, CenterCropNormalizer):
            raise ModelFileError(
                f"the step {name!r} of the pipeline is a {type(step).__name__}, and only "
                "PatchReader and CenterCropNormalizer can stand before the classifier"
            )
        patches = _crop(step, patches)
    return _probability(pipeline[-1], parts, patches)


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


def _of_classifier(classifier: CNNClassifier, parts: Parts, patches: Any) -> Any:
    if tuple(patches.shape[1:]) != tuple(classifier.X_shape_[1:]):
        raise ModelFileError(
            f"a CNNClassifier was fitted on patches of shape {classifier.X_shape_[1:]}, and in "
            f"this graph gets {tuple(patches.shape[1:])}"
        )
    return average_over_views(classifier, parts[id(classifier)], patches)


def _of_calibrated(calibrated: CalibratedClassifierCV, parts: Parts, patches: Any) -> Any:
    found = [
        calibrate(part, _probability(part.estimator, parts, patches))
        for part in calibrated.calibrated_classifiers_
    ]
    return _mean(found, [1.0] * len(found))


def _of_vote(voting: VotingClassifier, parts: Parts, patches: Any) -> Any:
    if voting.voting != "soft":
        raise ModelFileError(
            "a VotingClassifier that counts labels gives no probabilities; type "
            "set_params(voting='soft')"
        )
    weights = [1.0] * len(voting.estimators) if voting.weights is None else voting.weights
    pairs = zip(voting.estimators, weights, strict=True)
    kept = [float(weight) for (_, member), weight in pairs if not isinstance(member, str)]
    votes = [_probability(member, parts, patches) for member in voting.estimators_]
    return _mean(votes, kept)


def _mean(probabilities: list[Any], weights: list[float]) -> Any:
    """Return the weighted mean, which rounding must not lift above 1."""
    if not sum(weights):
        raise ModelFileError(f"the weights of a vote are {weights}, whose sum is 0; pass others")
    shares = [weight / sum(weights) for weight in weights]
    parts = [p * share for p, share in zip(probabilities, shares, strict=True)]
    return ops.clip(sum(parts[1:], start=parts[0]), 0.0, 1.0)


_BUILDERS: dict[type, Callable[[Any, Parts, Any], Any]] = {
    Pipeline: _of_pipeline,
    CNNClassifier: _of_classifier,
    CalibratedClassifierCV: _of_calibrated,
    VotingClassifier: _of_vote,
}

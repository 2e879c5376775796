"""Questions to a fitted estimator, which may be a classifier, a pipeline or a search."""

from typing import Any

import numpy as np
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def last_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def refitted(estimator: Any) -> Any:
    """Return the estimator that a fitted search holds, or the estimator itself."""
    return getattr(estimator, "best_estimator_", estimator)


def classifiers_in(estimator: Any) -> dict[str, Any]:
    """Return the classifiers that predict: members of a vote by name, or one alone by ``""``."""
    if isinstance(estimator, FrozenEstimator):
        return classifiers_in(estimator.estimator)
    # A search does not learn itself: it holds the pipeline that it refitted on all slides.
    last = last_step(refitted(estimator))
    if last is not estimator:
        return classifiers_in(last)
    found = {}
    for name, member in getattr(last, "named_estimators_", {}).items():
        if not isinstance(member, str):  # "drop"
            inner = classifiers_in(member).items()
            found.update({f"{name} {below}".strip(): classifier for below, classifier in inner})
    return found or {"": last}


def slides_trained_on(estimator: Any) -> np.ndarray | None:
    """Return the slides that the estimator was fitted on, or None where fit got no groups."""
    known = [part for c in classifiers_in(estimator).values() for part in _slides_of(c)]
    return np.concatenate(known) if known else None


def knows_its_slides(estimator: Any) -> bool:
    """Return True if every classifier in an estimator was fitted with the slides of its patches."""
    if any(map(_learned_around, (estimator, last_step(estimator)))):
        return False
    for classifier in classifiers_in(estimator).values():
        if _learned_around(classifier):
            return False
        held = _held_by(classifier)
        known = bool(held) and all(map(knows_its_slides, held))
        has_slides = getattr(classifier, "groups_", None) is not None
        if not known and not getattr(classifier, "groups_complete_", has_slides):
            return False
    return True


def _learned_around(estimator: Any) -> bool:
    """Return True if it learned on top of one that was fitted before, on patches of its own."""
    if isinstance(estimator, FixedThresholdClassifier | VotingClassifier | Pipeline):
        return False  # These learn nothing on top.
    prefit = isinstance(getattr(estimator, "cv", None), str) and estimator.cv == "prefit"
    return prefit or any(map(_is_frozen, _parameters_of(estimator)))


def _is_frozen(estimator: Any) -> bool:
    """Return True if it is frozen, or a part of it is."""
    return isinstance(estimator, FrozenEstimator) or any(map(_is_frozen, _parameters_of(estimator)))


def _parameters_of(estimator: Any) -> list[Any]:
    """Return the estimators that an estimator was given."""
    named = getattr(estimator, "steps", None) or getattr(estimator, "estimators", None) or []
    parts = [getattr(estimator, "estimator", None), *(part for _, part in named)]
    return [part for part in parts if part is not None]


def _slides_of(classifier: Any) -> list[np.ndarray]:
    """Return the slides of a classifier, or of those that it calibrates or has a threshold for."""
    if (own := getattr(classifier, "groups_", None)) is not None:
        return [own]
    found = map(slides_trained_on, _held_by(classifier))
    return [slides for slides in found if slides is not None]


def _held_by(classifier: Any) -> list[Any]:
    """Return the estimators that a classifier calibrates or has a threshold for."""
    held = [part.estimator for part in getattr(classifier, "calibrated_classifiers_", [])]
    held.append(getattr(classifier, "estimator_", None))
    return [estimator for estimator in held if estimator is not None]


def score_patches(estimator: Any, X: Any, pos_label: Any = None) -> tuple[np.ndarray, Any]:
    """Return the probability of the positive class for each patch, and the label of that class."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"{type(estimator).__name__} gives labels and no probabilities; if its "
            "VotingClassifier counts labels, type set_params(voting='soft'), and fit it again."
        )
    classes = list(estimator.classes_)
    if pos_label is None:
        pos_label = classes[-1]
    elif pos_label not in classes:
        raise ValueError(
            f"pos_label={pos_label!r} is not a class of the estimator; type one of {classes}."
        )
    return estimator.predict_proba(X)[:, classes.index(pos_label)], pos_label

"""Questions to a fitted estimator, which may be a classifier, a pipeline or a search."""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def last_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def slides_trained_on(estimator: Any) -> np.ndarray | None:
    """Return the slides that the estimator was fitted on, or None where fit got no groups."""
    # A search does not learn itself: it holds the pipeline that it refitted on all slides.
    fitted = getattr(estimator, "best_estimator_", estimator)
    return getattr(last_step(fitted), "groups_", None)


def score_patches(estimator: Any, X: Any, pos_label: Any = None) -> tuple[np.ndarray, Any]:
    """Return the probability of the positive class for each patch, and the label of that class."""
    check_is_fitted(estimator)
    classes = list(estimator.classes_)
    if pos_label is None:
        pos_label = classes[-1]
    elif pos_label not in classes:
        raise ValueError(
            f"pos_label={pos_label!r} is not a class of the estimator; type one of {classes}."
        )
    return estimator.predict_proba(X)[:, classes.index(pos_label)], pos_label

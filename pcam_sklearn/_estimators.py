"""What other rooms ask of a fitted estimator, alone or at the end of a pipeline."""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline


def last_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def slides_trained_on(estimator: Any) -> np.ndarray | None:
    """Return the slides an estimator was fitted on, or None where it was not told."""
    # A search holds the pipeline that it fitted last.
    fitted = getattr(estimator, "best_estimator_", estimator)
    return getattr(last_step(fitted), "groups_", None)

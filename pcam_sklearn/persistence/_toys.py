"""A classifier that needs no training.

scikit-learn keeps what it learns in private objects, which this package does not name. It has
scikit-learn fit them on this classifier, and then gives them the values of a file.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Toy(ClassifierMixin, BaseEstimator):
    """A classifier of numbers in [0, 1], which are the probabilities."""

    def __init__(self, classes: Any = (0, 1)) -> None:
        self.classes = classes

    def fit(self, X: Any, y: Any) -> Self:
        """Learn nothing."""
        return self

    @property
    def classes_(self) -> np.ndarray:
        """Return the labels."""
        return np.asarray(self.classes)

    def predict(self, X: Any) -> np.ndarray:
        """Return the more probable label."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return X as probabilities."""
        positive = np.asarray(X, dtype=float)[:, 0]
        return np.column_stack([1 - positive, positive])

    def __sklearn_is_fitted__(self) -> bool:
        return True


TOY_X = np.linspace(0.1, 0.9, 20)[:, None]
TOY_CODES = np.arange(20) % 2

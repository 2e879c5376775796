"""Loss and metrics over the epochs of a training."""

from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._estimators import last_step
from pcam_sklearn.plotting._style import BLUE, VERMILION

__all__ = ["TrainingHistoryDisplay"]

_STYLES = {"training": (BLUE, "-"), "validation": (VERMILION, "--")}
_TITLES = {"auc": "Area under the ROC curve", "accuracy": "Accuracy", "loss": "Loss"}


class TrainingHistoryDisplay:
    """Curves of loss and metrics over the epochs of a training.

    Parameters
    ----------
    history : dict of str to sequence of float
        Values by epoch, such as `CNNClassifier.history_`: those of the held-out patches are named
        ``val_<name>``.
    best_epoch : int or None, default=None
        The epoch to mark, counted from 1.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        One for each metric.
    figure_ : matplotlib.figure.Figure
        The figure that holds them.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from pcam_sklearn.plotting import TrainingHistoryDisplay
    >>> history = {"loss": [0.7, 0.5, 0.4], "val_loss": [0.7, 0.5, 0.6]}
    >>> display = TrainingHistoryDisplay(history, best_epoch=2).plot()
    >>> display.axes_[0].get_title()
    'Loss'
    """

    axes_: np.ndarray
    figure_: Figure

    def __init__(self, history: dict[str, Any], *, best_epoch: int | None = None) -> None:
        self.history = history
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator: Any, *, full_range: bool = False, axes: Any = None) -> Self:
        """Draw the history of a fitted classifier.

        Parameters
        ----------
        estimator : CNNClassifier or sklearn.pipeline.Pipeline
            The fitted classifier, or a pipeline that ends in one.
        full_range : bool, default=False
            Show metrics on the whole scale, 0 to 1.
        axes : sequence of matplotlib.axes.Axes or None, default=None
            Where to draw, one for each metric; None makes a new figure.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the classifier is not fitted.
        """
        classifier = last_step(estimator)
        check_is_fitted(classifier)
        display = cls(classifier.history_, best_epoch=classifier.best_epoch_)
        return display.plot(full_range=full_range, axes=axes)

    def plot(self, *, full_range: bool = False, axes: Any = None) -> Self:
        """Draw one panel for each metric.

        Parameters
        ----------
        full_range : bool, default=False
            Show metrics on the whole scale, 0 to 1; the loss has no such scale and starts at 0.
        axes : sequence of matplotlib.axes.Axes or None, default=None
            Where to draw, one for each metric; None makes a new figure.

        Returns
        -------
        self : TrainingHistoryDisplay
            The display.

        Raises
        ------
        ValueError
            If there is nothing to draw, or the number of axes is wrong.
        """
        names = [name for name in self.history if not name.startswith("val_")]
        if not names:
            raise ValueError("The history is empty: train for at least one epoch first.")
        self.axes_ = self._make_axes(len(names), axes)
        self.figure_ = self.axes_[0].figure
        for name, ax in zip(names, self.axes_, strict=True):
            self._draw(ax, name, full_range)
        return self

    def _make_axes(self, n_panels: int, axes: Any) -> np.ndarray:
        if axes is None:
            size = (4.2 * n_panels, 3.6)
            _, axes = plt.subplots(1, n_panels, figsize=size, layout="constrained", squeeze=False)
        axes = np.ravel(axes)
        if len(axes) != n_panels:
            raise ValueError(f"The history has {n_panels} metrics, got {len(axes)} axes.")
        return axes

    def _draw(self, ax: Axes, name: str, full_range: bool) -> None:
        for label, key in (("training", name), ("validation", f"val_{name}")):
            if key in self.history:
                values = self.history[key]
                color, dash = _STYLES[label]
                epochs = np.arange(1, len(values) + 1)
                ax.plot(epochs, values, dash, color=color, marker=".", label=label)
        if self.best_epoch:
            ax.axvline(self.best_epoch, color="0.4", linewidth=1, linestyle=":", label="best epoch")
        ax.set(title=_TITLES.get(name, name), xlabel="Epoch", ylabel=name)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if full_range:
            ax.set_ylim(0, None if name == "loss" else 1)
        ax.legend()

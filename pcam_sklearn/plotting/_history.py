"""Loss and metrics over the epochs of a training."""

from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._estimators import last_step, refitted
from pcam_sklearn.plotting._style import BLUE, VERMILION, check_axes

_STYLES = {"training": (BLUE, "-"), "validation": (VERMILION, "--")}
_TITLES = {"auc": "Area under the ROC curve", "accuracy": "Accuracy", "loss": "Loss"}


class TrainingHistoryDisplay:
    """Curves of loss and metrics over the epochs of a training.

    Parameters
    ----------
    history : dict of str to sequence of float
        One value per epoch for each metric, such as `CNNClassifier.history_`. The values of the
        held-out patches are named ``val_<name>``. NaN, for an epoch without a value, is left out.
    best_epoch : int, default=None
        The epoch to mark, counted from 1.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes, shape (n_metrics,)
        One panel per metric.
    figure_ : matplotlib.figure.Figure
        The figure that holds the axes.

    Examples
    --------
    >>> from pcam_sklearn.plotting import TrainingHistoryDisplay
    >>> history = {"loss": [0.7, 0.5, 0.4], "val_loss": [0.7, 0.5, 0.6]}
    >>> TrainingHistoryDisplay(history, best_epoch=2).plot().axes_[0].get_title()
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
        estimator : CNNClassifier, sklearn.pipeline.Pipeline or GridSearchCV
            The fitted classifier, a pipeline that ends in one, or a search over either.
        full_range : bool, default=False
            As in :meth:`plot`.
        axes : sequence of matplotlib.axes.Axes, default=None
            As in :meth:`plot`.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the classifier is not fitted.
        ValueError
            If it keeps no history, as a vote: each of its members keeps its own.
        """
        check_is_fitted(estimator)
        classifier = last_step(refitted(estimator))
        if not hasattr(classifier, "history_"):
            raise ValueError(
                f"{type(classifier).__name__} has no history; pass a fitted CNNClassifier, or a "
                "pipeline that ends in one. A vote has them in named_estimators_."
            )
        display = cls(classifier.history_, best_epoch=classifier.best_epoch_)
        return display.plot(full_range=full_range, axes=axes)

    def plot(self, *, full_range: bool = False, axes: Any = None) -> Self:
        """Draw one panel per metric.

        Parameters
        ----------
        full_range : bool, default=False
            Whether to show metrics on the whole scale, 0 to 1, and the loss from 0.
        axes : sequence of matplotlib.axes.Axes, default=None
            The axes to draw on, one per metric; None makes a new figure.

        Returns
        -------
        self : TrainingHistoryDisplay
            The display.

        Raises
        ------
        ValueError
            If the history is empty, or the number of axes is wrong.
        """
        # Both curves of a metric share one panel, so only the training's names make panels.
        names = [name for name in self.history if not name.startswith("val_")]
        if not names:
            raise ValueError("The history is empty; train for at least one epoch first.")
        if axes is None:
            size = (4.2 * len(names), 3.6)
            _, axes = plt.subplots(1, len(names), figsize=size, layout="constrained")
        self.axes_ = check_axes(axes, len(names), "This history")
        self.figure_ = self.axes_[0].figure
        for name, ax in zip(names, self.axes_, strict=True):
            self._draw(ax, name, full_range)
        return self

    def _draw(self, ax: Axes, name: str, full_range: bool) -> None:
        for label, key in (("training", name), ("validation", f"val_{name}")):
            if key in self.history:
                # Held-out patches may be looked at in some of the epochs, and the others have NaN.
                by_epoch = enumerate(self.history[key], start=1)
                measured = {epoch: v for epoch, v in by_epoch if not np.isnan(v).any()}
                epochs, values = list(measured), list(measured.values())
                color, dash = _STYLES[label]
                # The marker shows a curve of one epoch, which has no line.
                ax.plot(epochs, values, dash, color=color, marker=".", label=label)
        if self.best_epoch:
            ax.axvline(self.best_epoch, color="0.4", linewidth=1, linestyle=":", label="best epoch")
        ax.set(title=_TITLES.get(name, name), xlabel="Epoch", ylabel=name)
        # Without this, matplotlib labels half epochs.
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if full_range:
            # A metric such as the area has an upper end, 1; the loss has none.
            ax.set_ylim(0, None if name == "loss" else 1)
        ax.legend()

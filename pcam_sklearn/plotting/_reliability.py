"""How far probabilities can be believed: the reliability curve over the histogram."""

from typing import Any, Literal, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from pcam_sklearn._estimators import score_patches
from pcam_sklearn.metrics import expected_calibration_error
from pcam_sklearn.metrics._inputs import check_probabilities
from pcam_sklearn.plotting._style import BLUE, GRAY, VERMILION, check_axes

__all__ = ["ReliabilityDisplay"]

_ROOM = 1.4  # Above the highest bar, for the legend.


class ReliabilityDisplay:
    """Reliability curve with calibration error and Brier score, over the histogram by class.

    scikit-learn's ``CalibrationDisplay`` draws the curve alone; a curve is worth little where
    few patches lie, which the histogram shows.

    Parameters
    ----------
    positive : ndarray of shape (n_samples,), bool
        Which patches are positive.
    y_prob : ndarray of shape (n_samples,)
        Probability of the positive class, in [0, 1].
    n_bins : int, default=10
        Number of bins, at least 1.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal numbers of patches; the histogram's are of equal width.
    name : str or None, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    prob_true, prob_pred : ndarray of shape (n_bins,) or less
        Share of positives and mean probability of each bin that holds patches.
    ece, brier : float
        Expected calibration error in these bins, and Brier score.
    ax_ : matplotlib.axes.Axes
        The axes of the curve.
    axes_ : ndarray of matplotlib.axes.Axes, shape (2,)
        Curve and histogram.
    figure_ : matplotlib.figure.Figure
        The figure that holds them.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : Repairs probabilities.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> from pcam_sklearn.plotting import ReliabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> prob = rng.random(2000)
    >>> display = ReliabilityDisplay.from_predictions(rng.random(2000) < prob, prob)
    >>> print(f"{display.ece:.2f} {display.brier:.2f}")
    0.03 0.16
    """

    ax_: Axes
    axes_: np.ndarray
    figure_: Figure

    def __init__(
        self,
        positive: np.ndarray,
        y_prob: np.ndarray,
        *,
        n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform",
        name: str | None = None,
    ) -> None:
        self.positive = positive
        self.y_prob = y_prob
        self.n_bins = n_bins
        self.strategy = strategy
        self.name = name
        self.ece = expected_calibration_error(
            positive, y_prob, n_bins=n_bins, strategy=strategy, pos_label=True
        )
        self.brier = float(brier_score_loss(positive, y_prob, pos_label=True))
        self.prob_true, self.prob_pred = calibration_curve(
            positive, y_prob, n_bins=n_bins, strategy=strategy, pos_label=True
        )

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, pos_label: Any = None, **settings: Any
    ) -> Self:
        """Predict the patches and draw.

        Parameters
        ----------
        estimator : classifier or sklearn.pipeline.Pipeline
            Fitted, with `predict_proba`.
        X : array-like of shape (n_samples, ...)
            What the estimator takes: patches or paths.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        pos_label : object, default=None
            The positive label; None takes the last of the estimator's classes.
        **settings : dict
            Parameters of :meth:`from_predictions`.

        Returns
        -------
        display : ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            As :meth:`from_predictions`.
        """
        prob, pos_label = score_patches(estimator, X, pos_label)
        return cls.from_predictions(y, prob, pos_label=pos_label, **settings)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        *,
        n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform",
        pos_label: Any = None,
        name: str | None = None,
        axes: Any = None,
    ) -> Self:
        """Measure and draw.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels of two classes.
        y_prob : array-like of shape (n_samples,)
            Probability of the positive class, in [0, 1].
        n_bins : int, default=10
            Number of bins, at least 1.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or of equal numbers of patches.
        pos_label : object, default=None
            The positive label; None takes the larger of the two.
        name : str or None, default=None
            Name of the curve in the legend.
        axes : sequence of 2 matplotlib.axes.Axes or None, default=None
            Where to draw curve and histogram; None makes a new figure.

        Returns
        -------
        display : ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            With probabilities outside [0, 1], missing values, unequal lengths, an unknown
            strategy or a wrong number of axes.
        """
        positive, prob = check_probabilities(y_true, y_prob, pos_label)
        display = cls(positive, prob, n_bins=n_bins, strategy=strategy, name=name)
        return display.plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Draw curve and histogram.

        Parameters
        ----------
        axes : sequence of 2 matplotlib.axes.Axes or None, default=None
            Where to draw curve and histogram; None makes a new figure.

        Returns
        -------
        self : ReliabilityDisplay
            The display.

        Raises
        ------
        ValueError
            If the number of axes is wrong.
        """
        if axes is None:
            _, axes = plt.subplots(
                2, figsize=(5.2, 6), sharex=True, height_ratios=[3, 1], layout="constrained"
            )
        self.axes_ = check_axes(axes, 2, "A reliability curve")
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self._draw_curve(self.ax_)
        self._draw_histogram(self.axes_[1])
        return self

    def _draw_curve(self, ax: Axes) -> None:
        error = f"calibration error {self.ece:.3f} ({self.n_bins} bins)"
        lines = [self.name, error, f"Brier score {self.brier:.3f}"]
        ax.plot([0, 1], [0, 1], ":", color=GRAY, linewidth=1, label="perfect")
        label = "\n".join(filter(None, lines))
        ax.plot(self.prob_pred, self.prob_true, "o-", color=BLUE, label=label)
        ax.set(ylabel="Share of positives", title="Reliability", ylim=(-0.03, 1.03))
        ax.legend(loc="upper left", fontsize="small")

    def _draw_histogram(self, ax: Axes) -> None:
        edges = np.linspace(0, 1, self.n_bins + 1)
        ax.hist(
            [self.y_prob[~self.positive], self.y_prob[self.positive]],
            bins=list(edges), stacked=True, color=[BLUE, VERMILION], label=["negative", "positive"],
            edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        for bar in ax.containers[1]:
            bar.set_hatch("///")
        ax.set(xlabel="Predicted probability", ylabel="Patches", xlim=(-0.02, 1.02))
        ax.set_ylim(0, ax.get_ylim()[1] * _ROOM)
        ax.legend(loc="upper right", ncols=2, fontsize="small")

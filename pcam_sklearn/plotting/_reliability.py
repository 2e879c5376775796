"""The reliability curve above the histogram of probabilities."""

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

# Times the highest bar: the legend fits above it, wherever that bar is.
_HISTOGRAM_HEIGHT = 1.4


class ReliabilityDisplay:
    """Reliability curve with calibration error and Brier score, above a histogram by class.

    scikit-learn's ``CalibrationDisplay`` draws the curve alone. A curve is worth little where
    there are few patches, and the histogram shows where that is.

    Parameters
    ----------
    positive : ndarray of shape (n_samples,), bool
        True for the positive patches.
    y_prob : ndarray of shape (n_samples,)
        Probability of the positive class, in [0, 1].
    n_bins : int, default=10
        Number of bins, at least 1.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal numbers of patches; the histogram's have equal width.
    name : str, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    prob_true, prob_pred : ndarray of shape (n_filled_bins,)
        Share of positives, and mean probability, of each bin that holds patches.
    ece, brier : float
        Expected calibration error in these bins, and Brier score.
    ax_, axes_ : matplotlib.axes.Axes, and ndarray of them of shape (2,)
        The axes of the curve, and those of the curve and of the histogram.
    figure_ : matplotlib.figure.Figure
        The figure that holds the axes.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : Calibrates the probabilities of a classifier.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.plotting import ReliabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> prob = rng.random(2000)
    >>> print(f"{ReliabilityDisplay.from_predictions(rng.random(2000) < prob, prob).ece:.2f}")
    0.03
    """

    ax_: Axes
    axes_: np.ndarray
    figure_: Figure

    def __init__(
        self, positive: np.ndarray, y_prob: np.ndarray, *, n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform", name: str | None = None,
    ) -> None:  # fmt: skip
        self.positive, self.y_prob, self.name = positive, y_prob, name
        self.n_bins, self.strategy = n_bins, strategy
        # pos_label settles the positive class where all patches are negative.
        bins: dict[str, Any] = {"n_bins": n_bins, "strategy": strategy, "pos_label": True}
        self.ece = expected_calibration_error(positive, y_prob, **bins)
        self.brier = float(brier_score_loss(positive, y_prob, pos_label=True))
        self.prob_true, self.prob_pred = calibration_curve(positive, y_prob, **bins)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, pos_label: Any = None, **settings: Any
    ) -> Self:
        """Predict the patches and draw the display.

        Parameters
        ----------
        estimator : classifier or sklearn.pipeline.Pipeline
            The fitted estimator; it must have `predict_proba`.
        X : array-like of shape (n_samples, ...)
            Patches, or paths of their files, whichever the estimator takes.
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
            If `pos_label` is not a class of the estimator, or :meth:`from_predictions` raises it.
        """
        prob, pos_label = score_patches(estimator, X, pos_label)
        return cls.from_predictions(y, prob, pos_label=pos_label, **settings)

    @classmethod
    def from_predictions(
        cls, y_true: ArrayLike, y_prob: ArrayLike, *, n_bins: int = 10,
        strategy: Literal["uniform", "quantile"] = "uniform", pos_label: Any = None,
        name: str | None = None, axes: Any = None,
    ) -> Self:  # fmt: skip
        """Measure the calibration and draw the display.

        Parameters
        ----------
        y_true, y_prob : array-like of shape (n_samples,)
            Labels of two classes, and probability of the positive class, in [0, 1].
        n_bins : int, default=10
            As in the class.
        strategy : {"uniform", "quantile"}, default="uniform"
            As in the class.
        pos_label : object, default=None
            The positive label; None takes the larger of the two.
        name : str, default=None
            As in the class.
        axes : sequence of 2 matplotlib.axes.Axes, default=None
            The axes to draw on; None makes a new figure.

        Returns
        -------
        display : ReliabilityDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a probability lies outside [0, 1], a value is missing, the lengths differ, the
            strategy is unknown, or the number of axes is wrong.
        """
        positive, prob = check_probabilities(y_true, y_prob, pos_label)
        display = cls(positive, prob, n_bins=n_bins, strategy=strategy, name=name)
        return display.plot(axes=axes)

    def plot(self, *, axes: Any = None) -> Self:
        """Draw the curve and the histogram.

        Parameters
        ----------
        axes : sequence of 2 matplotlib.axes.Axes, default=None, which makes a new figure
            The axes for curve and histogram.

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
        # The error depends on the number of bins, so the legend names both.
        error = f"calibration error {self.ece:.3f} ({self.n_bins} bins)"
        lines = [self.name, error, f"Brier score {self.brier:.3f}"]
        ax.plot([0, 1], [0, 1], ":", color=GRAY, linewidth=1, label="perfect")
        label = "\n".join(line for line in lines if line)
        ax.plot(self.prob_pred, self.prob_true, "o-", color=BLUE, label=label)
        ax.set(ylabel="Share of positives", title="Reliability", ylim=(-0.03, 1.03))
        ax.legend(loc="upper left", fontsize="small")

    def _draw_histogram(self, ax: Axes) -> None:
        edges = np.linspace(0, 1, self.n_bins + 1)
        by_class = [self.y_prob[~self.positive], self.y_prob[self.positive]]
        ax.hist(
            by_class, bins=list(edges), stacked=True, color=[BLUE, VERMILION],
            label=["negative", "positive"], edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        # The hatch tells the classes apart in black and white.
        for bar in ax.containers[1]:
            bar.set_hatch("///")
        ax.set(xlabel="Predicted probability", ylabel="Patches", xlim=(-0.02, 1.02))
        ax.set_ylim(0, ax.get_ylim()[1] * _HISTOGRAM_HEIGHT)
        ax.legend(loc="upper right", ncols=2, fontsize="small")

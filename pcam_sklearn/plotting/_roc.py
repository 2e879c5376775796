"""The ROC curve with its operating point, and a band that resamples slides."""

from typing import Any, Self, cast

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from numpy.typing import ArrayLike

from pcam_sklearn._estimators import score_patches
from pcam_sklearn.metrics import (
    Interval,
    OperatingPoint,
    OperatingResult,
    RocBand,
    auc_cluster_bootstrap,
    roc_band,
)
from pcam_sklearn.plotting._style import BLUE, GRAY, VERMILION


class RocBandDisplay:
    """ROC curve with its area, an operating point, and a band that resamples slides.

    Parameters
    ----------
    band : RocBand
        The curve and its band, as :func:`~pcam_sklearn.metrics.roc_band` returns them.
    auc : Interval, default=None
        The area under the curve, for the legend.
    operating_point : OperatingPoint, default=None
        The threshold that was chosen on other slides, for the legend.
    operating_result : OperatingResult, default=None
        Sensitivity and specificity there on these patches: the point to mark, with its bars.
    name : str, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        The axes drawn on, and their figure.

    See Also
    --------
    sklearn.metrics.RocCurveDisplay : Draws the curve alone, or one curve per fold.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.plotting import RocBandDisplay
    >>> rng = np.random.default_rng(0)
    >>> slide = np.repeat(np.arange(30), 40)
    >>> y, score = slide % 2, slide % 2 + rng.normal(size=1200)
    >>> RocBandDisplay.from_predictions(y, score, slide, n_rounds=100).auc.estimate > 0.7
    True
    """

    ax_: Axes
    figure_: Figure

    def __init__(
        self, band: RocBand, *, auc: Interval | None = None,
        operating_point: OperatingPoint | None = None,
        operating_result: OperatingResult | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        self.band, self.auc, self.name = band, auc, name
        self.operating_point, self.operating_result = operating_point, operating_result

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, groups: ArrayLike, *, pos_label: Any = None,
        **settings: Any,
    ) -> Self:  # fmt: skip
        """Predict the patches and draw the display.

        Parameters
        ----------
        estimator : classifier or sklearn.pipeline.Pipeline
            The fitted estimator; it must have `predict_proba`.
        X : array-like of shape (n_samples, ...)
            Patches, or paths of their files, whichever the estimator takes.
        y, groups : array-like of shape (n_samples,)
            Labels of two classes, and the slide of each patch.
        pos_label : object, default=None
            The positive label; None takes the last of the estimator's classes.
        **settings : dict
            Parameters of :meth:`from_predictions`.

        Returns
        -------
        display : RocBandDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If `pos_label` is not a class of the estimator, or :meth:`from_predictions` raises it.
        """
        score, pos_label = score_patches(estimator, X, pos_label)
        return cls.from_predictions(y, score, groups, pos_label=pos_label, **settings)

    @classmethod
    def from_predictions(
        cls, y_true: ArrayLike, y_score: ArrayLike, groups: ArrayLike, *,
        operating_point: OperatingPoint | None = None, n_rounds: int = 1000,
        confidence: float = 0.95, random_state: Any = None, pos_label: Any = None,
        name: str | None = None, ax: Axes | None = None,
    ) -> Self:  # fmt: skip
        """Measure the curve, its band and its area, and draw the display.

        Parameters
        ----------
        y_true, y_score, groups : array-like of shape (n_samples,)
            Labels of two classes; scores, higher if more likely positive; and the slide of each
            patch. At least two slides must hold positive patches, and two must hold negative ones.
        operating_point : OperatingPoint, default=None
            A threshold chosen on other slides. Its result on these patches is marked.
        n_rounds : int, default=1000
            Number of bootstrap rounds, at least 100.
        confidence : float, default=0.95
            Confidence level, in (0, 1).
        random_state : int, Generator or RandomState, default=None
            Seed of the bootstrap.
        pos_label : object, default=None
            The positive label; None takes the larger of the two.
        name : str, default=None
            Name of the curve in the legend.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on; None makes a new figure.

        Returns
        -------
        display : RocBandDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is one class only, slides are too few, a value is missing or lengths differ.
        """
        data = (y_true, y_score, groups)
        # One dictionary for all three, so that band, area and point rest on one confidence.
        settings: dict[str, Any] = {"n_rounds": n_rounds, "confidence": confidence}
        settings |= {"random_state": random_state, "pos_label": pos_label}
        point = operating_point
        result = None if point is None else point.evaluate(*data, **settings)
        band, auc = roc_band(*data, **settings), auc_cluster_bootstrap(*data, **settings)
        display = cls(band, auc=auc, operating_point=point, operating_result=result, name=name)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the curve, the band, the line of chance, and the operating point if there is one.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on; None makes a new figure, with the legend below the axes.

        Returns
        -------
        self : RocBandDisplay
            The display.
        """
        legend: dict[str, Any] = {"loc": "lower right"}
        if ax is None:
            figure, ax = plt.subplots(figsize=(5.6, 7.5), layout="constrained")
            # The band of a few slides leaves no corner free. 36 points clear the label of the axis.
            below = offset_copy(ax.transAxes, figure, y=-36, units="points")
            legend = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below}
        self.ax_, self.figure_ = ax, cast(Figure, ax.figure)
        self._draw_curve(ax, self.band)
        if self.operating_result is not None:
            self._mark_point(ax, self.operating_result)
        ax.set(xlabel="1 - specificity", ylabel="Sensitivity", title="ROC curve")
        # A curve along an edge of the axes would lose half of its width.
        ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        ax.legend(fontsize="small", **legend)
        return self

    def _draw_curve(self, ax: Axes, band: RocBand) -> None:
        label = f"{100 * band.confidence:g} % band, slides resampled"
        style: dict[str, Any] = {"color": BLUE, "alpha": 0.2, "linewidth": 0}
        ax.fill_between(band.fpr, band.low, band.high, label=label, **style)
        area = "" if self.auc is None else f"AUC {self.auc}"
        lines = [line for line in (self.name, area) if line]
        ax.plot(band.fpr, band.tpr, color=BLUE, label="\n".join(lines) or "ROC curve")
        ax.plot([0, 1], [0, 1], ":", color=GRAY, linewidth=1, label="chance")

    def _mark_point(self, ax: Axes, result: OperatingResult) -> None:
        sensitivity, specificity = result.sensitivity, result.specificity
        x, y = 1 - specificity.estimate, sensitivity.estimate
        # The axis shows 1 - specificity, so the upper end of the interval lies on the left.
        left = specificity.high - specificity.estimate
        right = specificity.estimate - specificity.low
        point = self.operating_point
        head = "operating point"
        if point is not None:
            head = f"threshold {point.threshold:.3g}, chosen for {point.criterion}"
        # The marker lies above curve and band.
        ax.errorbar(
            x, y, xerr=[[left], [right]], yerr=[[y - sensitivity.low], [sensitivity.high - y]],
            fmt="D", color=VERMILION, markeredgecolor="white", markersize=8, capsize=3, zorder=4,
            label=f"{head}\nsensitivity {sensitivity}\nspecificity {specificity}",
        )  # fmt: skip

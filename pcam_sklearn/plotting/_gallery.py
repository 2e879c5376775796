"""Pictures of patches, with their labels and probabilities."""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from pcam_sklearn._estimators import score_patches
from pcam_sklearn.metrics._inputs import (
    check_fraction,
    check_labels,
    check_length,
    check_probabilities,
)
from pcam_sklearn.plotting._style import BLUE, VERMILION, take_patches

# Every channel has a dash too, so that readers who confuse red and green can tell them apart.
_CHANNELS = (("red", VERMILION, "-"), ("green", "#009E73", "--"), ("blue", BLUE, ":"))
# A report shrinks a wider row until its panels are too small to read.
_PANELS_PER_ROW = 6


class PatchGalleryDisplay:
    """Patches, their labelled centers and their pixel histograms.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, height, width, 3)
        RGB patches, uint8 or floats in [0, 1].
    titles : sequence of str
        The text above each patch.
    crop_size : int, default=32
        Side of the center that is outlined and cut, in pixels of the patch.
    views : sequence of {"patch", "center", "histogram"}, default=all of them
        The panels to draw for each patch. At most six panels stand side by side.

    Attributes
    ----------
    rows_ : ndarray of shape (n_patches,), int
        The chosen rows of X; set by :meth:`from_estimator` and :meth:`from_predictions` only.
    axes_ : ndarray of matplotlib.axes.Axes, shape (n_patches, n_views)
        The panels of each patch.
    figure_ : matplotlib.figure.Figure
        The figure that holds the axes.

    Examples
    --------
    >>> from pcam_sklearn.datasets import make_patches
    >>> from pcam_sklearn.plotting import PatchGalleryDisplay
    >>> data = make_patches(n_samples=8, n_slides=2, random_state=0)
    >>> PatchGalleryDisplay.from_predictions(data.images, data.target, n_patches=2).axes_.shape
    (2, 3)
    """

    rows_: np.ndarray
    axes_: np.ndarray
    figure_: Figure

    def __init__(
        self, patches: np.ndarray, titles: list[str], *, crop_size: int = 32,
        views: tuple[str, ...] = ("patch", "center", "histogram"),
    ) -> None:  # fmt: skip
        self.patches, self.titles = patches, titles
        self.crop_size, self.views = crop_size, views

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, pos_label: Any = None, **settings: Any
    ) -> Self:
        """Predict the patches, choose a few and draw them.

        Parameters
        ----------
        estimator : classifier or sklearn.pipeline.Pipeline
            The fitted estimator; it must have `predict_proba`.
        X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
            Patches, or paths of their files, whichever the estimator takes.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        pos_label : object, default=None
            The positive label; None takes the last of the estimator's classes.
        **settings : dict
            Parameters of :meth:`from_predictions`.

        Returns
        -------
        display : PatchGalleryDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If `pos_label` is not a class of the estimator, or :meth:`from_predictions` raises it.
        """
        prob, pos_label = score_patches(estimator, X, pos_label)
        return cls.from_predictions(X, y, prob, pos_label=pos_label, **settings)

    @classmethod
    def from_predictions(
        cls, X: Any, y_true: ArrayLike, y_prob: ArrayLike | None = None, *, n_patches: int = 6,
        select: Literal["random", "most wrong", "most certain"] = "random", threshold: float = 0.5,
        crop_size: int = 32, views: tuple[str, ...] = ("patch", "center", "histogram"),
        random_state: int | None = None, pos_label: Any = None,
    ) -> Self:  # fmt: skip
        """Choose a few patches and draw them.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
            Patches, or paths of their files; only the files that are drawn are read.
        y_true : array-like of shape (n_samples,)
            Labels of two classes.
        y_prob : array-like of shape (n_samples,), default=None
            Probability of the positive class, in [0, 1].
        n_patches : int, default=6
            Number of patches to draw, at least 1. If X holds fewer, all are drawn.
        select : {"random", "most wrong", "most certain"}, default="random"
            "random" draws patches by chance, "most wrong" takes those whose probability is
            farthest from the label, "most certain" those whose probability is nearest to it.
        threshold : float, default=0.5
            The lowest probability, in [0, 1], at which a patch counts as predicted positive.
            Infinity, as of an operating point that no patch reaches, calls none positive.
        crop_size : int, default=32
            As in the class.
        views : sequence of str, default=("patch", "center", "histogram")
            As in the class.
        random_state : int, default=None
            Seed of the random choice.
        pos_label : object, default=None
            The positive label; None takes the larger of the two.

        Returns
        -------
        display : PatchGalleryDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a parameter is not as documented, the lengths differ, or `select` needs
            probabilities and `y_prob` is None.
        """
        if y_prob is None:
            positive, prob = check_labels(y_true, pos_label, both_classes=False), None
        else:
            positive, prob = check_probabilities(y_true, y_prob, pos_label)
        check_length(X, len(positive), "X")
        if threshold != math.inf:
            check_fraction(threshold, "threshold")
        rows = _choose_rows(positive, prob, n_patches, select, random_state)
        shown_prob = [None] * len(rows) if prob is None else prob[rows]
        shown = zip(np.asarray(y_true)[rows], positive[rows], shown_prob, strict=True)
        titles = [_make_title(*patch, threshold) for patch in shown]
        display = cls(take_patches(X, rows), titles, crop_size=crop_size, views=tuple(views))
        display.rows_ = rows
        return display.plot()

    def plot(self) -> Self:
        """Draw the patches in a new figure, two per row where all three views are shown.

        Returns
        -------
        self : PatchGalleryDisplay
            The display.

        Raises
        ------
        ValueError
            If there is no view, a view is unknown, there are more than six views, or the center
            is larger than the patch.
        """
        self._check_views()
        self._check_crop_size()
        n_patches, n_views = len(self.patches), len(self.views)
        per_row = min(n_patches, _PANELS_PER_ROW // n_views)
        n_rows = math.ceil(n_patches / per_row)
        size = (1.75 * per_row * n_views, 2.15 * n_rows)
        self.figure_ = plt.figure(figsize=size, layout="constrained")
        blocks = self.figure_.subfigures(n_rows, per_row, squeeze=False).ravel()
        self.axes_ = np.empty((n_patches, n_views), dtype=object)
        # The last row of the figure may have more blocks than patches are left.
        for row, (block, patch) in enumerate(zip(blocks, self.patches, strict=False)):
            block.suptitle(self.titles[row], fontsize="small")
            self.axes_[row] = block.subplots(1, n_views, squeeze=False)[0]
            for ax, view in zip(self.axes_[row], self.views, strict=True):
                _VIEWS[view](ax, patch, self.crop_size)
        return self

    def _check_views(self) -> None:
        known = list(_VIEWS)
        if not self.views:
            raise ValueError(f"views is empty; choose from {known}.")
        for view in self.views:
            if view not in _VIEWS:
                raise ValueError(f"views holds {view!r}, which is unknown; choose from {known}.")
        if len(self.views) > _PANELS_PER_ROW:
            raise ValueError(
                f"views has {len(self.views)} entries; at most {_PANELS_PER_ROW} fit side by side."
            )

    def _check_crop_size(self) -> None:
        side = min(self.patches.shape[1:3])
        check_scalar(self.crop_size, "crop_size", Integral)
        if not 1 <= self.crop_size <= side:
            raise ValueError(
                f"crop_size={self.crop_size} must lie between 1 and the patches' side, {side}."
            )


def _choose_rows(
    positive: np.ndarray, prob: np.ndarray | None, n_patches: int, select: str, seed: int | None
) -> np.ndarray:
    check_scalar(n_patches, "n_patches", Integral)
    if n_patches < 1:
        raise ValueError(f"n_patches={n_patches} must be at least 1; type n_patches=6.")
    n_patches = min(n_patches, len(positive))
    if select == "random":
        return np.random.default_rng(seed).choice(len(positive), n_patches, replace=False)
    if select not in ("most wrong", "most certain"):
        raise ValueError(
            f"select={select!r} is unknown; type 'random', 'most wrong' or 'most certain'."
        )
    if prob is None:
        raise ValueError(f"select={select!r} needs probabilities; pass y_prob.")
    distance = np.abs(positive - prob)
    order = -distance if select == "most wrong" else distance
    # A stable sort draws the same patches each time, however many share a probability.
    return np.argsort(order, kind="stable")[:n_patches]


def _make_title(label: Any, positive: bool, prob: float | None, threshold: float) -> str:
    if prob is None:
        return f"label {label}"
    # A word, not a colour: it must survive print in black and white.
    verdict = "right" if (prob >= threshold) == positive else "wrong"
    return f"label {label}, predicted {prob:.2f}: {verdict}"


def _find_center(patch: np.ndarray, crop_size: int) -> tuple[int, int]:
    """Return the top row and the left column of the center."""
    height, width = patch.shape[:2]
    return (height - crop_size) // 2, (width - crop_size) // 2


def _draw_patch(ax: Axes, patch: np.ndarray, crop_size: int) -> None:
    top, left = _find_center(patch, crop_size)
    # imshow puts the middle of a pixel on its number, so that its edge lies half a pixel before.
    corner = (left - 0.5, top - 0.5)
    ax.imshow(patch, interpolation="nearest")
    # Black under white dashes shows on any tissue.
    for color, dash in (("black", "-"), ("white", "--")):
        style: dict[str, Any] = {"edgecolor": color, "linestyle": dash, "linewidth": 1.4}
        ax.add_patch(Rectangle(corner, crop_size, crop_size, fill=False, **style))
    ax.set(xticks=[], yticks=[])


def _draw_center(ax: Axes, patch: np.ndarray, crop_size: int) -> None:
    top, left = _find_center(patch, crop_size)
    center = patch[top : top + crop_size, left : left + crop_size]
    ax.imshow(center, interpolation="nearest")
    ax.set(xticks=[], yticks=[])


def _draw_histogram(ax: Axes, patch: np.ndarray, crop_size: int) -> None:
    """Draw the distribution of the values of the whole patch, one line per channel."""
    values = patch if patch.dtype == np.uint8 else patch * 255
    # 32 bins of eight values each: finer ones show the noise of a single patch.
    edges = list(np.linspace(0, 256, 33))
    for channel, (name, color, dash) in enumerate(_CHANNELS):
        style: dict[str, Any] = {"color": color, "linestyle": dash, "linewidth": 1.2}
        ax.hist(values[..., channel].ravel(), bins=edges, histtype="step", label=name, **style)
    ax.set(xlim=(0, 256), xticks=[0, 128, 255], yticks=[], box_aspect=1)
    ax.set_xlabel("value, whole patch", fontsize="x-small")
    ax.tick_params(labelsize="x-small")
    ax.legend(fontsize="xx-small", frameon=False, handlelength=1.5, loc="upper left")


_VIEWS: dict[str, Callable[[Axes, np.ndarray, int], None]] = {
    "patch": _draw_patch,
    "center": _draw_center,
    "histogram": _draw_histogram,
}

"""Patches to look at, with label and probability."""

from collections.abc import Callable
from typing import Any, Literal, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from pcam_sklearn._estimators import score_patches
from pcam_sklearn.metrics._inputs import check_labels, check_length, check_probabilities
from pcam_sklearn.plotting._style import BLUE, VERMILION, take_patches

__all__ = ["PatchGalleryDisplay"]

_CHANNELS = (("red", VERMILION, "-"), ("green", "#009E73", "--"), ("blue", BLUE, ":"))


class PatchGalleryDisplay:
    """Patches, their labelled centers and their pixel histograms.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, height, width, 3)
        RGB patches, uint8 or floats in [0, 1].
    titles : sequence of str
        What stands above each patch.
    crop_size : int, default=32
        Side of the center that is outlined and cut, in pixels of the patch.
    views : sequence of {"patch", "center", "histogram"}, default=all of them
        What is shown of each patch.

    Attributes
    ----------
    rows_ : ndarray of shape (n_patches,), int
        Which rows of X the patches are, where the display chose them.
    axes_ : ndarray of matplotlib.axes.Axes, shape (n_patches, n_views)
        The panels of each patch.
    figure_ : matplotlib.figure.Figure
        The figure that holds them.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from pcam_sklearn.datasets import make_patches
    >>> from pcam_sklearn.plotting import PatchGalleryDisplay
    >>> data = make_patches(n_samples=8, n_slides=2, random_state=0)
    >>> display = PatchGalleryDisplay.from_predictions(
    ...     data.images, data.target, n_patches=2, random_state=0
    ... )
    >>> display.axes_.shape
    (2, 3)
    """

    rows_: np.ndarray
    axes_: np.ndarray
    figure_: Figure

    def __init__(
        self,
        patches: np.ndarray,
        titles: list[str],
        *,
        crop_size: int = 32,
        views: tuple[str, ...] = ("patch", "center", "histogram"),
    ) -> None:
        self.patches = patches
        self.titles = titles
        self.crop_size = crop_size
        self.views = views

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, pos_label: Any = None, **settings: Any
    ) -> Self:
        """Predict the patches, choose some and draw them.

        Parameters
        ----------
        estimator : classifier or sklearn.pipeline.Pipeline
            Fitted, with `predict_proba`.
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
            As :meth:`from_predictions`.
        """
        prob, pos_label = score_patches(estimator, X, pos_label)
        return cls.from_predictions(X, y, prob, pos_label=pos_label, **settings)

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        y_true: ArrayLike,
        y_prob: ArrayLike | None = None,
        *,
        n_patches: int = 6,
        select: Literal["random", "most wrong", "most certain"] = "random",
        threshold: float = 0.5,
        crop_size: int = 32,
        views: tuple[str, ...] = ("patch", "center", "histogram"),
        random_state: int | None = None,
        pos_label: Any = None,
    ) -> Self:
        """Choose some patches and draw them.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
            Patches, or paths of their files; only those drawn are read.
        y_true : array-like of shape (n_samples,)
            Labels of two classes.
        y_prob : array-like of shape (n_samples,) or None, default=None
            Probability of the positive class.
        n_patches : int, default=6
            How many to draw, at least 1; fewer where there are not as many.
        select : {"random", "most wrong", "most certain"}, default="random"
            Which: drawn at random; those whose probability is farthest from the label; or those
            whose probability is nearest to it.
        threshold : float, default=0.5
            A patch is called positive where its probability is at least this.
        crop_size : int, default=32
            Side of the center, in pixels.
        views : sequence of {"patch", "center", "histogram"}, default=all of them
            What is shown of each patch.
        random_state : int or None, default=None
            Seed of "random".
        pos_label : object, default=None
            The positive label; None takes the larger of the two.

        Returns
        -------
        display : PatchGalleryDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a parameter is not as documented, lengths are unequal, or a choice by wrongness
            has no probabilities to go by.
        """
        if y_prob is None:
            positive, prob = check_labels(y_true, pos_label, both_classes=False), None
        else:
            positive, prob = check_probabilities(y_true, y_prob, pos_label)
        check_length(X, len(positive), "X")
        rows = _choose(positive, prob, n_patches, select, random_state)
        labels = np.asarray(y_true)
        titles = [
            _title(labels[row], positive[row], None if prob is None else prob[row], threshold)
            for row in rows
        ]
        display = cls(take_patches(X, rows), titles, crop_size=crop_size, views=tuple(views))
        display.rows_ = rows
        return display.plot()

    def plot(self) -> Self:
        """Draw the patches in a new figure, two to a row.

        Returns
        -------
        self : PatchGalleryDisplay
            The display.

        Raises
        ------
        ValueError
            If a view is unknown or the center is larger than the patch.
        """
        self._check()
        n_views = len(self.views)
        per_row = min(len(self.patches), 6 // n_views)
        n_rows = -(-len(self.patches) // per_row)
        self.figure_ = plt.figure(
            figsize=(1.75 * per_row * n_views, 2.15 * n_rows), layout="constrained"
        )
        blocks = self.figure_.subfigures(n_rows, per_row, squeeze=False).ravel()
        self.axes_ = np.empty((len(self.patches), n_views), dtype=object)
        for row, (block, patch) in enumerate(zip(blocks, self.patches, strict=False)):
            block.suptitle(self.titles[row], fontsize="small")
            self.axes_[row] = block.subplots(1, n_views, squeeze=False)[0]
            for ax, view in zip(self.axes_[row], self.views, strict=True):
                _VIEWS[view](ax, patch, self.crop_size)
        return self

    def _check(self) -> None:
        for view in self.views:
            if view not in _VIEWS:
                raise ValueError(f"views holds {view!r}; it may hold {list(_VIEWS)}.")
        if not self.views:
            raise ValueError(f"views is empty; it may hold {list(_VIEWS)}.")
        side = min(self.patches.shape[1:3])
        if not 1 <= self.crop_size <= side:
            raise ValueError(
                f"crop_size={self.crop_size} must lie between 1 and the patches' side, {side}."
            )


def _choose(
    positive: np.ndarray, prob: np.ndarray | None, n_patches: int, select: str, seed: int | None
) -> np.ndarray:
    if n_patches < 1:
        raise ValueError(f"n_patches={n_patches} must be at least 1.")
    n_patches = min(n_patches, len(positive))
    if select == "random":
        return np.random.default_rng(seed).choice(len(positive), n_patches, replace=False)
    if select not in ("most wrong", "most certain"):
        raise ValueError(
            f"select={select!r} is unknown; type 'random', 'most wrong' or 'most certain'."
        )
    if prob is None:
        raise ValueError(f"select={select!r} goes by probabilities; pass y_prob.")
    distance = np.abs(positive - prob)
    order = -distance if select == "most wrong" else distance
    return np.argsort(order, kind="stable")[:n_patches]


def _title(label: Any, positive: bool, prob: float | None, threshold: float) -> str:
    """Return label and probability, in words and not in colours alone."""
    if prob is None:
        return f"label {label}"
    verdict = "right" if (prob >= threshold) == positive else "wrong"
    return f"label {label}, predicted {prob:.2f}: {verdict}"


def _cut(patch: np.ndarray, crop_size: int) -> tuple[int, int, np.ndarray]:
    top, left = ((side - crop_size) // 2 for side in patch.shape[:2])
    return top, left, patch[top : top + crop_size, left : left + crop_size]


def _draw_patch(ax: Axes, patch: np.ndarray, crop_size: int) -> None:
    top, left, _ = _cut(patch, crop_size)
    ax.imshow(patch, interpolation="nearest")
    # Black under white dashes shows on any tissue.
    for color, dash in (("black", "-"), ("white", "--")):
        ax.add_patch(
            Rectangle(
                (left - 0.5, top - 0.5), crop_size, crop_size,
                fill=False, edgecolor=color, linestyle=dash, linewidth=1.4,
            )
        )  # fmt: skip
    ax.set(xticks=[], yticks=[])


def _draw_center(ax: Axes, patch: np.ndarray, crop_size: int) -> None:
    ax.imshow(_cut(patch, crop_size)[2], interpolation="nearest")
    ax.set(xticks=[], yticks=[])


def _draw_histogram(ax: Axes, patch: np.ndarray, crop_size: int) -> None:
    """Draw the distribution of the whole patch's values by channel."""
    values = patch if patch.dtype == np.uint8 else patch * 255
    edges = list(np.linspace(0, 256, 33))
    for channel, (name, color, dash) in enumerate(_CHANNELS):
        ax.hist(
            values[..., channel].ravel(), bins=edges, histtype="step", color=color,
            linestyle=dash, linewidth=1.2, label=name,
        )  # fmt: skip
    ax.set(xlim=(0, 256), xticks=[0, 128, 255], yticks=[], box_aspect=1)
    ax.set_xlabel("value, whole patch", fontsize="x-small")
    ax.tick_params(labelsize="x-small")
    ax.legend(fontsize="xx-small", frameon=False, handlelength=1.5, loc="upper left")


_VIEWS: dict[str, Callable[[Axes, np.ndarray, int], None]] = {
    "patch": _draw_patch,
    "center": _draw_center,
    "histogram": _draw_histogram,
}

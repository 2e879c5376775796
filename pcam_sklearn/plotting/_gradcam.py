"""Pictures of patches under their Grad-CAM maps."""

from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pcam_sklearn.plotting._heat import compute_network_input, grad_cam


class GradCamDisplay:
    """Patches as the network sees them, and the same patches under their Grad-CAM maps.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, height, width, 3)
        The input of the network, floats in [0, 1].
    heat : ndarray of shape (n_patches, height, width)
        The maps, in [0, 1], as :func:`grad_cam` returns them.
    titles : sequence of str
        The text above each patch.
    label : str, default="evidence"
        The text next to the scale of colours.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes, shape (2, n_patches)
        Patches above, maps below.
    figure_ : matplotlib.figure.Figure
        The figure that holds the axes.

    See Also
    --------
    grad_cam : The maps alone.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.plotting import GradCamDisplay
    >>> patches, heat = np.ones((2, 8, 8, 3)), np.zeros((2, 8, 8))
    >>> GradCamDisplay(patches, heat, ["first", "second"]).plot().axes_.shape
    (2, 2)
    """

    axes_: np.ndarray
    figure_: Figure

    def __init__(
        self, patches: np.ndarray, heat: np.ndarray, titles: list[str], *, label: str = "evidence"
    ) -> None:
        self.patches, self.heat = patches, heat
        self.titles, self.label = titles, label

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, layer: str | None = None,
        positive: bool = True,
    ) -> Self:  # fmt: skip
        """Compute the maps of a few patches and draw them.

        Parameters
        ----------
        estimator : CNNClassifier, sklearn.pipeline.Pipeline or GridSearchCV
            The fitted classifier, a pipeline that ends in one, or a search over either.
        X : array-like of shape (n_patches, height, width, 3) or (n_patches,)
            The patches to draw, or paths of their files. All are drawn side by side.
        y : array-like of shape (n_patches,), default=None
            Labels, for the titles.
        layer : str, default=None
            As in :func:`grad_cam`.
        positive : bool, default=True
            As in :func:`grad_cam`.

        Returns
        -------
        display : GradCamDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If y is not as long as X, or :func:`grad_cam` raises it.
        """
        heat = grad_cam(estimator, X, layer=layer, positive=positive)
        classifier, inputs = compute_network_input(estimator, X)
        titles = [f"predicted {prob:.2f}" for prob in estimator.predict_proba(X)[:, 1]]
        if y is not None:
            if len(y) != len(inputs):
                raise ValueError(
                    f"y has {len(y)} labels for {len(inputs)} patches; pass one per patch."
                )
            titles = [f"label {label}\n{title}" for label, title in zip(y, titles, strict=True)]
        word = "for" if positive else "against"
        label = f"evidence {word} class {classifier.classes_[1]}"
        return cls(inputs, heat, titles, label=label).plot()

    def plot(self, *, alpha: float = 0.7) -> Self:
        """Draw patches and maps in a new figure.

        Parameters
        ----------
        alpha : float, default=0.7
            Opacity of the map where it is highest, 0 to 1. Where the map is 0, the patch shows.

        Returns
        -------
        self : GradCamDisplay
            The display.
        """
        n_patches = len(self.patches)
        size = (1.6 * n_patches + 1.0, 3.9)
        self.figure_, self.axes_ = plt.subplots(
            2, n_patches, figsize=size, squeeze=False, layout="constrained"
        )
        columns = zip(self.axes_.T, self.patches, self.heat, self.titles, strict=True)
        for (above, below), patch, heat, title in columns:
            above.imshow(patch, interpolation="nearest")
            above.set_title(title, fontsize="small")
            below.imshow(patch, interpolation="nearest")
            # cividis looks the same to readers who confuse red and green.
            colored = below.imshow(heat, cmap="cividis", vmin=0, vmax=1, alpha=alpha * heat)
            if not heat.any():
                below.set_title("no evidence", fontsize="small")
        for ax in self.axes_.ravel():
            ax.set_axis_off()
        self._draw_scale(colored)
        return self

    def _draw_scale(self, colored: AxesImage) -> None:
        below = list(self.axes_[1])
        bar = self.figure_.colorbar(colored, ax=below, ticks=[0, 1], shrink=0.8, pad=0.01)
        # Each map has its own maximum, so numbers on one scale for all would mislead.
        bar.set_ticklabels(["none", "most"])
        bar.set_label(self.label, fontsize="small")

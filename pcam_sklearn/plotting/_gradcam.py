"""Patches with the parts that speak for tumour."""

from typing import Any, Self

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from pcam_sklearn.plotting._heat import grad_cam, network_inputs

__all__ = ["GradCamDisplay"]


class GradCamDisplay:
    """What the network sees of each patch, and the same under a Grad-CAM map.

    Parameters
    ----------
    patches : ndarray of shape (n_patches, height, width, 3)
        What the network sees, floats in [0, 1].
    heat : ndarray of shape (n_patches, height, width)
        The maps, in [0, 1], as :func:`grad_cam` returns them.
    titles : sequence of str
        What stands above each patch.
    label : str, default="evidence"
        What stands beside the scale of colours.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes, shape (2, n_patches)
        Patches above, maps below.
    figure_ : matplotlib.figure.Figure
        The figure that holds them.

    See Also
    --------
    grad_cam : The maps alone.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
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
        self.patches = patches
        self.heat = heat
        self.titles = titles
        self.label = label

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, layer: str | None = None,
        positive: bool = True,
    ) -> Self:  # fmt: skip
        """Compute the maps of some patches and draw them.

        Parameters
        ----------
        estimator : CNNClassifier or sklearn.pipeline.Pipeline
            The fitted classifier, or a pipeline that ends in one.
        X : array-like of shape (n_patches, height, width, 3) or (n_patches,)
            The patches to draw, or paths of their files: as many as should stand side by side.
        y : array-like of shape (n_patches,) or None, default=None
            Labels, for the titles.
        layer : str or None, default=None
            Name of the layer, as in :func:`grad_cam`.
        positive : bool, default=True
            Whether to show what speaks for the second of the classes, or against it.

        Returns
        -------
        display : GradCamDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            As :func:`grad_cam`; also if y is not as long as X.
        """
        heat = grad_cam(estimator, X, layer=layer, positive=positive)
        classifier, inputs = network_inputs(estimator, X)
        if y is not None and len(y) != len(inputs):
            raise ValueError(
                f"y has {len(y)} labels for {len(inputs)} patches; pass one per patch."
            )
        probabilities = estimator.predict_proba(X)[:, 1]
        titles = [f"predicted {probability:.2f}" for probability in probabilities]
        if y is not None:
            titles = [f"label {label}\n{title}" for label, title in zip(y, titles, strict=True)]
        word = "for" if positive else "against"
        label = f"evidence {word} class {classifier.classes_[1]}"
        return cls(inputs, heat, titles, label=label).plot()

    def plot(self, *, alpha: float = 0.7) -> Self:
        """Draw patches and maps in a new figure.

        Parameters
        ----------
        alpha : float, default=0.7
            Opacity of the map where it is highest, 0 to 1; where it is 0 the patch shows.

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
            colored = below.imshow(heat, cmap="cividis", vmin=0, vmax=1, alpha=alpha * heat)
            if not heat.any():
                below.set_title("no evidence", fontsize="small")
        for ax in self.axes_.ravel():
            ax.set_axis_off()
        bar = self.figure_.colorbar(
            colored, ax=list(self.axes_[1]), ticks=[0, 1], shrink=0.8, pad=0.01
        )
        bar.set_ticklabels(["none", "most"])
        bar.set_label(self.label, fontsize="small")
        return self

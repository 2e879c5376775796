"""Augmentation that stains patches as other slides of the training set are stained."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length

from pcam_sklearn._numbers import check_real
from pcam_sklearn._reading._checks import check_patches
from pcam_sklearn.augmentation._random import DARKEST, RandomLayer

# A slide that is nearly white would have its noise enlarged.
_LARGEST_SCALE = 2.0
_SMALLEST_DEVIATION = 0.01  # That of a slide in a single colour is 0.


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomRestain(RandomLayer):
    """Change the colours of some patches as they change from one training slide to another.

    Laboratories stain differently, so slides differ in the mean and the spread of the optical
    density of red, green and blue. For each patch two slides are drawn, and the patch changes by
    the difference between them. Before `adapt` has seen two slides, patches stay as they are.

    Parameters
    ----------
    share : float, default=0.5
        Probability for each patch, in [0, 1].
    statistics : array-like of shape (n_slides, 6) or None, default=None
        The means of the three densities on each slide, then their standard deviations; `adapt`
        measures them.
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type, range or shape than documented, or patches lack three
        channels.

    References
    ----------
    E. Reinhard et al., "Color transfer between images", IEEE Computer Graphics and Applications 21
    (2001); Y. Shen et al., "RandStainNA: learning stain-agnostic features from histology slides by
    bridging stain augmentation and normalization", MICCAI 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomRestain
    >>> from pcam_sklearn.datasets import make_patches
    >>> patches = make_patches(8, n_slides=2, random_state=0)
    >>> layer = RandomRestain(share=1.0, seed=0)
    >>> layer.adapt(patches.images, patches.groups)
    >>> np.asarray(layer.statistics).shape
    (2, 6)
    """

    learns_of_slides = True
    _of_colors = "restain"

    def __init__(
        self,
        share: float = 0.5,
        statistics: ArrayLike | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.share = check_real(share, "share", min_val=0, max_val=1)
        self.statistics = None if statistics is None else _check_statistics(statistics)

    def adapt(self, patches: Any, slides: ArrayLike) -> None:
        """Measure the stain of each slide.

        Parameters
        ----------
        patches : array-like of shape (n_samples, height, width, 3)
            The patches, uint8, or floats in [0, 1].
        slides : array-like of shape (n_samples,)
            The slide of each patch.

        Raises
        ------
        ValueError
            If patches are not as documented, or slides are more or fewer than patches.
        """
        patches, slides = check_patches(patches), np.asarray(slides)
        check_consistent_length(patches, slides)
        self.statistics = [_measure(patches[slides == slide]) for slide in np.unique(slides)]

    def _augment(self, patches: Any) -> Any:
        if self.statistics is None or len(self.statistics) < 2:
            return patches
        n = ops.shape(patches)[0]
        before, before_spread = self._draw_slides(n)
        after, after_spread = self._draw_slides(n)
        chosen = self._uniform((n, 1, 1, 1), 0.0, 1.0) < self.share
        limit = math.log(_LARGEST_SCALE)
        scale = ops.exp(ops.clip(ops.log(after_spread / before_spread), -limit, limit))
        density = -ops.log(ops.maximum(ops.cast(patches, "float32"), DARKEST))
        stained = ops.clip(ops.exp(-((density - before) * scale + after)), 0, 1)
        return ops.where(chosen, ops.cast(stained, patches.dtype), patches)

    def _draw_slides(self, n: Any) -> list[Any]:
        """Return the means of n slides, and their deviations, for each pixel of n patches."""
        table = np.array(self.statistics, np.float32)
        # Rounding may give the number of slides itself.
        rows = ops.cast(self._uniform((n,), 0.0, len(table)), "int32")
        drawn = ops.take(ops.convert_to_tensor(table), ops.minimum(rows, len(table) - 1), axis=0)
        return ops.split(drawn[:, None, None, :], 2, axis=3)


def _measure(patches: np.ndarray) -> list[float]:
    """Return the means of the optical densities of a slide's patches, then their deviations."""
    largest = 255 if patches.dtype == np.uint8 else 1
    pixels = patches.reshape(-1, 3).astype(np.float32) / largest
    density = -np.log(np.maximum(pixels, DARKEST))
    deviations = np.maximum(density.std(axis=0, dtype=np.float64), _SMALLEST_DEVIATION)
    return [*density.mean(axis=0, dtype=np.float64).tolist(), *deviations.tolist()]


def _check_statistics(statistics: ArrayLike) -> list[list[float]]:
    """Return the statistics as lists, which a configuration can hold, or raise ValueError."""
    table = np.asarray(statistics, dtype=float)
    shaped = table.ndim == 2 and table.shape[1] == 6
    if not shaped or not np.isfinite(table).all() or not (table[:, 3:] > 0).all():
        raise ValueError(
            "statistics must hold three means and three deviations above 0 for each slide, shape "
            f"(n_slides, 6); got {statistics!r}."
        )
    return table.tolist()

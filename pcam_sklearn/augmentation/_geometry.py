"""Augmentation that moves pixels."""

import math
from numbers import Integral
from typing import Any

import keras
from keras import ops
from sklearn.utils import check_scalar

from pcam_sklearn._numbers import check_real
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn.augmentation._random import RandomLayer


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomD4(RandomLayer):
    """Turn and mirror each square patch by a random one of the 8 symmetries of the square.

    Tissue has no up or down, so the label stays the same. Pixels move and keep their values.

    Parameters
    ----------
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    ValueError
        If patches are not square.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomD4
    >>> turned = RandomD4(seed=0)(np.eye(4, dtype=np.float32)[None, :, :, None], training=True)
    >>> float(np.asarray(turned).sum())
    4.0
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Raise ValueError unless patches are square."""
        if input_shape[1] != input_shape[2]:
            raise ValueError(
                f"augment='d4' needs square patches, got {input_shape[1]}x{input_shape[2]}; "
                "cut them square with CenterCropNormalizer, or pass augment=None."
            )
        super().build(input_shape)

    def _augment(self, patches: Any) -> Any:
        # Three independent coins give each of the 8 symmetries with the same probability.
        coins = self._uniform((3, ops.shape(patches)[0], 1, 1, 1), 0.0, 1.0)
        transpose, mirror, flip = coins[0] < 0.5, coins[1] < 0.5, coins[2] < 0.5
        patches = ops.where(transpose, ops.transpose(patches, (0, 2, 1, 3)), patches)
        patches = ops.where(mirror, ops.flip(patches, axis=2), patches)
        return ops.where(flip, ops.flip(patches, axis=1), patches)


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomShift(RandomLayer):
    """Move each patch by a few pixels, vertically and horizontally; borders are mirrored.

    Parameters
    ----------
    pixels : int, default=3
        Longest move in pixels, at least 1. A large one moves other tissue into the 32 pixels in
        the center, which decide the label, and makes labels wrong.
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `pixels` has another type or range than documented.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomShift
    >>> X = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> bool(np.isin(RandomShift(1, seed=0)(X, training=True), X).all())
    True
    """

    def __init__(self, pixels: int = 3, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.pixels = check_scalar(pixels, "pixels", Integral, min_val=1)

    def _augment(self, patches: Any) -> Any:
        columns_first = ops.transpose(self._move_rows(patches), (0, 2, 1, 3))
        return ops.transpose(self._move_rows(columns_first), (0, 2, 1, 3))

    def _move_rows(self, patches: Any) -> Any:
        """Move each patch vertically by whole rows, which copies each row once."""
        n_patches, (height, width, channels) = ops.shape(patches)[0], patches.shape[1:]
        steps = ops.round(self._uniform((n_patches, 1), -self.pixels - 0.5, self.pixels + 0.5))
        # A draw of exactly one end of the range is rounded beyond it.
        steps = ops.clip(steps, -self.pixels, self.pixels)
        last = height - 1
        # Mirrored rows repeat after the way there and back, however far the patch moves.
        rows = (ops.arange(height, dtype="int32")[None] + ops.cast(steps, "int32")) % max(
            2 * last, 1
        )
        mirrored = last - ops.abs(last - rows)
        places = mirrored + height * ops.arange(n_patches, dtype="int32")[:, None]
        # Taking rows of all patches from one long array is a single gather.
        flat = ops.reshape(patches, (n_patches * height, width * channels))
        return ops.reshape(ops.take(flat, places, axis=0), (n_patches, height, width, channels))


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomZoom(RandomLayer):
    """Magnify or shrink each patch about its center; what lies outside is mirrored from inside.

    Scanners differ a little in the size of a pixel, and cells differ in size.

    Parameters
    ----------
    factor : float, default=0.15
        Largest relative change, in (0, 1). Sides become 1 / (1 + factor) to 1 + factor times as
        long, and shorter as often as longer. A large factor moves tissue into or out of the 32
        pixels in the center, which decide the label, and makes labels wrong.
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `factor` has another type or range than documented.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomZoom
    >>> tuple(RandomZoom(0.5, seed=0)(np.ones((4, 8, 8, 3), np.float32), training=True).shape)
    (4, 8, 8, 3)
    """

    def __init__(self, factor: float = 0.15, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.factor = check_real(
            factor, "factor", min_val=0, max_val=1, include_boundaries="neither"
        )
        self.supports_jit = current_framework().compiles_resampling

    def _augment(self, patches: Any) -> Any:
        height, width = patches.shape[1:3]
        # Logarithms are drawn evenly, so shrinking is as likely as magnifying by the same factor.
        farthest = math.log1p(self.factor)
        # A pixel of the output comes from a place `step` times as far from the center.
        step = ops.exp(self._uniform((ops.shape(patches)[0],), -farthest, farthest))
        zero = ops.zeros_like(step)
        down, right = (1 - step) * (height - 1) / 2, (1 - step) * (width - 1) / 2
        moves = ops.stack([step, zero, right, zero, step, down, zero, zero], axis=1)
        return ops.image.affine_transform(patches, moves, "bilinear", fill_mode="reflect")

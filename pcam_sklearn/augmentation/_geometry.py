"""Augmentation that moves pixels."""

import math
from numbers import Integral, Real
from typing import Any

import keras
from keras import ops
from sklearn.utils import check_scalar

from pcam_sklearn._training._backends import current_framework
from pcam_sklearn.augmentation._random import RandomLayer


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomD4(RandomLayer):
    """Turn and mirror each square patch by one of the 8 symmetries of the square, at random.

    Tissue has no up or down, so the label stays the same; so do the pixels, which only move.

    Parameters
    ----------
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Passed on to `keras.layers.Layer`.

    Raises
    ------
    ValueError
        If patches are not square.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomD4
    >>> X = np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32)
    >>> turned = np.asarray(RandomD4(seed=0)(X, training=True))
    >>> bool(np.allclose(turned.sum(axis=(1, 2)), X.sum(axis=(1, 2)), rtol=1e-5))
    True
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the patches are square, as transposing them keeps their shape only then."""
        if input_shape[1] != input_shape[2]:
            raise ValueError(
                f"augment='d4' needs square patches, got {input_shape[1]}x{input_shape[2]}; "
                "cut them square with CenterCropNormalizer, or pass augment=None."
            )
        super().build(input_shape)

    def _augment(self, patches: Any) -> Any:
        coins = self._uniform((3, ops.shape(patches)[0], 1, 1, 1), 0.0, 1.0)
        transpose, mirror, flip = coins[0] < 0.5, coins[1] < 0.5, coins[2] < 0.5
        patches = ops.where(transpose, ops.transpose(patches, (0, 2, 1, 3)), patches)
        patches = ops.where(mirror, ops.flip(patches, axis=2), patches)
        return ops.where(flip, ops.flip(patches, axis=1), patches)


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomShift(RandomLayer):
    """Move each patch by a few pixels up or down and left or right; the border is mirrored.

    Parameters
    ----------
    pixels : int, default=3
        The farthest it moves, at least 1. A patch is labelled by the 32 pixels in its center, so
        that larger moves make labels wrong.
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Passed on to `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `pixels` is not as documented.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomShift
    >>> X = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> moved = np.asarray(RandomShift(1, seed=0)(X, training=True))
    >>> moved.shape, bool(np.isin(moved, X).all())
    ((1, 4, 4, 1), True)
    """

    def __init__(self, pixels: int = 3, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.pixels = check_scalar(pixels, "pixels", Integral, min_val=1)

    def _augment(self, patches: Any) -> Any:
        columns_first = ops.transpose(self._move_rows(patches), (0, 2, 1, 3))
        return ops.transpose(self._move_rows(columns_first), (0, 2, 1, 3))

    def _move_rows(self, patches: Any) -> Any:
        """Move by whole rows, which is one copy of each."""
        n_patches, (height, width, channels) = ops.shape(patches)[0], patches.shape[1:]
        steps = ops.round(self._uniform((n_patches, 1), -self.pixels - 0.5, self.pixels + 0.5))
        steps = ops.clip(steps, -self.pixels, self.pixels)  # Either end is rounded beyond itself.
        last = height - 1
        # There and back again is one period of the rows, however far the patch moves.
        rows = (ops.arange(height)[None] + ops.cast(steps, "int32")) % max(2 * last, 1)
        mirrored = last - ops.abs(last - rows)
        places = mirrored + height * ops.arange(n_patches)[:, None]
        flat = ops.reshape(patches, (n_patches * height, width * channels))
        return ops.reshape(ops.take(flat, places, axis=0), (n_patches, height, width, channels))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "pixels": self.pixels}


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomZoom(RandomLayer):
    """Magnify or shrink each patch about its center; where nothing is, the patch is mirrored.

    Scanners differ a little in the size of a pixel, and cells in theirs.

    Parameters
    ----------
    factor : float, default=0.15
        The farthest it goes, above 0 and below 1: sides become 1 / (1 + factor) to 1 + factor
        times as long, as often shorter as longer. Large factors make labels wrong, as by them
        tissue moves into the 32 pixels in the center that decide, or out of them.
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Passed on to `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `factor` is not as documented.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomZoom
    >>> X = np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32)
    >>> np.asarray(RandomZoom(0.5, seed=0)(X, training=True)).shape
    (4, 8, 8, 3)
    """

    def __init__(self, factor: float = 0.15, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.factor = check_scalar(
            factor, "factor", Real, min_val=0, max_val=1, include_boundaries="neither"
        )
        self.supports_jit = current_framework().compiles_resampling

    def _augment(self, patches: Any) -> Any:
        height, width = patches.shape[1:3]
        farthest = math.log1p(self.factor)
        # A pixel of the output lies so many times as far from the center in the input.
        step = ops.exp(self._uniform((ops.shape(patches)[0],), -farthest, farthest))
        none = ops.zeros_like(step)
        down, right = (1 - step) * (height - 1) / 2, (1 - step) * (width - 1) / 2
        moves = ops.stack([step, none, right, none, step, down, none, none], axis=1)
        return ops.image.affine_transform(
            patches, moves, interpolation="bilinear", fill_mode="reflect"
        )

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "factor": self.factor}

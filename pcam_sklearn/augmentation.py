"""Augmentation as Keras layers: inside the graph, on the device, on while training alone."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.utils import check_scalar

__all__ = [
    "AUGMENTATIONS",
    "RandomD4",
    "RandomShift",
    "RandomStain",
    "build_augmentation",
    "check_test_time_augmentation",
    "d4_views",
]

# Optical densities of hematoxylin, eosin and a residual: Ruifrok and Johnston, 2001.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_DARKEST = 1 / 255


class _RandomLayer(keras.layers.Layer):
    """A layer with a random generator of its own, that does nothing but while training."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def call(self, patches: Any, training: bool | None = None) -> Any:
        """Return the patches, changed at random when `training`."""
        return self._augment(patches) if training else patches

    def _augment(self, patches: Any) -> Any:
        raise NotImplementedError

    def _uniform(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        return keras.random.uniform(shape, low, high, seed=self._generator)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomD4(_RandomLayer):
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
class RandomStain(_RandomLayer):
    """Vary how strongly each patch is stained, as laboratories and scanners do.

    In optical density, stains add up: each patch's amounts of hematoxylin, eosin and a residual
    are multiplied by ``1 + a`` and shifted by ``b``, with ``a`` drawn from -strength..strength and
    ``b`` from a fifth of that.

    Parameters
    ----------
    strength : float, default=0.4
        How far the amounts vary, in [0, 1).
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Passed on to `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `strength` is not as documented, or patches have other than three channels.

    References
    ----------
    The stains' colours: A. C. Ruifrok and D. A. Johnston, "Quantification of histochemical
    staining by color deconvolution", Analytical and Quantitative Cytology and Histology 23 (2001).
    The augmentation: D. Tellez et al., "Whole-slide mitosis detection in H&E breast histology",
    IEEE Transactions on Medical Imaging 37 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomStain
    >>> X = np.full((2, 8, 8, 3), 0.5, dtype=np.float32)
    >>> np.asarray(RandomStain(seed=0)(X, training=True)).shape
    (2, 8, 8, 3)
    """

    def __init__(self, strength: float = 0.4, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.strength = check_scalar(
            strength, "strength", Real, min_val=0, max_val=1, include_boundaries="left"
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the patches have colours."""
        if input_shape[3] != 3:
            raise ValueError(
                f"augment='stain' needs red, green and blue, got {input_shape[3]} channel(s); "
                "leave 'stain' out of augment."
            )
        super().build(input_shape)

    def _augment(self, patches: Any) -> Any:
        stains = ops.convert_to_tensor(_STAINS, patches.dtype)
        unmixed = ops.convert_to_tensor(np.linalg.inv(_STAINS), patches.dtype)
        shape = (ops.shape(patches)[0], 1, 3)
        scale = 1 + self._uniform(shape, -self.strength, self.strength)
        shift = self._uniform(shape, -self.strength / 5, self.strength / 5)
        density = -ops.log(ops.maximum(patches, _DARKEST))
        # One 3x3 matrix a patch: to stains, scaled, and back to colours.
        mixing = ops.matmul(unmixed * ops.cast(scale, patches.dtype), stains)
        pixels = ops.reshape(density, (shape[0], -1, 3))
        moved = ops.matmul(pixels, mixing) + ops.matmul(ops.cast(shift, patches.dtype), stains)
        return ops.reshape(ops.clip(ops.exp(-moved), 0, 1), ops.shape(patches))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "strength": self.strength}


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomShift(_RandomLayer):
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


AUGMENTATIONS: dict[str, Callable[..., keras.layers.Layer]] = {
    "d4": RandomD4,
    "shift": RandomShift,
    "stain": RandomStain,
}


def build_augmentation(
    augment: str | Sequence[str] | None, seed: int | None = None
) -> keras.Sequential | None:
    """Build the layers that augment patches while training.

    Parameters
    ----------
    augment : str, sequence of str, or None
        Names out of ``AUGMENTATIONS``: one, or several in their order. None is no augmentation.
    seed : int or None, default=None
        Seed of their random generators.

    Returns
    -------
    layers : keras.Sequential or None
        The layers, in the order in which they work.

    Raises
    ------
    ValueError
        If there is no augmentation of that name.

    Examples
    --------
    >>> from pcam_sklearn.augmentation import build_augmentation
    >>> [type(layer).__name__ for layer in build_augmentation(("d4", "stain")).layers]
    ['RandomD4', 'RandomStain']
    """
    if augment is None:
        return None
    names = [augment] if isinstance(augment, str) else augment
    known = (
        isinstance(names, (list, tuple))
        and len(names) > 0
        and all(isinstance(name, str) and name in AUGMENTATIONS for name in names)
    )
    if not known:
        raise ValueError(
            f"augment must be one of {sorted(AUGMENTATIONS)}, several of them as a tuple, or None; "
            f"got {augment!r}."
        )
    seeds = [None if seed is None else seed + i for i in range(len(names))]
    return keras.Sequential(
        [AUGMENTATIONS[name](seed=own) for name, own in zip(names, seeds, strict=True)]
    )


def d4_views(patches: np.ndarray) -> np.ndarray:
    """Return the 8 turned and mirrored views of each square patch.

    Parameters
    ----------
    patches : ndarray of shape (n_samples, side, side, channels)
        The patches.

    Returns
    -------
    views : ndarray of shape (8, n_samples, side, side, channels)
        The patches themselves first.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import d4_views
    >>> d4_views(np.arange(4).reshape(1, 2, 2, 1))[:, 0, 0, 0, 0]
    array([0, 2, 1, 3, 0, 1, 2, 3])
    """
    both = (patches, patches.swapaxes(1, 2))
    flips = (slice(None), slice(None, None, -1))
    return np.stack([view[:, up, left] for view in both for left in flips for up in flips])


def check_test_time_augmentation(views: str | None, shape: tuple[int, ...]) -> None:
    """Raise if patches cannot be averaged over these views.

    Parameters
    ----------
    views : {"d4"} or None
        The views; None is the patch alone.
    shape : tuple of int
        Shape of the patches.

    Raises
    ------
    ValueError
        If there are no such views, or the patches are not square.
    """
    if views not in ("d4", None):
        raise ValueError(f"test_time_augmentation must be 'd4' or None, got {views!r}.")
    if views and shape[1] != shape[2]:
        raise ValueError(
            f"The views of D4 need square patches, got {shape[1]}x{shape[2]}; cut them square "
            "with CenterCropNormalizer, or pass test_time_augmentation=None."
        )

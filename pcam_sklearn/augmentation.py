"""Augmentation as Keras layers: inside the graph, on the device, on while training alone."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

__all__ = ["AUGMENTATIONS", "RandomD4", "build_augmentation"]


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomD4(keras.layers.Layer):
    """Turn and mirror each square patch by one of the 8 symmetries of the square, at random.

    Tissue has no up or down, so the label stays the same; so do the pixels, which only move.

    Parameters
    ----------
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Passed on to `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomD4
    >>> X = np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32)
    >>> turned = np.asarray(RandomD4(seed=0)(X, training=True))
    >>> bool(np.allclose(turned.sum(axis=(1, 2)), X.sum(axis=(1, 2)), rtol=1e-5))
    True
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the patches are square, as transposing them keeps their shape only then."""
        if input_shape[1] != input_shape[2]:
            raise ValueError(
                f"augment='d4' needs square patches, got {input_shape[1]}x{input_shape[2]}; "
                "cut them square with CenterCropNormalizer, or pass augment=None."
            )
        super().build(input_shape)

    def call(self, patches: Any, training: bool | None = None) -> Any:
        """Return the patches, each in one of its 8 views when `training`."""
        if not training:
            return patches
        coins = keras.random.uniform((3, ops.shape(patches)[0], 1, 1, 1), seed=self._generator)
        transpose, mirror, flip = coins[0] < 0.5, coins[1] < 0.5, coins[2] < 0.5
        patches = ops.where(transpose, ops.transpose(patches, (0, 2, 1, 3)), patches)
        patches = ops.where(mirror, ops.flip(patches, axis=2), patches)
        return ops.where(flip, ops.flip(patches, axis=1), patches)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "seed": self.seed}


AUGMENTATIONS: dict[str, Callable[..., keras.layers.Layer]] = {"d4": RandomD4}


def build_augmentation(augment: str | None, seed: int | None = None) -> keras.layers.Layer | None:
    """Build the layer that augments patches while training.

    Parameters
    ----------
    augment : {"d4"} or None
        The name of the augmentation; None is no augmentation.
    seed : int or None, default=None
        Seed of its random generator.

    Returns
    -------
    layer : keras.layers.Layer or None
        The layer.

    Raises
    ------
    ValueError
        If there is no augmentation of that name.

    Examples
    --------
    >>> from pcam_sklearn.augmentation import build_augmentation
    >>> build_augmentation(None) is None
    True
    """
    if augment is None:
        return None
    if not isinstance(augment, str) or augment not in AUGMENTATIONS:
        raise ValueError(
            f"augment must be one of {sorted(AUGMENTATIONS)} or None, got {augment!r}."
        )
    return AUGMENTATIONS[augment](seed=seed)

"""Augmentation of colours as a camera sees them: hue, saturation, brightness, and none at all."""

from typing import Any

import keras
import numpy as np
from keras import ops

from pcam_sklearn._numbers import check_real
from pcam_sklearn.augmentation._random import RandomLayer

# Red, green and blue to luminance and two axes of chrominance: YIQ, of the NTSC standard of 1953.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_LUMINANCE = _YIQ[0]


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomColor(RandomLayer):
    """Vary hue, saturation and brightness of each patch.

    It goes beyond what stains do: it makes a network learn that colour tells little about tumour,
    which pays on slides from other laboratories. Chrominance turns about the axis of grey and is
    scaled, and luminance is shifted. All three are drawn per patch.

    Parameters
    ----------
    hue : float, default=0.15
        Largest turn in half circles, in [0, 1]: 0.15 is 27 degrees either way.
    saturation : float, default=0.15
        Largest change of the logarithm of the chrominance, at least 0.
    brightness : float, default=0.075
        Largest shift, in [0, 1], where 1 is the range from black to white.
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range than documented, or patches lack three channels.

    References
    ----------
    D. Tellez et al., "Quantifying the effects of data augmentation and stain color normalization in
    convolutional neural networks for computational pathology", Medical Image Analysis 58 (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomColor
    >>> grey = np.full((2, 8, 8, 3), 0.5, dtype=np.float32)
    >>> changed = np.asarray(RandomColor(brightness=0.0, seed=0)(grey, training=True))
    >>> bool(np.allclose(changed, grey))
    True
    """

    _of_colors = "color"

    def __init__(
        self,
        hue: float = 0.15,
        saturation: float = 0.15,
        brightness: float = 0.075,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.hue = check_real(hue, "hue", min_val=0, max_val=1)
        self.saturation = check_real(saturation, "saturation", min_val=0)
        self.brightness = check_real(brightness, "brightness", min_val=0, max_val=1)

    def _augment(self, patches: Any) -> Any:
        n = ops.shape(patches)[0]
        angle = np.pi * self._uniform((n,), -self.hue, self.hue)
        scale = ops.exp(self._uniform((n,), -self.saturation, self.saturation))
        shift = self._uniform((n, 1, 1, 1), -self.brightness, self.brightness)
        turn = _turn_chrominance(scale * ops.cos(angle), scale * ops.sin(angle))
        to_rgb, to_yiq = (ops.cast(m, turn.dtype) for m in (np.linalg.inv(_YIQ).T, _YIQ.T))
        changed = _mixed(patches, to_yiq @ turn @ to_rgb) + ops.cast(shift, patches.dtype)
        return ops.clip(changed, 0, 1)


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomGrayscale(RandomLayer):
    """Take the colours of some patches away, and leave their brightness.

    Parameters
    ----------
    share : float, default=0.2
        Probability for each patch, in [0, 1].
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `share` has another type or range than documented, or patches lack three channels.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomGrayscale
    >>> patches = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    >>> grey = np.asarray(RandomGrayscale(share=1.0, seed=0)(patches, training=True))
    >>> bool(np.allclose(grey[..., 0], grey[..., 2]))
    True
    """

    _of_colors = "grayscale"

    def __init__(self, share: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.share = check_real(share, "share", min_val=0, max_val=1)

    def _augment(self, patches: Any) -> Any:
        n = ops.shape(patches)[0]
        chosen = self._uniform((n, 1, 1), 0.0, 1.0) < self.share
        # One matrix per patch is quicker than a choice between two images.
        grey = np.repeat(_LUMINANCE[:, None], 3, axis=1)
        matrices = ops.where(chosen, ops.cast(grey, "float32"), ops.eye(3))
        return _mixed(patches, matrices)


def _turn_chrominance(cosine: Any, sine: Any) -> Any:
    """Return matrices of shape (n, 3, 3) that turn and scale the chrominance of rows (Y, I, Q)."""
    one, zero = ops.ones_like(cosine), ops.zeros_like(cosine)
    rows = [[one, zero, zero], [zero, cosine, sine], [zero, -sine, cosine]]
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)


def _mixed(patches: Any, matrices: Any) -> Any:
    """Return patches whose colours, as rows, are multiplied by one matrix per patch."""
    pixels = ops.reshape(patches, (ops.shape(patches)[0], -1, 3))
    mixed = ops.matmul(pixels, ops.cast(matrices, patches.dtype))
    return ops.reshape(mixed, ops.shape(patches))

"""Augmentation that changes colours and sharpness, and moves no pixel."""

from typing import Any

import keras
import numpy as np
from keras import ops

from pcam_sklearn._numbers import check_real
from pcam_sklearn.augmentation._random import DARKEST, RandomLayer

# Optical densities of hematoxylin, eosin and a residual: Ruifrok and Johnston, 2001.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomStain(RandomLayer):
    """Vary the strength of each patch's stains, which differs between laboratories and scanners.

    Stains add up in optical density. The amounts of hematoxylin, eosin and a residual are scaled
    by ``1 + a`` and shifted by ``b``. Both are drawn per patch and stain: ``a`` from -strength to
    strength, ``b`` from a fifth of that range.

    Parameters
    ----------
    strength : float, default=0.4
        Largest relative change of the amounts, in [0, 1).
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `strength` is not of the documented type and range, or patches lack three channels.

    References
    ----------
    A. C. Ruifrok and D. A. Johnston, "Quantification of histochemical staining by color
    deconvolution", Anal. Quant. Cytol. Histol. 23 (2001); D. Tellez et al., "Whole-slide mitosis
    detection in H&E breast histology", IEEE Trans. Medical Imaging 37 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomStain
    >>> tuple(RandomStain(seed=0)(np.full((2, 8, 8, 3), 0.5), training=True).shape)
    (2, 8, 8, 3)
    """

    _of_colors = "stain"

    def __init__(self, strength: float = 0.4, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.strength = check_real(
            strength, "strength", min_val=0, max_val=1, include_boundaries="left"
        )

    def _augment(self, patches: Any) -> Any:
        to_tensor = ops.convert_to_tensor
        stains, unmixed = (to_tensor(m, patches.dtype) for m in (_STAINS, np.linalg.inv(_STAINS)))
        shape = (ops.shape(patches)[0], 1, 3)
        scale = 1 + self._uniform(shape, -self.strength, self.strength)
        shift = self._uniform(shape, -self.strength / 5, self.strength / 5)
        density = -ops.log(ops.maximum(patches, DARKEST))
        # One 3x3 matrix per patch takes colours to stains, scales them and takes them back.
        mixing = ops.matmul(unmixed * ops.cast(scale, patches.dtype), stains)
        pixels = ops.reshape(density, (shape[0], -1, 3))
        moved = ops.matmul(pixels, mixing) + ops.matmul(ops.cast(shift, patches.dtype), stains)
        return ops.reshape(ops.clip(ops.exp(-moved), 0, 1), ops.shape(patches))


@keras.saving.register_keras_serializable("pcam_sklearn")
class RandomSharpness(RandomLayer):
    """Blur or sharpen each patch, as a scanner's focus and optics do.

    Each patch moves towards its own blurred copy or away from it. The share of the way is drawn
    per patch from -strength / 2 to strength. The blur is binomial, over 3 by 3 pixels.

    Parameters
    ----------
    strength : float, default=1.0
        Largest share of the way towards the blurred copy, in [0, 1]; half of it away from it.
    seed : int or None, default=None
        Seed of the layer's own random generator.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If `strength` has another type or range than documented.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import RandomSharpness
    >>> X = np.full((2, 8, 8, 3), 0.5, dtype=np.float32)
    >>> bool(np.allclose(np.asarray(RandomSharpness(seed=0)(X, training=True)), X))
    True
    """

    def __init__(self, strength: float = 1.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.strength = check_real(strength, "strength", min_val=0, max_val=1)

    def _augment(self, patches: Any) -> Any:
        # Mirrored borders keep the edges' brightness; zeros would darken them.
        framed = ops.pad(patches, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        # The binomial kernel is a product, so rows and columns of (1, 2, 1) give it.
        rows = framed[:, :-2] + 2 * framed[:, 1:-1] + framed[:, 2:]
        blurred = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 16
        shape = (ops.shape(patches)[0], 1, 1, 1)
        amount = ops.cast(self._uniform(shape, -self.strength / 2, self.strength), patches.dtype)
        return ops.clip(patches + amount * (blurred - patches), 0, 1)

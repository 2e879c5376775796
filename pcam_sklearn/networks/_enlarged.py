"""Patches enlarged inside a network."""

from numbers import Integral
from typing import Any

import keras
from keras import layers, ops
from sklearn.utils import check_scalar


@keras.saving.register_keras_serializable("pcam_sklearn")
class Enlargement(layers.Layer):
    """Bilinear interpolation to another size.

    `keras.layers.Resizing` does the same, but a network with it counts as in training wherever a
    call leaves `training` out.

    Parameters
    ----------
    height, width : int
        The size in pixels, at least 1.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range than documented.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.networks import Enlargement
    >>> tuple(Enlargement(4, 6)(np.zeros((1, 2, 3, 3), np.float32)).shape)
    (1, 4, 6, 3)
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = check_scalar(height, "height", Integral, min_val=1)
        self.width = check_scalar(width, "width", Integral, min_val=1)

    def call(self, x: Any) -> Any:
        """Return the enlarged patches."""
        return ops.image.resize(x, (self.height, self.width), data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the parameters that rebuild the layer."""
        return {**super().get_config(), "height": self.height, "width": self.width}

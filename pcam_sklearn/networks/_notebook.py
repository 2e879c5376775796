"""The plain network of the notebook from which this package grew."""

from collections.abc import Sequence
from numbers import Integral

import keras
from keras import layers
from sklearn.utils import check_scalar

from pcam_sklearn._numbers import check_real
from pcam_sklearn.networks._parts import check_filters

# The least side of a patch by the side of the third pooling.
_SMALLEST = {1: 18, 2: 22}


def notebook(
    input_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (32, 64, 128),
    third_pool: int = 1,
    dense_units: int = 128,
    dropout: float = 0.5,
) -> keras.Model:
    """Build the plain network of the notebook from which this package grew.

    Three convolutions, the first two followed by 2x2 max pooling, lead to one dense layer. With
    its defaults and 32x32 pixels it has 355,649 parameters, three quarters in the dense layer.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width (each at least 18 pixels) and channels of a patch.
    filters : sequence of 3 int, default=(32, 64, 128)
        Number of filters of each convolution.
    third_pool : {1, 2}, default=1
        Side of the third max pooling, in pixels; 1 keeps the resolution.
    dense_units : int, default=128
        Units of the dense layer.
    dropout : float, default=0.5
        Share of the dense layer's outputs dropped while training, in [0, 1).

    Returns
    -------
    network : keras.Model
        An uncompiled network from patches in [0, 1] to the probability of tumour, (n_samples, 1).

    Raises
    ------
    ValueError
        If `filters` does not hold three numbers, or a layer refuses its parameter.

    Examples
    --------
    >>> from pcam_sklearn.networks import notebook
    >>> notebook((32, 32, 3)).count_params()
    355649
    """
    check_filters(filters, "each of three convolutions", "(32, 64, 128)", count=3)
    check_scalar(dense_units, "dense_units", Integral, min_val=1)
    check_real(dropout, "dropout", min_val=0, max_val=1, include_boundaries="left")
    if third_pool not in (1, 2):
        raise ValueError(f"third_pool, the last pool_size, must be 1 or 2; got {third_pool!r}.")
    if min(input_shape[:2]) < (least := _SMALLEST[third_pool]):
        raise ValueError(f"its layers need {least} pixels; pass crop_size={least}..96.")
    stack = [keras.Input(input_shape)]
    for n_filters, pool in zip(filters, (2, 2, third_pool), strict=True):
        stack += [layers.Conv2D(n_filters, 3, activation="relu"), layers.MaxPooling2D(pool)]
    stack += [
        layers.Flatten(),
        layers.Dense(dense_units, activation="relu"),
        layers.Dropout(dropout),
        # 16 bits hold only three digits of a probability, so mixed precision ends before this.
        layers.Dense(1, activation="sigmoid", dtype="float32"),
    ]
    return keras.Sequential(stack, name="notebook")

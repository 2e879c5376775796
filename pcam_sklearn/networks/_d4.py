"""A network that gives a patch and its turned and mirrored views the same probability."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from pcam_sklearn.networks._d4_layers import D4Convolution, D4Normalization
from pcam_sklearn.networks._parts import pooled, probability, trunk


def _convolved(
    x: Any, filters: int, kernel_size: int, strides: int = 1, *, of_image: bool = False
) -> Any:
    # A stride of 2 keeps the windows symmetric only if kernel and side are both even or both odd.
    if strides == 2 and (kernel_size + x.shape[1]) % 2:
        kernel_size -= 1
    return D4Convolution(filters, kernel_size, strides, lifts=of_image)(x)


def d4(
    input_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (2, 4, 8, 12),
    blocks: int = 1,
    dropout: float = 0.2,
) -> keras.Model:
    """Build a residual network that gives all 8 views of a patch the same probability.

    Its convolutions run over the plane and the 8 symmetries of the square, and its pooling averages
    over the symmetries. So it learns each feature once, not eight times: it computes as much as
    `residual` with 8 times the filters, with an eighth of the parameters.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width (equal to the height) and channels of a patch.
    filters : sequence of int, default=(2, 4, 8, 12)
        Features per symmetry of the stem and of each stage.
    blocks : int, default=1
        Residual blocks per stage, at least 1.
    dropout : float, default=0.2
        Share of the pooled features dropped while training, in [0, 1).

    Returns
    -------
    network : keras.Model
        An uncompiled network from patches in [0, 1] to the probability of tumour, (n_samples, 1).

    Raises
    ------
    TypeError, ValueError
        If patches are not square, or a parameter has another type or range than documented.

    See Also
    --------
    D4Convolution : The layer, with its references.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.networks import d4
    >>> patch = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
    >>> probabilities = np.asarray(d4((32, 32, 3))(np.stack([patch, np.rot90(patch)])))
    >>> bool(abs(probabilities[0] - probabilities[1]) < 1e-5)
    True
    """
    if input_shape[0] != input_shape[1]:
        raise ValueError("it needs square patches; cut them square with CenterCropNormalizer.")
    inputs = keras.Input(input_shape)
    features = trunk(inputs, filters, blocks, _convolved, lambda x: D4Normalization()(x))
    # The 8 symmetries are the outer axis of the channels; their mean does not depend on the view.
    means = layers.Reshape((-1, 8, filters[-1]))(pooled(features, input_shape[:2]))
    invariant = layers.Flatten()(ops.mean(means, axis=2))
    return keras.Model(inputs, probability(invariant, dropout), name="d4")

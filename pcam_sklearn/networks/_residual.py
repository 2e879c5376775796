"""A compact residual network."""

from collections.abc import Sequence

import keras

from pcam_sklearn.networks._parts import convolved, normalized, pooled, probability, trunk


def residual(
    input_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (16, 32, 64, 96),
    blocks: int = 1,
    dropout: float = 0.2,
) -> keras.Model:
    """Build a compact residual network with batch normalization and global pooling.

    The stem halves the resolution of patches of 64 pixels and more; each stage of residual blocks
    halves it again. Features are averaged over the patch and, if it is larger, over the 32 pixels
    in the center, which decide the label. The parameters do not grow with the patch.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width and channels of a patch.
    filters : sequence of int, default=(16, 32, 64, 96)
        Filters of the stem and of each stage.
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
        If a parameter has another type or range than documented.

    References
    ----------
    K. He et al., "Deep residual learning for image recognition", CVPR 2016.

    Examples
    --------
    >>> from pcam_sklearn.networks import residual
    >>> residual((96, 96, 3), filters=(4, 8)).output_shape
    (None, 1)
    """
    inputs = keras.Input(input_shape)
    features = trunk(inputs, filters, blocks, convolved, normalized)
    output = probability(pooled(features, input_shape[:2]), dropout)
    return keras.Model(inputs, output, name="residual")

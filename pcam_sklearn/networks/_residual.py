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

    A stem, which halves the resolution of patches of 64 pixels and more, then stages of residual
    blocks, each of which halves it again. The features are averaged over all of the patch and,
    where it shows more than them, once more over the 32 pixels in its center that decide the
    label. With no dense layer on top of every place, its size does not grow with the patch.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width and channels of a patch.
    filters : sequence of int, default=(16, 32, 64, 96)
        Filters of the stem and of each stage.
    blocks : int, default=1
        Residual blocks a stage, at least 1.
    dropout : float, default=0.2
        Share of the pooled features dropped while training, in [0, 1).

    Returns
    -------
    network : keras.Model
        Uncompiled; from patches in [0, 1] to the probability of tumour, shape (n_samples, 1).

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as documented.

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

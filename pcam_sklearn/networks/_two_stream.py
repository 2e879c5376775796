"""A network that sees the labelled center in full and the whole patch at half resolution."""

from collections.abc import Sequence

import keras
from keras import layers

from pcam_sklearn.networks._parts import LABELLED, convolved, normalized, probability, trunk


def two_stream(
    input_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (16, 32, 48, 64),
    blocks: int = 1,
    dropout: float = 0.2,
) -> keras.Model:
    """Build two residual networks that share one probability.

    One sees the 32 pixels in the center, which decide the label, at full resolution; the other one
    the whole patch at half of it. On Kaggle's leaderboard the pair was the strongest single idea.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width (each at least 32 pixels) and channels of a patch.
    filters : sequence of int, default=(16, 32, 48, 64)
        Filters of the stem and of each stage, in both streams.
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
        If the patch is smaller than its center, or a parameter has another type or range.

    Examples
    --------
    >>> from pcam_sklearn.networks import two_stream
    >>> two_stream((96, 96, 3), filters=(4, 8)).output_shape
    (None, 1)
    """
    height, width = input_shape[:2]
    if min(height, width) < LABELLED:
        raise ValueError(f"its labelled center has {LABELLED} pixels; pass crop_size=32..96.")
    inputs = keras.Input(input_shape)
    # An odd pixel of the border goes to its far side, as in CenterCropNormalizer.
    border = [((side - LABELLED) // 2, (side - LABELLED + 1) // 2) for side in (height, width)]
    center = layers.Cropping2D(tuple(border))(inputs)
    context = layers.AveragePooling2D(2)(inputs)
    streams = [trunk(x, filters, blocks, convolved, normalized) for x in (center, context)]
    features = layers.Concatenate()([layers.GlobalAveragePooling2D()(x) for x in streams])
    return keras.Model(inputs, probability(features, dropout), name="two_stream")

"""What several networks are built of."""

from collections.abc import Callable, Sequence
from typing import Any

from keras import layers

LABELLED = 32  # A patch's label speaks of the 32 pixels in its center, at 96 pixels or less.
_FINE = 64  # From this size on the stem halves the resolution: cheap, and no worse.

Step = Callable[..., Any]


def convolved(
    x: Any, filters: int, kernel_size: int, strides: int = 1, *, of_image: bool = False
) -> Any:
    """Return a convolution of x; normalization follows, so that it needs no bias."""
    return layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False)(x)


def normalized(x: Any) -> Any:
    """Return x, batch-normalized."""
    return layers.BatchNormalization(momentum=0.9)(x)


def trunk(x: Any, filters: Sequence[int], blocks: int, convolve: Step, normalize: Step) -> Any:
    """Return the features of patches x: a stem, then stages of residual blocks.

    Every stage halves the resolution; the stem does so for large patches.
    """
    x = convolve(x, filters[0], 5, 2 if x.shape[1] >= _FINE else 1, of_image=True)
    x = layers.ReLU()(normalize(x))
    for n_filters in filters[1:]:
        x = layers.ReLU()(normalize(convolve(x, n_filters, 3, 2)))
        for _ in range(blocks):
            y = layers.ReLU()(normalize(convolve(x, n_filters, 3)))
            y = normalize(convolve(y, n_filters, 3))
            x = layers.ReLU()(layers.Add()([x, y]))
    return x


def pooled(x: Any, side: int) -> Any:
    """Return the means of the features over the patch, and over its labelled center.

    Parameters
    ----------
    x : keras tensor of shape (n_samples, height, width, channels)
        Features.
    side : int
        Side of the patch, in pixels.

    Returns
    -------
    features : keras tensor of shape (n_samples, channels) or (n_samples, 2 * channels)
        Only one mean where all of the patch is its center.
    """
    whole = layers.GlobalAveragePooling2D()(x)
    border = round(x.shape[1] * (1 - LABELLED / side) / 2)
    if border < 1:
        return whole
    center = layers.GlobalAveragePooling2D()(layers.Cropping2D(border)(x))
    return layers.Concatenate()([whole, center])


def probability(features: Any, dropout: float) -> Any:
    """Return one probability a patch."""
    return layers.Dense(1, activation="sigmoid")(layers.Dropout(dropout)(features))

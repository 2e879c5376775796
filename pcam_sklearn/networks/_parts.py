"""What several networks are built of."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from keras import layers
from sklearn.utils import check_scalar

LABELLED = 32  # A patch's label speaks of the 32 pixels in its center, at 96 pixels or less.
_FINE = 64  # From this size on the stem halves the resolution: cheap, and no worse.

Step = Callable[..., Any]


def convolved(
    x: Any, filters: int, kernel_size: int, strides: int = 1, *, of_image: bool = False
) -> Any:
    """Return a convolution of x; normalization follows, so that it needs no bias.

    Parameters
    ----------
    x : keras tensor of shape (n_samples, height, width, channels)
        Features, or an image.
    filters : int
        Number of filters.
    kernel_size : int
        Side of the kernel, in pixels.
    strides : int, default=1
        Step, in pixels.
    of_image : bool, default=False
        Whether x is an image; it makes no difference here, but to the steps of other networks.

    Returns
    -------
    features : keras tensor of shape (n_samples, ceil(height / strides), ..., filters)
        The features.
    """
    return layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False)(x)


def normalized(x: Any) -> Any:
    """Return x, batch-normalized; the shape stays."""
    return layers.BatchNormalization(momentum=0.9)(x)


def trunk(x: Any, filters: Sequence[int], blocks: int, convolve: Step, normalize: Step) -> Any:
    """Return the features of patches x: a stem, then stages of residual blocks.

    Every stage halves the resolution; the stem does so for large patches.

    Parameters
    ----------
    x : keras tensor of shape (n_samples, height, width, channels)
        Patches in [0, 1].
    filters : sequence of int
        Filters of the stem and of each stage.
    blocks : int
        Residual blocks a stage, at least 1.
    convolve, normalize : callable
        `convolved` and `normalized`, or what takes their place.

    Returns
    -------
    features : keras tensor of shape (n_samples, ..., channels)
        The features of the last stage.

    Raises
    ------
    TypeError, ValueError
        If `filters` or `blocks` is not as documented.
    """
    _check_stages(filters, blocks)
    x = convolve(x, filters[0], 5, 2 if x.shape[1] >= _FINE else 1, of_image=True)
    x = layers.ReLU()(normalize(x))
    for n_filters in filters[1:]:
        x = layers.ReLU()(normalize(convolve(x, n_filters, 3, 2)))
        for _ in range(blocks):
            y = layers.ReLU()(normalize(convolve(x, n_filters, 3)))
            y = normalize(convolve(y, n_filters, 3))
            x = layers.ReLU()(layers.Add()([x, y]))
    return x


def pooled(x: Any, sides: tuple[int, int]) -> Any:
    """Return the means of the features over the patch, and over its labelled center.

    Parameters
    ----------
    x : keras tensor of shape (n_samples, height, width, channels)
        Features.
    sides : tuple of int
        Height and width of the patch, in pixels.

    Returns
    -------
    features : keras tensor of shape (n_samples, channels) or (n_samples, 2 * channels)
        Only one mean where all of the patch is its center.
    """
    whole = layers.GlobalAveragePooling2D()(x)
    border = [_border(n, side) for n, side in zip(x.shape[1:3], sides, strict=True)]
    if not any(border):
        return whole
    center = layers.GlobalAveragePooling2D()(layers.Cropping2D(tuple(border))(x))
    return layers.Concatenate()([whole, center])


def probability(features: Any, dropout: float) -> Any:
    """Return one probability a patch.

    Parameters
    ----------
    features : keras tensor of shape (n_samples, n_features)
        The pooled features.
    dropout : float
        Share of them dropped while training, in [0, 1).

    Returns
    -------
    probability : keras tensor of shape (n_samples, 1)
        The probabilities.

    Raises
    ------
    TypeError, ValueError
        If `dropout` is not as documented.
    """
    check_scalar(dropout, "dropout", Real, min_val=0, max_val=1, include_boundaries="left")
    # In 16 bits there are no more than three digits of a probability.
    output = layers.Dense(1, activation="sigmoid", dtype="float32")
    return output(layers.Dropout(dropout)(features))


def _check_stages(filters: Sequence[int], blocks: int) -> None:
    counts = np.ndim(filters) == 1 and all(isinstance(n, Integral) and n > 0 for n in filters)
    if not counts or len(filters) == 0:
        raise ValueError(
            "filters must hold a whole number of 1 or more for the stem and for each stage, such "
            f"as (16, 32, 64); got {filters!r}."
        )
    check_scalar(blocks, "blocks", Integral, min_val=1)


def _border(n: int, side: int) -> int:
    """Return how many of n features a row lie on either side of those of the labelled center."""
    return min(max(round(n * (1 - LABELLED / side) / 2), 0), (n - 1) // 2)

"""Building blocks that several networks share."""

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from keras import layers, ops
from sklearn.utils import check_scalar

from pcam_sklearn._numbers import check_real
from pcam_sklearn.networks._normalized import BatchNormalization

# A patch is labelled by the 32 pixels in its center; crops from it keep that center.
LABELLED = 32
# From this side on the stem halves the resolution: that is cheaper and no less accurate.
_STEM_HALVES_FROM = 64

Step = Callable[..., Any]


def convolved(
    x: Any, filters: int, kernel_size: int, strides: int = 1, *, of_image: bool = False
) -> Any:
    """Convolve x; only convolutions of other networks treat an image differently (`of_image`)."""
    # Normalization follows and subtracts the mean, so a bias would have no effect.
    return layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False)(x)


def normalized(x: Any) -> Any:
    """Normalize x by batch."""
    # Keras' default of .99 averages over a hundred steps or so, too slow for short fits.
    return BatchNormalization(momentum=0.9)(x)


def trunk(x: Any, filters: Sequence[int], blocks: int, convolve: Step, normalize: Step) -> Any:
    """Return the features of patches x: a stem, then stages that halve the resolution each."""
    check_filters(filters, "the stem and for each stage", "(16, 32, 64)")
    check_scalar(blocks, "blocks", Integral, min_val=1)
    x = convolve(x, filters[0], 5, 2 if x.shape[1] >= _STEM_HALVES_FROM else 1, of_image=True)
    x = layers.ReLU()(normalize(x))
    for n_filters in filters[1:]:
        x = layers.ReLU()(normalize(convolve(x, n_filters, 3, 2)))
        for _ in range(blocks):
            y = layers.ReLU()(normalize(convolve(x, n_filters, 3)))
            y = normalize(convolve(y, n_filters, 3))
            x = layers.ReLU()(layers.Add()([x, y]))
    return x


def pooled(x: Any, sides: tuple[int, int]) -> Any:
    """Return features averaged over a patch of these sides and, if smaller, over its center."""
    height, width, n_features = x.shape[1:]
    rows, columns = (_border(n, side) for n, side in zip((height, width), sides, strict=True))
    if not rows and not columns:
        return layers.GlobalAveragePooling2D()(x)
    shares = np.zeros((2, height, width), np.float32)
    shares[0] = 1 / (height * width)
    center = shares[1, rows : height - rows, columns : width - columns]
    center[:] = 1 / center.size
    # One product for both: TensorFlow adds the gradients of three or more uses of x in any order.
    pixels = layers.Reshape((-1, n_features))(x)
    return layers.Flatten()(ops.matmul(shares.reshape(2, -1), pixels))


def probability(features: Any, dropout: float) -> Any:
    """Return one probability per patch."""
    check_real(dropout, "dropout", min_val=0, max_val=1, include_boundaries="left")
    # 16 bits hold only three digits of a probability, so mixed precision ends before this layer.
    output = layers.Dense(1, activation="sigmoid", dtype="float32")
    return output(layers.Dropout(dropout)(features))


def check_filters(
    filters: Sequence[int], places: str, example: str, count: int | None = None
) -> None:
    """Raise ValueError if these are not numbers of filters, or not `count` of them."""
    enough = np.ndim(filters) == 1 and (len(filters) == count if count else len(filters) > 0)
    if not enough or not all(isinstance(n, Integral) and n > 0 for n in filters):
        raise ValueError(
            f"filters must hold a whole number of at least 1 for {places}, such as {example}; got "
            f"{filters!r}."
        )


def _border(n: int, side: int) -> int:
    """Return the features on either side of the labelled center, out of n per row."""
    # Small patches have no border, and at least one feature in the center stays.
    return min(max(round(n * (1 - LABELLED / side) / 2), 0), (n - 1) // 2)

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
    """Build it."""
    inputs = keras.Input(input_shape)
    features = trunk(inputs, filters, blocks, convolved, normalized)
    output = probability(pooled(features, input_shape[0]), dropout)
    return keras.Model(inputs, output, name="residual")

"""The recipe of training: the loss, the optimizer and its learning rate, by name."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from sklearn.utils import check_scalar

from pcam_sklearn._training._keras_parts import recreate

SCHEDULES = ("constant", "cosine")
DTYPE_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def check_recipe(classifier: Any) -> None:
    """Raise TypeError or ValueError for a parameter that is not as `CNNClassifier` documents it."""
    if classifier.schedule not in SCHEDULES:
        allowed = f"one of {list(SCHEDULES)}"
        raise ValueError(f"schedule must be {allowed}, got {classifier.schedule!r}.")
    names = ["warmup", "label_smoothing"]
    if classifier.weight_averaging is not None:
        names.append("weight_averaging")
    for name in names:
        share = getattr(classifier, name)
        check_scalar(share, name, (int, float), min_val=0, max_val=1, include_boundaries="left")
    if classifier.dtype_policy not in (None, *DTYPE_POLICIES):
        raise ValueError(
            f"dtype_policy must be one of {list(DTYPE_POLICIES)}, or None for Keras' own; "
            f"got {classifier.dtype_policy!r}."
        )


@contextlib.contextmanager
def layers_under(dtype_policy: str | None) -> Iterator[None]:
    """Build layers under a dtype policy, None for Keras' own, and put Keras' own back."""
    own = keras.config.dtype_policy()
    if dtype_policy is not None:
        keras.config.set_dtype_policy(dtype_policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(own)


def smooth_labels(loss: Any, label_smoothing: float) -> Any:
    """Return the loss with its labels moved from 0 and 1 towards one half.

    A smoothing of 0.1 makes the labels 0.05 and 0.95. Only the binary cross-entropy of Keras can be
    smoothed; any other loss raises ValueError.
    """
    if not label_smoothing:
        return loss
    if loss not in ("binary_crossentropy", keras.losses.binary_crossentropy):
        raise ValueError(
            f"label_smoothing={label_smoothing} needs loss='binary_crossentropy', got "
            f"{getattr(loss, '__name__', loss)!r}; pass label_smoothing=0."
        )
    return keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing)


def average_weights(
    optimizer: keras.optimizers.Optimizer, momentum: float | None
) -> keras.optimizers.Optimizer:
    """Return a new optimizer that also keeps a running average of the weights.

    `momentum` is that of the average, per step. None returns the optimizer itself.
    """
    if momentum is None:
        return optimizer
    return recreate(optimizer, use_ema=True, ema_momentum=momentum)


@dataclass(frozen=True)
class Rate:
    """The learning rate by epoch, as a share of the highest one.

    `start` is the first epoch, counted from 0. `warmup` is the share of the epochs in which the
    rate rises.
    """

    schedule: str
    start: int
    epochs: int
    warmup: float

    def __call__(self, epoch: int) -> float:
        """Return the share in the middle of an epoch."""
        done = (epoch - self.start + 0.5) / self.epochs
        if done < self.warmup:
            return done / self.warmup
        rest = (done - self.warmup) / (1 - self.warmup)
        return (1 + math.cos(math.pi * rest)) / 2

"""The recipe of training: the loss, the optimizer and its learning rate, by name."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import keras
import numpy as np
from sklearn.utils import check_scalar

from pcam_sklearn._numbers import check_real
from pcam_sklearn._training._keras_parts import recreate
from pcam_sklearn.augmentation._by_name import check_augment

SCHEDULES = ("constant", "cosine")
MONITOR_MODES = ("auto", "min", "max")
LONGEST_WARMUP = 10  # epochs; a share of 10,000 epochs would train nothing for a long time
DTYPE_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")

_COUNTS = (
    "epochs", "batch_size", "n_iter_no_change", "fit__epochs", "fit__batch_size",
    "predict__batch_size",
)  # fmt: skip
_SHARE = {"min_val": 0, "max_val": 1, "include_boundaries": "left"}


def check_recipe(classifier: Any) -> None:
    """Raise TypeError or ValueError for a parameter that is not as `CNNClassifier` documents it."""
    _check_numbers(classifier)
    check_augment(classifier.augment)
    for name, allowed in (("schedule", SCHEDULES), ("monitor_mode", MONITOR_MODES)):
        if (value := getattr(classifier, name)) not in allowed:
            raise ValueError(f"{name} must be one of {list(allowed)}, got {value!r}.")
    names = ["warmup", "label_smoothing"]
    if classifier.weight_averaging is not None:
        names.append("weight_averaging")
    for name in names:
        check_real(getattr(classifier, name), name, **_SHARE)
    if classifier.dtype_policy not in (None, *DTYPE_POLICIES):
        raise ValueError(
            f"dtype_policy must be one of {list(DTYPE_POLICIES)}, or None for Keras' own; "
            f"got {classifier.dtype_policy!r}."
        )
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Patches have their channels last, and keras.config.image_data_format() is "
            f"{keras.config.image_data_format()!r}; call "
            "keras.config.set_image_data_format('channels_last') before fit."
        )


def _check_numbers(classifier: Any) -> None:
    for name in filter(vars(classifier).__contains__, _COUNTS):
        check_scalar(getattr(classifier, name), name, Integral, min_val=1)
    for name in ("early_stopping", "warm_start"):
        # "no" would count as yes.
        check_scalar(getattr(classifier, name), name, (bool, np.bool_))
    if np.ndim(classifier.verbose) or classifier.verbose not in (0, 1, 2, "auto"):
        raise ValueError(f"verbose must be 0, 1, 2 or 'auto'; got {classifier.verbose!r}.")
    check_real(classifier.validation_fraction, "validation_fraction", **_SHARE)
    if classifier.early_stopping and not classifier.validation_fraction:
        raise ValueError(
            "early_stopping=True needs patches to watch, but validation_fraction is 0; "
            "pass validation_fraction=0.1, or early_stopping=False."
        )
    if classifier.learning_rate is not None:
        above_0 = {"min_val": 0, "include_boundaries": "neither"}
        check_real(classifier.learning_rate, "learning_rate", **above_0)


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
    given = keras.losses.get(loss)
    if given is keras.losses.binary_crossentropy:
        given = keras.losses.BinaryCrossentropy()
    config = given.get_config() if type(given) is keras.losses.BinaryCrossentropy else {}
    # One with a smoothing of its own must not silently get another.
    if config.get("label_smoothing") != 0:
        raise ValueError(
            f"label_smoothing={label_smoothing} needs loss='binary_crossentropy', got "
            f"{getattr(loss, '__name__', loss)!r}; pass label_smoothing=0."
        )
    return type(given).from_config({**config, "label_smoothing": label_smoothing})


def check_loss(loss: Any) -> None:
    """Raise ValueError for a loss that does not tell a right probability from a wrong one.

    Such are the losses for several outputs: with one output some are always 0.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # Keras' own doubts, said here.
            right, *wrong = [_mean_loss(loss, p) for p in ((0.9, 0.1), (0.9, 0.9), (0.1, 0.1))]
        fault = None if right < min(wrong) else "is as small for wrong probabilities as for right"
    except Exception as error:  # Each framework raises errors of its own.
        fault = f"cannot be computed ({type(error).__name__}: {error})"
    if fault:
        raise ValueError(
            f"loss={getattr(loss, '__name__', loss)!r} {fault}: it must take one probability per "
            "patch, not one per class; pass loss='binary_crossentropy'."
        )


def _mean_loss(loss: Any, probabilities: tuple[float, float]) -> float:
    """Return the loss of two patches, the first of the positive class."""
    labels = np.array([[1], [0]], dtype=np.float32)
    values = keras.losses.get(loss)(labels, np.array(probabilities, dtype=np.float32)[:, None])
    return float(np.mean(keras.ops.convert_to_numpy(values)))


def warn_of_long_average(momentum: float | None, n_steps: int) -> None:
    """Warn if a fit takes so few steps that averaged weights stay near the first ones."""
    if momentum is not None and n_steps and momentum**n_steps > 0.75:
        warnings.warn(
            f"weight_averaging={momentum} averages about {1 / (1 - momentum):,.0f} steps, but this "
            f"fit takes {n_steps:,}, so it ends near the weights that it began with; pass a "
            "smaller weight_averaging, or more epochs.",
            stacklevel=2,
        )


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
    rate rises, at most `LONGEST_WARMUP` of them.
    """

    schedule: str
    start: int
    epochs: int
    warmup: float

    @property
    def rise(self) -> float:
        """The share of the epochs in which the rate rises."""
        if self.schedule == "constant" or not self.epochs:
            return 0.0
        return min(float(self.warmup), LONGEST_WARMUP / self.epochs)

    @property
    def top(self) -> int:
        """The first epoch after the rise."""
        return self.start + math.ceil(self.rise * self.epochs)

    def __call__(self, epoch: int) -> float:
        """Return the share in the middle of an epoch."""
        done = (epoch - self.start + 0.5) / self.epochs
        if done < self.rise:
            return done / self.rise
        rest = (done - self.rise) / (1 - self.rise)
        return (1 + math.cos(math.pi * rest)) / 2

"""How a network is trained: the loss, the optimizer and its learning rate, by name."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from sklearn.utils import check_scalar

SCHEDULES = ("constant", "cosine")
DTYPE_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
_SETS_THE_RATE = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


def check_recipe(
    schedule: str,
    warmup: float,
    label_smoothing: float,
    weight_averaging: float | None,
    dtype_policy: str | None,
) -> None:
    """Raise if a parameter of the recipe is not as `CNNClassifier` documents it.

    Parameters
    ----------
    schedule, warmup, label_smoothing, weight_averaging, dtype_policy
        As in `CNNClassifier`.

    Raises
    ------
    TypeError, ValueError
        For the first parameter that is not.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {list(SCHEDULES)}, got {schedule!r}.")
    check_scalar(warmup, "warmup", (int, float), min_val=0, max_val=1, include_boundaries="left")
    check_scalar(
        label_smoothing, "label_smoothing", (int, float),
        min_val=0, max_val=1, include_boundaries="left",
    )  # fmt: skip
    if weight_averaging is not None:
        check_scalar(
            weight_averaging, "weight_averaging", (int, float),
            min_val=0, max_val=1, include_boundaries="left",
        )  # fmt: skip
    if dtype_policy is not None and dtype_policy not in DTYPE_POLICIES:
        raise ValueError(
            f"dtype_policy must be one of {list(DTYPE_POLICIES)}, or None for Keras' own; "
            f"got {dtype_policy!r}."
        )


@contextlib.contextmanager
def layers_of(dtype_policy: str | None) -> Iterator[None]:
    """Build layers by a dtype policy, and put Keras' own back.

    Parameters
    ----------
    dtype_policy : str or None
        Its name; None is Keras' own.
    """
    own = keras.config.dtype_policy()
    if dtype_policy is not None:
        keras.config.set_dtype_policy(dtype_policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(own)


def smoothed(loss: Any, label_smoothing: float) -> Any:
    """Return the loss with labels moved from 0 and 1 towards one half.

    Parameters
    ----------
    loss : str, loss or function
        The loss.
    label_smoothing : float
        How far: 0.1 makes the labels 0.05 and 0.95.

    Returns
    -------
    loss : str, loss or function
        The loss itself where nothing is smoothed.

    Raises
    ------
    ValueError
        If labels are to be smoothed in another loss than Keras' function for the binary
        cross-entropy, or its name.
    """
    if not label_smoothing:
        return loss
    if loss not in ("binary_crossentropy", keras.losses.binary_crossentropy):
        raise ValueError(
            f"label_smoothing={label_smoothing} needs loss='binary_crossentropy', got "
            f"{getattr(loss, '__name__', loss)!r}; pass label_smoothing=0."
        )
    return keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing)


def averaging(optimizer: keras.optimizers.Optimizer, momentum: float | None) -> Any:
    """Return the optimizer, leaving behind a running average of the weights.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
        The optimizer, not built.
    momentum : float or None
        Of the average, a step; None is the optimizer as it is.

    Returns
    -------
    optimizer : keras.optimizers.Optimizer
        A new one where `momentum` is given.
    """
    if momentum is None:
        return optimizer
    config = {**optimizer.get_config(), "use_ema": True, "ema_momentum": momentum}
    return type(optimizer).from_config(config)


@dataclass(frozen=True)
class Rate:
    """The course of the learning rate, as a share of the highest one, by epoch.

    Parameters
    ----------
    schedule : {"constant", "cosine"}
        Its name.
    start, epochs : int
        The first epoch, counted from 0, and the number of epochs.
    warmup : float
        Share of the epochs in which the rate rises.
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


class _SetRate(keras.callbacks.Callback):
    """Set the optimizer's learning rate each epoch, and give it back its own at the end."""

    def __init__(self, rate: Rate) -> None:
        super().__init__()
        self._rate = rate
        self._highest = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Note the highest rate."""
        self._highest = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the rate."""
        self.model.optimizer.learning_rate = self._highest * self._rate(epoch)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Give the highest rate back, for a training that goes on."""
        self.model.optimizer.learning_rate = self._highest


class _Average(keras.callbacks.SwapEMAWeights):
    """Put the averaged weights in the network's place wherever they are looked at."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Let the average start from the weights, which may be those of an earlier, better epoch.

        A first average starts from the first step whatever stands there.
        """
        variables = self.model.optimizer.variables
        averages = [variable for variable in variables if variable.path.endswith("_average")]
        if averages:  # There are none before the optimizer has met the weights.
            for average, weight in zip(averages, self.model.trainable_variables, strict=True):
                # A copy: JAX does not train variables that share their memory.
                average.assign(np.array(keras.ops.convert_to_numpy(weight)))


def own_callbacks(
    rate: Rate,
    optimizer: keras.optimizers.Optimizer,
    callbacks: Sequence[keras.callbacks.Callback],
    keeps_best: bool,
) -> list[keras.callbacks.Callback]:
    """Return the callbacks by which the recipe works.

    Parameters
    ----------
    rate : Rate
        The learning rate's course; an optimizer that brings a schedule of its own keeps that.
    optimizer : keras.optimizers.Optimizer
        The optimizer.
    callbacks : sequence of keras.callbacks.Callback
        The user's callbacks.
    keeps_best : bool
        Whether the weights of the best epoch are kept: they have to be the averaged ones.

    Returns
    -------
    callbacks : list of keras.callbacks.Callback
        At most two.

    Raises
    ------
    ValueError
        If one of the user's callbacks sets the learning rate too.
    """
    own: list[keras.callbacks.Callback] = []
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # Of one that scales the loss.
    brings_its_own = isinstance(optimizer.get_config()["learning_rate"], dict)
    if rate.schedule != "constant" and not brings_its_own:
        for rival in callbacks:
            if isinstance(rival, _SETS_THE_RATE):
                raise ValueError(
                    f"schedule={rate.schedule!r} and the callback {type(rival).__name__} would "
                    "both set the learning rate; pass schedule='constant', or no such callback."
                )
        own.append(_SetRate(rate))
    if optimizer.use_ema:
        own.append(_Average(swap_on_epoch=keeps_best))
    return own

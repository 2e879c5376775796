"""All callbacks of a training, and the one order in which Keras calls them."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from pcam_sklearn._training._data import Batches
from pcam_sklearn._training._history import Record, to_number
from pcam_sklearn._training._recipe import Rate
from pcam_sklearn._training._weights import assign_values, copy_values

_SETS_THE_RATE = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)

Callbacks = list[keras.callbacks.Callback]


def order_callbacks(
    shuffle: keras.callbacks.Callback,
    tasks: keras.callbacks.Callback | None,
    users: Callbacks,
    recipe: Callbacks,
    progress: Callbacks,
    stopper: keras.callbacks.Callback | None,
    record: Record,
    saver: Any = None,
) -> Callbacks:
    """Return all callbacks in the order in which Keras calls them."""
    possible = [
        # The order of the rows is read when the epoch begins, right after these calls.
        shuffle,
        # Tasks look at weights as they were trained, before `recipe` swaps averaged ones in.
        tasks,
        # The user's come before the recipe, whose learning rate then is the one that counts.
        *users,
        *recipe,
        # The line tells what all the others have made of the epoch.
        *progress,
        # The best weights to keep are those that the recipe has put in place.
        stopper,
        # It takes what all the others have put among the values of the epoch.
        record,
    ]
    callbacks = [callback for callback in possible if callback is not None]
    if saver is None:
        return callbacks
    # Last: it saves what all the others have noted, and gives it back to them in the beginning.
    # The line of progress belongs to the process, and the record to the epochs that it trains.
    saver.others = [c for c in callbacks if c not in (*progress, record)]
    return [*callbacks, saver]


def recipe_callbacks(
    rate: Rate,
    optimizer: keras.optimizers.Optimizer,
    users: Sequence[keras.callbacks.Callback],
    *,
    keeps_best: bool,
) -> Callbacks:
    """Return the callbacks that set the learning rate and average the weights, as far as needed.

    An optimizer with a schedule of its own keeps that. One of the user's callbacks that sets the
    rate as well is a ValueError. `keeps_best` says that the weights of the best epoch are kept,
    which then have to be averaged ones.
    """
    callbacks: Callbacks = []
    # An optimizer that scales the loss has the one that trains inside.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    has_schedule = isinstance(optimizer.get_config()["learning_rate"], dict)
    if rate.schedule != "constant" and not has_schedule:
        for callback in users:
            if isinstance(callback, _SETS_THE_RATE):
                raise ValueError(
                    f"schedule={rate.schedule!r} and the callback {type(callback).__name__} would "
                    "both set the learning rate; pass schedule='constant', or no such callback."
                )
        callbacks.append(SetRate(rate))
    if optimizer.use_ema:
        callbacks.append(AverageWeights(swap_on_epoch=keeps_best))
    return callbacks


class Shuffle(keras.callbacks.Callback):
    """Shuffle the rows of the batches before each epoch."""

    def __init__(self, batches: Batches, rng: np.random.Generator) -> None:
        super().__init__()
        self.batches = batches
        self.rng = rng

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Draw a new order."""
        self.batches.shuffle(self.rng)


class SetRate(keras.callbacks.Callback):
    """Set the optimizer's learning rate for each epoch, and restore its own at the end."""

    def __init__(self, rate: Rate) -> None:
        super().__init__()
        self._rate = rate
        self._highest = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Note the highest rate."""
        self._highest = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Set the rate of the epoch."""
        self.model.optimizer.learning_rate = self._highest * self._rate(epoch)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Restore the highest rate, for a training that resumes this one."""
        self.model.optimizer.learning_rate = self._highest


class AverageWeights(keras.callbacks.SwapEMAWeights):
    """Put the averaged weights in place wherever the network is looked at."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Let the average start from the present weights, such as those of an earlier best epoch.

        The average of a first fit starts from its first step whatever stands here.
        """
        variables = self.model.optimizer.variables
        averages = [variable for variable in variables if variable.path.endswith("_average")]
        if averages:  # The optimizer has none before it has met the weights.
            assign_values(averages, copy_values(self.model.trainable_variables))


class BestEpoch(keras.callbacks.EarlyStopping):
    """Early stopping that waits while the rate rises, and that refuses what it cannot watch."""

    def __init__(self, monitor: str, mode: str, patience: int, patient_until: int) -> None:
        super().__init__(monitor, mode=mode, patience=patience, restore_best_weights=True)
        self._patient_until = patient_until

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the epoch with the best one, where held-out patches were looked at."""
        followed = sorted(logs or {})
        if self.monitor in followed:
            if epoch < self._patient_until:
                self.wait = -1  # Keras counts up from here.
            self._watch(epoch, logs or {})
        # With fit__validation_freq an epoch may have no values of held-out patches.
        elif any(name.startswith("val_") for name in followed):
            raise ValueError(
                f"monitor={self.monitor!r} is not followed; this training follows {followed}. "
                "Pass one of these as monitor, or what it measures in metrics."
            )

    def _watch(self, epoch: int, logs: dict[str, Any]) -> None:
        n_values = np.size(logs[self.monitor])
        if n_values != 1:
            raise ValueError(
                f"monitor={self.monitor!r} has {n_values} values per epoch; pass one that has one."
            )
        try:
            super().on_epoch_end(epoch, {**logs, self.monitor: to_number(logs[self.monitor])})
        except ValueError as error:
            raise ValueError(
                f"monitor={self.monitor!r}: Keras does not know whether it should rise or fall; "
                "pass monitor_mode='max' or monitor_mode='min'."
            ) from error


def find_best_epoch(callbacks: Sequence[keras.callbacks.Callback | None]) -> int | None:
    """Return the epoch, from 1, whose weights a callback has restored in the end, or None."""
    stoppers = [cb for cb in callbacks if isinstance(cb, keras.callbacks.EarlyStopping)]
    restored = [cb for cb in stoppers if cb.restore_best_weights and cb.best_weights is not None]
    return restored[-1].best_epoch + 1 if restored else None

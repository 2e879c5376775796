"""The history of a training: a value of each metric for each epoch."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

History = Mapping[str, list[Any]]


class Record(keras.callbacks.Callback):
    """Record the values of each epoch in `history`, of which all rows have one length."""

    def __init__(self) -> None:
        super().__init__()
        self.history: History = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the values of the epoch."""
        self.history = add_epoch(self.history, logs)


def add_epoch(history: History, logs: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    """Return a history that goes on with the values of an epoch."""
    values = {name: [to_number(value)] for name, value in (logs or {}).items()}
    return join_histories(history, values)


def join_histories(earlier: History, later: History) -> dict[str, list[Any]]:
    """Return one history of two trainings, one after the other; NaN stands for no value."""
    gaps = [[math.nan] * max(map(len, part.values()), default=0) for part in (earlier, later)]
    return {
        name: [*earlier.get(name, gaps[0]), *later.get(name, gaps[1])]
        for name in {**earlier, **later}
    }


def values_by_epoch(history: History) -> list[dict[str, Any]]:
    """Return the values that each epoch has."""
    rows = zip(*history.values(), strict=True)
    # NaN equals nothing, not even itself.
    return [{k: v for k, v in zip(history, row, strict=True) if v == v} for row in rows]


def to_number(value: Any) -> Any:
    """Return a metric's value for an epoch as a number, or as a list where it has several."""
    values = np.asarray(keras.ops.convert_to_numpy(value), dtype=float)
    return values.item() if values.size == 1 else values.tolist()

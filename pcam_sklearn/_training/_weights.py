"""The values of a network's variables: copied, put back, averaged."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import ops


def copy_values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Return copies of the values of variables."""
    return [np.array(ops.convert_to_numpy(variable), copy=True) for variable in variables]


def assign_values(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def separate_memory(variables: Sequence[keras.Variable]) -> None:
    """Give each variable memory of its own.

    On JAX averaged weights share that of their averages, which is gone once the network predicts.
    """
    assign_values(variables, copy_values(variables))


@contextlib.contextmanager
def restored_on_error(trainer: keras.Model) -> Iterator[None]:
    """Put the variables back if training fails: the network may have been trained before."""
    variables = [*trainer.variables, *trainer.optimizer.variables]
    values = copy_values(variables)
    try:
        yield
    except BaseException:
        assign_values(variables, values)
        raise


@contextlib.contextmanager
def final_weights(trainer: keras.Model) -> Iterator[None]:
    """Give the network the weights it would have if training ended now, such as averaged ones."""
    variables = trainer.trainable_variables
    values = copy_values(variables)
    trainer.optimizer.finalize_variable_values(variables)
    separate_memory(variables)
    try:
        yield
    finally:
        assign_values(variables, values)

"""The values of a network's variables: copied, named, put back, averaged."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
from keras import ops

from pcam_sklearn.networks._variable_names import name_variables


def copy_values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Return copies of the values of variables."""
    return [np.array(ops.convert_to_numpy(variable), copy=True) for variable in variables]


def assign_values(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def named_values(variables: Sequence[keras.Variable]) -> dict[str, np.ndarray]:
    """Return copies of the values of variables, by names that are the same in each process."""
    return dict(zip(name_variables(variables), copy_values(variables), strict=True))


def named_shapes(variables: Sequence[keras.Variable]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of variables, by the names of `named_values`."""
    return {
        name: tuple(v.shape) for name, v in zip(name_variables(variables), variables, strict=True)
    }


def assign_named(
    variables: Sequence[keras.Variable], values: Mapping[str, np.ndarray], owner: str
) -> None:
    """Give variables the values of `named_values`, or raise ValueError if these are of others.

    `owner` stands in the message for what the variables belong to.
    """
    wanted = named_shapes(variables)
    found = {name: np.shape(value) for name, value in values.items()}
    if wanted != found:
        different = sorted(wanted.items() ^ found.items())
        raise ValueError(
            f"{owner} is not the one whose values were saved; the first difference is at "
            f"{different[0][0]!r}: {wanted.get(different[0][0], 'nothing')} wanted, "
            f"{found.get(different[0][0], 'nothing')} found. Did its function change since?"
        )
    assign_values(variables, [values[name] for name in name_variables(variables)])


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

"""How a network is trained: its trainer, Keras' fit, and what is undone if that fails."""

import contextlib
import logging
import random
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pcam_sklearn._training._data import Batches, Shuffle, TrainingSet
from pcam_sklearn._training._model import PatchModel
from pcam_sklearn._training._progress import followed
from pcam_sklearn._training._recipe import layers_of
from pcam_sklearn.augmentation import build_augmentation


def allow_memory_growth() -> None:
    """Let TensorFlow take a GPU's memory as it needs it, instead of the whole card at once.

    Has no effect where TensorFlow is not Keras' backend, or already runs on the GPU.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # The program already started the card, in the way it chose.
            return


class BestEpoch(keras.callbacks.EarlyStopping):
    """Early stopping that watches nothing else than what training follows."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compare the epoch with the best one, if the held-out patches were looked at."""
        followed = sorted(logs or {})
        if self.monitor in followed:
            super().on_epoch_end(epoch, logs)
        elif any(name.startswith("val_") for name in followed):
            raise ValueError(
                f"monitor={self.monitor!r} is not followed; this training follows {followed}. "
                "Pass one of these as monitor, or what it measures in metrics."
            )


def make_trainer(
    network: keras.Model, augment: Any, compile_parameters: dict[str, Any]
) -> PatchModel:
    """Return the compiled model that trains a network.

    Parameters
    ----------
    network : keras.Model
        The network; it is compiled with the same optimizer, whose state is saved with it.
    augment : str, sequence of str, or None
        As in `build_augmentation`.
    compile_parameters : dict
        For `keras.Model.compile`.

    Returns
    -------
    trainer : PatchModel
        The network behind scaling and augmentation.
    """
    with layers_of(keras.config.floatx()):  # Colours are not for 16 bits.
        augmentation = build_augmentation(augment, seed=random.randrange(2**31))
    if augmentation is not None:
        augmentation.build(network.input_shape)
    trainer = PatchModel(network, augmentation)
    trainer.compile(**{"steps_per_execution": _steps_per_execution(), **compile_parameters})
    _build_variables(trainer)
    network.compile(optimizer=trainer.optimizer, loss=compile_parameters["loss"])
    return trainer


def _steps_per_execution() -> int:
    """Return how many steps to run in a call.

    PyTorch has no such thing, JAX would unroll and compile the steps anew for each length, and with
    several replicas Keras fails at the end of an epoch that is no multiple of them.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return 16 if tf.distribute.get_strategy().num_replicas_in_sync == 1 else 1


def _build_variables(trainer: PatchModel) -> None:
    """Make the variables of the optimizer and the metrics, which Keras leaves to the first step.

    TensorFlow traces a step again if variables were made in it, which is a third of the time that a
    small fit takes; and an optimizer that never took a step could not be saved.
    """
    if not trainer.optimizer.built:
        trainer.optimizer.build(trainer.trainable_variables)
    nothing = np.zeros((1, 1), dtype=np.float32)
    trainer.compute_metrics(None, nothing, nothing)
    trainer.reset_metrics()


def train(
    trainer: PatchModel,
    data: TrainingSet,
    training: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,
    stopper: keras.callbacks.EarlyStopping | None,
    *,
    batch_size: int,
    callbacks: list[keras.callbacks.Callback],
    verbose: int | str,
    **options: Any,
) -> dict[str, list[float]]:
    """Train for some epochs.

    Parameters
    ----------
    trainer : PatchModel
        The compiled model.
    data : TrainingSet
        The patches.
    training, held_out : ndarray of int
        Rows to train on, and to follow; the latter may be empty.
    rng : numpy.random.Generator
        Shuffles the training rows.
    stopper : keras.callbacks.EarlyStopping or None
        A callback that must see an epoch last.
    batch_size : int
        Patches a gradient step.
    callbacks : list of keras.callbacks.Callback
        The user's callbacks.
    verbose : {0, 1, 2, "auto"}
        As in `followed`.
    **options : dict
        For `keras.Model.fit`.

    Returns
    -------
    history : dict of str to list of float
        Loss and metrics by epoch.
    """
    batches = Batches(data, training, batch_size)
    watched = Batches(data, held_out, max(batch_size, 256)).for_keras() if len(held_out) else None
    seed = int(rng.integers(2**31))
    shuffle, last = Shuffle(batches, rng), [stopper] if stopper else []
    with (
        _no_retracing_warning(),
        _seeded_torch(seed),
        _undone_on_error(trainer),
        followed(verbose, stopper) as (verbose, lines),
    ):
        history = trainer.fit(
            batches.for_keras(),
            validation_data=watched,
            callbacks=[shuffle, *callbacks, *lines, *last],
            shuffle=False,
            verbose=verbose,
            **options,
        )
        own_memory(trainer.trainable_variables)
    return {name: [float(v) for v in values] for name, values in history.history.items()}


@contextlib.contextmanager
def _seeded_torch(seed: int) -> Iterator[None]:
    """Seed PyTorch's global generator and put it back: there, Keras' dropout draws from it."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _undone_on_error(trainer: PatchModel) -> Iterator[None]:
    """Put the variables back if training fails, for a network that was trained before."""
    variables = [*trainer.variables, *trainer.optimizer.variables]
    values = values_of(variables)
    try:
        yield
    except BaseException:
        assign(variables, values)
        raise


def own_memory(variables: Sequence[keras.Variable]) -> None:
    """Part weights from their running averages, if they have become these.

    JAX lets both share one memory then, which is given up when the network predicts.
    """
    assign(variables, values_of(variables))


def values_of(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Return copies of the values of variables."""
    return [np.array(ops.convert_to_numpy(variable), copy=True) for variable in variables]


def assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give variables values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def _no_retracing_warning() -> Iterator[None]:
    """Keep TensorFlow from taking a search, which trains many networks, for a leak."""

    def keep(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)

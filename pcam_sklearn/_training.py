"""The one way patches take into a network: bytes or floats, in batches, augmented on the device."""

import contextlib
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.model_selection import StratifiedShuffleSplit
from tqdm.auto import tqdm

from pcam_sklearn._memory_map import PageReleaser
from pcam_sklearn._patch_files import read_ahead
from pcam_sklearn.augmentation import build_augmentation

# PyTorch has no such thing, and JAX would unroll and compile the steps anew for each length.
STEPS_PER_EXECUTION = 16 if keras.backend.backend() == "tensorflow" else 1


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


@keras.saving.register_keras_serializable("pcam_sklearn")
class PatchModel(keras.Model):
    """A network behind scaling and augmentation, so that bytes and floats both go in.

    Parameters
    ----------
    network : keras.Model
        From floats in [0, 1] to probabilities.
    augmentation : keras.layers.Layer or None, default=None
        Used while training alone.
    **kwargs : dict
        Passed on to `keras.Model`.
    """

    def __init__(
        self,
        network: keras.Model,
        augmentation: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.augmentation = augmentation
        self._functions: dict[str, Any] = {}

    def call(self, patches: Any, training: bool | None = None) -> Any:
        """Return the probabilities of patches that are uint8, or floats in [0, 1]."""
        if keras.backend.is_int_dtype(patches.dtype):
            patches = ops.cast(patches, keras.config.floatx()) / 255
        if self.augmentation is not None:
            patches = self.augmentation(patches, training=training)
        return self.network(patches, training=training)

    def infer(self, patches: np.ndarray) -> np.ndarray:
        """Return the probabilities of one batch, by the backend's compiled code.

        A compiled function is made for each shape it meets, so batches have few shapes: any
        number of patches is one shape to TensorFlow; elsewhere a batch is filled up to a power
        of two.
        """
        n_patches = len(patches)
        if keras.backend.backend() == "tensorflow":
            return self._tensorflow_infer(patches)
        missing = (1 << (n_patches - 1).bit_length()) - n_patches
        filled = np.concatenate([patches, np.repeat(patches[:1], missing, axis=0)])
        return self.predict_on_batch(filled)[:n_patches]

    def _tensorflow_infer(self, patches: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        dtype = patches.dtype.name
        if dtype not in self._functions:
            self._functions[dtype] = tf.function(
                lambda patches: self(patches, training=False),
                input_signature=[tf.TensorSpec((None, *patches.shape[1:]), dtype)],
            ).get_concrete_function()
        return self._functions[dtype](tf.constant(patches)).numpy()

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the model."""
        parts = {"network": self.network, "augmentation": self.augmentation}
        serialized = {k: v and keras.saving.serialize_keras_object(v) for k, v in parts.items()}
        return {**super().get_config(), **serialized}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PatchModel":
        """Rebuild the model."""
        parts = {
            name: config[name] and keras.saving.deserialize_keras_object(config[name])
            for name in ("network", "augmentation")
        }
        return cls(**{**config, **parts})


@dataclass(frozen=True)
class TrainingSet:
    """What a classifier trains on, checked.

    Parameters
    ----------
    X : ndarray of shape (n_samples, height, width, channels)
        The patches.
    codes : ndarray of shape (n_samples,)
        Each patch's place in `classes`, 0 or 1.
    weights : ndarray of shape (n_samples,) or None
        Weights; patches of weight 0 take no part.
    classes : ndarray of shape (2,)
        The labels.
    """

    X: np.ndarray
    codes: np.ndarray
    weights: np.ndarray | None
    classes: np.ndarray


class Batches(keras.utils.PyDataset):
    """Batches of some rows of a training set, drawn without copying it whole.

    Parameters
    ----------
    data : TrainingSet
        The patches.
    rows : ndarray of int
        The rows that take part.
    batch_size : int
        Patches a batch; the last one may be smaller.
    rng : numpy.random.Generator or None, default=None
        Shuffles before each epoch; None keeps the order of `rows`.
    """

    def __init__(
        self,
        data: TrainingSet,
        rows: np.ndarray,
        batch_size: int,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        self._releaser = PageReleaser(data.X)
        columns = [data.X, data.codes.astype(np.float32)[:, np.newaxis], data.weights]
        self._columns = [column for column in columns if column is not None]
        self._rows = rows
        self._batch_size = batch_size
        self._rng = rng
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        rows = self._rows[index * self._batch_size : (index + 1) * self._batch_size]
        batch = tuple(column[rows] for column in self._columns)
        self._releaser.touched(len(rows))
        return batch

    def on_epoch_end(self) -> None:
        """Shuffle the rows for the next epoch."""
        if self._rng is not None:
            self._rows = self._rng.permutation(self._rows)


def hold_out(data: TrainingSet, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of a training set in two, each with the same share of both classes.

    Parameters
    ----------
    data : TrainingSet
        The patches.
    fraction : float
        Share to hold out, in [0, 1); 0 holds out none.
    seed : int
        Fixes the split.

    Returns
    -------
    training, held_out : ndarray of int
        Rows of nonzero weight.

    Raises
    ------
    ValueError
        If the patches are too few.
    """
    rows = np.arange(len(data.codes)) if data.weights is None else np.flatnonzero(data.weights)
    if not fraction:
        return rows, rows[:0]
    codes = data.codes[rows]
    splitter = StratifiedShuffleSplit(1, test_size=fraction, random_state=seed)
    try:
        training, held_out = next(splitter.split(rows, codes))
    except ValueError as error:
        counts = dict(zip(data.classes.tolist(), np.bincount(codes, minlength=2), strict=True))
        raise ValueError(
            f"validation_fraction={fraction} cannot be held out of so few patches of each class, "
            f"{counts}: {error} Pass more patches, or validation_fraction=0 and "
            "early_stopping=False."
        ) from error
    return rows[training], rows[held_out]


def make_trainer(
    network: keras.Model, augment: str | None, compile_parameters: dict[str, Any]
) -> PatchModel:
    """Return the compiled model that trains a network.

    Parameters
    ----------
    network : keras.Model
        The network; it is compiled with the same optimizer, whose state is saved with it.
    augment : str or None
        As in `build_augmentation`.
    compile_parameters : dict
        For `keras.Model.compile`.

    Returns
    -------
    trainer : PatchModel
        The network behind scaling and augmentation.
    """
    trainer = PatchModel(network, build_augmentation(augment, seed=random.randrange(2**31)))
    trainer.compile(**{"steps_per_execution": STEPS_PER_EXECUTION, **compile_parameters})
    network.compile(optimizer=trainer.optimizer, loss=compile_parameters["loss"])
    return trainer


def train(
    trainer: PatchModel,
    data: TrainingSet,
    training: np.ndarray,
    held_out: np.ndarray,
    rng: np.random.Generator,
    stopper: keras.callbacks.Callback | None,
    *,
    batch_size: int,
    callbacks: list[keras.callbacks.Callback],
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
    stopper : keras.callbacks.Callback or None
        A callback that must see an epoch last.
    batch_size : int
        Patches a gradient step.
    callbacks : list of keras.callbacks.Callback
        The user's callbacks.
    **options : dict
        For `keras.Model.fit`.

    Returns
    -------
    history : dict of str to list of float
        Loss and metrics by epoch.
    """
    watched = Batches(data, held_out, max(batch_size, 256)) if len(held_out) else None
    with _no_retracing_warning(), _seeded_torch(int(rng.integers(2**31))):
        history = trainer.fit(
            Batches(data, training, batch_size, rng),
            validation_data=watched,
            callbacks=callbacks + ([stopper] if stopper else []),
            shuffle=False,
            **options,
        )
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


def predict_in_batches(
    model: PatchModel, X: Any, batch_size: int, *, show_progress: bool = False
) -> np.ndarray:
    """Return a model's output for each patch of X, shape (n_samples,).

    Parameters
    ----------
    model : PatchModel
        From patches to outputs of shape (n_samples, 1).
    X : ndarray of shape (n_samples, height, width, channels), or PatchFiles
        The patches, uint8 or float; files are read ahead while the model computes.
    batch_size : int
        Patches a batch.
    show_progress : bool, default=False
        Show a progress bar on stderr.

    Returns
    -------
    output : ndarray of shape (n_samples,)
        float32.
    """
    dtype = np.uint8 if X.dtype == np.uint8 else np.float32
    output = np.empty(len(X), dtype=np.float32)
    releaser = PageReleaser(X)
    done = 0
    with tqdm(total=len(X), unit="patch", disable=not show_progress) as bar:
        for batch in read_ahead(X, batch_size):
            values = model.infer(batch.astype(dtype, copy=False))[:, 0]
            output[done : done + len(batch)] = values
            done += len(batch)
            releaser.touched(len(batch))
            bar.update(len(batch))
    return output

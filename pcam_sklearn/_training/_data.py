"""How patches reach a network that is trained: rows in batches, shuffled, never copied whole."""

import functools
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.model_selection import StratifiedShuffleSplit

from pcam_sklearn._reading._memory_map import PageReleaser, copied_from_map
from pcam_sklearn._reading._patch_files import PatchFiles
from pcam_sklearn.model_selection import slide_train_test_split

_RESIDENT = 2**30  # Up to here TensorFlow and JAX keep a copy of their own.


@dataclass(frozen=True)
class TrainingSet:
    """What a classifier trains on, checked.

    Parameters
    ----------
    X : ndarray of shape (n_samples, height, width, channels), or PatchFiles
        The patches.
    codes : ndarray of shape (n_samples,)
        Each patch's place in `classes`, 0 or 1.
    weights : ndarray of shape (n_samples,) or None
        Weights; patches of weight 0 take no part.
    classes : ndarray of shape (2,)
        The labels.
    groups : ndarray of shape (n_samples,) or None, default=None
        The slide of each patch.
    """

    X: Any
    codes: np.ndarray
    weights: np.ndarray | None
    classes: np.ndarray
    groups: np.ndarray | None = None

    @functools.cached_property
    def columns(self) -> list[Any]:
        """Patches, targets of shape (n_samples, 1), and weights where there are any."""
        columns = [self.X, self.codes.astype(np.float32)[:, np.newaxis], self.weights]
        return [column for column in columns if column is not None]

    @property
    def is_resident(self) -> bool:
        """Whether the backend cuts batches from a copy of its own, on its device."""
        fits = not isinstance(self.X, PatchFiles) and self.X.nbytes <= _RESIDENT
        return fits and keras.backend.backend() in ("tensorflow", "jax")

    @functools.cached_property
    def tensors(self) -> list[Any]:
        """The columns as the backend keeps them: one copy, for training and what is held out."""
        patches, *others = self.columns
        patches = bytes_or_single(copied_from_map(patches))
        return [ops.convert_to_tensor(column) for column in (patches, *others)]


class Batches(keras.utils.PyDataset):
    """Batches of some rows of a training set.

    Parameters
    ----------
    data : TrainingSet
        The patches.
    rows : ndarray of int
        The rows that take part.
    batch_size : int
        Patches a batch; the last one may be smaller.
    """

    def __init__(self, data: TrainingSet, rows: np.ndarray, batch_size: int) -> None:
        super().__init__()
        self.data = data
        self.rows = rows
        self.batch_size = batch_size
        self._releaser = PageReleaser(data.X)
        self._order: Any = None  # the rows, for TensorFlow

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        if self.data.is_resident:
            return tuple(ops.take(column, rows, axis=0) for column in self.data.tensors)
        patches, *others = (column[rows] for column in self.data.columns)
        self._releaser.touched(len(rows))
        return (bytes_or_single(patches), *others)

    def for_keras(self) -> Any:
        """Return what `keras.Model.fit` takes soonest: the same batches, by the backend's means.

        TensorFlow cuts batches from patches in memory without asking Python for each; everything
        else asks, JAX for a few row numbers where its device holds the patches.
        """
        if keras.backend.backend() == "tensorflow" and self.data.is_resident:
            return self._tensorflow_dataset()
        return self

    def _tensorflow_dataset(self) -> Any:
        import tensorflow as tf

        columns = self.data.tensors
        with tf.device("CPU"):  # where data pipelines work
            order = self._order = tf.Variable(self.rows, trainable=False)

        # The order is read once, when a pass begins: the next may be drawn meanwhile.
        rows = tf.data.Dataset.range(1).map(lambda _: order.read_value()).rebatch(self.batch_size)
        gathered = rows.map(lambda rows: tuple(tf.gather(column, rows) for column in columns))
        options = tf.data.Options()
        options.autotune.enabled = False  # It takes a tenth of a small network's time.
        dataset = gathered.prefetch(2).with_options(options)
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self)))

    def shuffle(self, rng: np.random.Generator) -> None:
        """Put the rows into another order, for the next epoch.

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws the order.
        """
        self.rows = rng.permutation(self.rows)
        if self._order is not None:
            self._order.assign(self.rows)


class Shuffle(keras.callbacks.Callback):
    """Shuffle the rows of some batches before each epoch.

    Parameters
    ----------
    batches : Batches
        The batches.
    rng : numpy.random.Generator
        Draws the order.
    """

    def __init__(self, batches: Batches, rng: np.random.Generator) -> None:
        super().__init__()
        self._batches = batches
        self._rng = rng

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Draw a new order."""
        self._batches.shuffle(self._rng)


def hold_out(data: TrainingSet, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of a training set in two, each with the same share of both classes.

    Where slides are known, all patches of a slide are on one side.

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
    try:
        if data.groups is None:
            splitter = StratifiedShuffleSplit(1, test_size=fraction, random_state=seed)
            training, held_out = next(splitter.split(rows, codes))
        else:
            training, held_out = slide_train_test_split(
                codes, data.groups[rows], test_size=float(fraction), random_state=seed
            )
    except ValueError as error:
        n_of_class = np.bincount(codes, minlength=2).tolist()
        counts = dict(zip(data.classes.tolist(), n_of_class, strict=True))
        raise ValueError(
            f"validation_fraction={fraction} cannot be held out of so few patches of each class, "
            f"{counts}: {error} Pass more patches, or validation_fraction=0 and "
            "early_stopping=False."
        ) from error
    return rows[training], rows[held_out]


def bytes_or_single(patches: np.ndarray) -> np.ndarray:
    """Return the patches in one of the two types that a network is compiled for.

    Parameters
    ----------
    patches : ndarray
        uint8, or floats of any precision.

    Returns
    -------
    patches : ndarray
        uint8 or float32.
    """
    dtype = np.uint8 if patches.dtype == np.uint8 else np.float32
    return patches.astype(dtype, copy=False)

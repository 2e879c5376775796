"""The patches that a network is trained on, checked, and the batches in which Keras takes them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops
from sklearn.utils import check_consistent_length

from pcam_sklearn._groups import convert_groups
from pcam_sklearn._reading._batches import (
    RowReader,
    make_room,
    most_to_measure,
    read_for_device,
    read_if_small,
)
from pcam_sklearn._reading._checks import check_patches
from pcam_sklearn._reading._patch_files import PatchFiles
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._checks import (
    convert_labels,
    convert_weights,
    encode_labels,
    require_two_classes,
)

# Enough to measure the stain of slides without reading all patches.
_FEW_OF_A_SLIDE, _FEW_IN_ALL = 32, 4096


@dataclass(frozen=True)
class TrainingSet:
    """Checked patches with their labels, weights and slides.

    `X` is an array or PatchFiles. `codes` holds the place of each label in `classes`, 0 or 1.
    Patches of weight 0 take no part. `weights` and `groups` may be None.
    """

    X: Any
    codes: np.ndarray
    weights: np.ndarray | None
    classes: np.ndarray
    groups: np.ndarray | None = None

    @functools.cached_property
    def columns(self) -> list[Any]:
        """Patches, targets of shape (n_samples, 1), and weights where given."""
        columns = [self.X, self.codes.astype(np.float32)[:, np.newaxis], self.weights]
        return [column for column in columns if column is not None]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of `X`."""
        return self.X.shape

    @functools.cached_property
    def tensors(self) -> list[Any] | None:
        """The columns on the framework's device, or None where it takes batches from Python.

        The patches trained on and those held out share this one copy.
        """
        patches = read_for_device(self.X) if current_framework().keeps_data else None
        if patches is None:
            return None
        return current_framework().keep([patches, *self.columns[1:]])

    def few_of_each_slide(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return some patches of each slide among these rows and their slides, None without."""
        if self.groups is None:
            return None
        of_slides = [own.to_numpy() for _, own in pd.Series(rows).groupby(self.groups[rows])]
        n_in_all = min(_FEW_IN_ALL, most_to_measure(self.X))
        n_each = max(1, min(_FEW_OF_A_SLIDE, n_in_all // len(of_slides)))
        # Of thousands of slides, some are enough.
        some = of_slides[:: -(-len(of_slides) // n_in_all)]
        chosen = np.concatenate([own[:: -(-len(own) // n_each)] for own in some])
        return RowReader(self.X)[chosen], self.groups[chosen]


def check_training_set(
    X: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
    groups: Any = None,
    classes: np.ndarray | None = None,
) -> TrainingSet:
    """Return the training set of a classifier, or raise ValueError; change nothing in place.

    `classes` are those of an earlier fit that this one resumes, None for those in y.
    """
    X = check_patches(X, channels=None)
    make_room(X.nbytes)
    if isinstance(X, PatchFiles):
        X = read_if_small(X)
    y = convert_labels(y)
    groups = None if groups is None else convert_groups(groups)
    check_consistent_length(X, y, groups)
    known = np.unique(y) if classes is None else classes
    codes = encode_labels(y, known)
    weights = convert_weights(codes, known, sample_weight, class_weight)
    if classes is None and weights is not None:
        require_two_classes(np.unique(y[weights > 0]))
    return TrainingSet(X, codes, weights, known, groups)


class Batches(keras.utils.PyDataset):
    """Batches of some rows of a training set; the last one may be smaller."""

    def __init__(self, data: TrainingSet, rows: np.ndarray, batch_size: int) -> None:
        super().__init__()
        self.data = data
        self.rows = rows
        self.batch_size = batch_size
        # Keras may ask for batches in a thread, which knows of no other devices.
        self._copies_of_last = current_framework().copies_of_last(len(rows), batch_size)
        self._reorder: Callable[[np.ndarray], None] | None = None

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        if index == len(self) - 1:
            rows = np.tile(rows, self._copies_of_last)
        if self.data.tensors is not None:
            return tuple(ops.take(column, rows, axis=0) for column in self.data.tensors)
        return tuple(column[rows] for column in self._columns)

    @functools.cached_property
    def _columns(self) -> list[Any]:
        """The columns for batches from Python."""
        return [RowReader(self.data.X), *self.data.columns[1:]]

    def for_keras(self) -> Any:
        """Return the same batches in the form that `keras.Model.fit` takes fastest."""
        if self.data.tensors is None:
            return self
        made = current_framework().dataset(self.data.tensors, self.rows, self.batch_size)
        if made is None:
            return self
        dataset, self._reorder = made
        return dataset

    def shuffle(self, rng: np.random.Generator) -> None:
        """Draw another order of the rows for the next epoch."""
        self.rows = rng.permutation(self.rows)
        if self._reorder is not None:
            self._reorder(self.rows)


def check_shares(batch_size: int, n_devices: int) -> None:
    """Raise ValueError for batches that do not divide among the devices."""
    if batch_size % n_devices == 0:
        return
    below, above = batch_size // n_devices * n_devices, -(-batch_size // n_devices) * n_devices
    allowed = " or ".join(f"batch_size={size}" for size in (below, above) if size)
    raise ValueError(
        f"batch_size={batch_size} does not divide among {n_devices} devices, which share each "
        f"batch; type {allowed}."
    )


def watched_batch_size(n_rows: int, at_least: int, n_devices: int) -> int:
    """Return the size of batches of held-out patches, which all devices share if that can be."""
    most = -(-at_least // n_devices) * n_devices
    # Each batch size leaves another number of patches for the last batch.
    sizes = range(most, 0, -n_devices) if n_devices > 1 else ()
    framework = current_framework()
    return next((size for size in sizes if framework.copies_of_last(n_rows, size) == 1), most)

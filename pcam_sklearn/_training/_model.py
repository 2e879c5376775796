"""The model around a network: scaling and augmentation, which run on the device, and prediction."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm.auto import tqdm

from pcam_sklearn._reading._memory_map import PageReleaser
from pcam_sklearn._reading._patch_files import read_ahead
from pcam_sklearn._training._backends._tensorflow import lean_step
from pcam_sklearn._training._data import bytes_or_single


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
        # By the policy the loss is scaled; patches stay as they are up to the network itself.
        super().__init__(**{"dtype": network.dtype_policy, "autocast": False, **kwargs})
        self.network = network
        self.augmentation = augmentation
        self._functions: dict[str, Any] = {}

    def call(self, patches: Any, training: bool | None = None) -> Any:
        """Return the probabilities of patches that are uint8, or floats in [0, 1]."""
        if keras.backend.is_int_dtype(patches.dtype):
            patches = ops.cast(patches, keras.config.floatx()) / 255
        if self.augmentation is not None:
            patches = self.augmentation(patches, training=training)
        return ops.cast(self.network(patches, training=training), keras.config.floatx())

    def train_step(self, *arguments: Any) -> Any:
        """Take one step, as `keras.Model` does."""
        with lean_step(self):
            return super().train_step(*arguments)

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


def predict_in_batches(
    model: PatchModel,
    X: Any,
    batch_size: int,
    *,
    views: Callable[[np.ndarray], np.ndarray] | None = None,
    show_progress: bool = False,
) -> np.ndarray:
    """Return a model's output for each patch of X, and for each of its views.

    Parameters
    ----------
    model : PatchModel
        From patches to outputs of shape (n_samples, 1).
    X : ndarray of shape (n_samples, height, width, channels), or PatchFiles
        The patches, uint8 or float; files are read ahead while the model computes.
    batch_size : int
        Patches a batch, their views counted.
    views : callable, default=None
        From n patches to views of shape (n_views, n, height, width, channels); None is the patches
        alone.
    show_progress : bool, default=False
        Show a progress bar on stderr.

    Returns
    -------
    output : ndarray of shape (n_samples, n_views)
        float32.
    """
    n_views = len(views(np.empty((0, *X.shape[1:])))) if views else 1
    output = np.empty((len(X), n_views), dtype=np.float32)
    releaser = PageReleaser(X)
    batches = read_ahead(X, -(-batch_size // n_views))
    done = 0
    for batch in _shown(batches, len(X)) if show_progress else batches:
        seen = views(batch).reshape(-1, *batch.shape[1:]) if views else batch
        values = model.infer(bytes_or_single(seen))
        output[done : done + len(batch)] = values.reshape(n_views, len(batch)).T
        done += len(batch)
        releaser.touched(len(batch))
    return output


def _shown(batches: Iterator[np.ndarray], n_patches: int) -> Iterator[np.ndarray]:
    """Give the batches, and show by a bar how many patches are done."""
    with tqdm(total=n_patches, unit="patch") as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))

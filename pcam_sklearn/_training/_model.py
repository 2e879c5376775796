"""The model around a network: scaling and augmentation, which run on the device, and prediction."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm.auto import tqdm

from pcam_sklearn._reading._batches import in_batches
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._blueprint import Blueprint
from pcam_sklearn._training._recipe import layers_under
from pcam_sklearn.augmentation import build_augmentation


class PatchModel(keras.Model):
    """A network behind scaling and augmentation, which takes bytes and floats.

    `network` turns floats in [0, 1] into probabilities, and `blueprint` tells what it was built
    from. `augmentation` works only in training.
    """

    def __init__(
        self,
        network: keras.Model,
        blueprint: Blueprint,
        augmentation: keras.layers.Layer | None = None,
    ) -> None:
        # The policy decides whether the loss is scaled. Patches must reach the network as they are.
        super().__init__(dtype=network.dtype_policy, autocast=False)
        self.network = network
        self.blueprint = blueprint
        self.augmentation = augmentation
        self.placement = current_framework().placement()
        self.compiled_functions: dict[str, Any] = {}  # By the framework, one per dtype.

    def call(self, patches: Any, training: bool | None = None) -> Any:
        """Return the probabilities of patches that are uint8, or floats in [0, 1]."""
        if keras.backend.is_int_dtype(patches.dtype):
            patches = ops.cast(patches, keras.config.floatx()) / 255
        if self.augmentation is not None:
            patches = self.augmentation(patches, training=training)
        return ops.cast(self.network(patches, training=training), keras.config.floatx())

    def train_step(self, *arguments: Any) -> Any:
        """Take one step, as `keras.Model` does."""
        with current_framework().lean_step():
            return super().train_step(*self._share(arguments))

    def test_step(self, *arguments: Any) -> Any:
        """Measure one batch, as `keras.Model` does."""
        return super().test_step(*self._share(arguments))

    def predict_step(self, *arguments: Any) -> Any:
        """Predict one batch, as `keras.Model` does."""
        return super().predict_step(*self._share(arguments))

    def _share(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of a step, whose last one is a batch, for each device."""
        *state, batch = arguments
        return (*state, current_framework().share(batch, self.placement))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of a batch, or of the share of it that this device computes."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return current_framework().share_loss(loss, y_pred)

    def for_prediction(self) -> "PatchModel":
        """Return a second model around the network, which is not trained."""
        model = PatchModel(self.network, self.blueprint)
        model.placement = self.placement
        return model

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the network alone, for a user's `ModelCheckpoint`; Keras loads it by itself."""
        self.network.save(*args, **kwargs)


def make_trainer(
    network: keras.Model,
    blueprint: Blueprint,
    augment: Any,
    compile_parameters: dict[str, Any],
    n_steps: int,
) -> PatchModel:
    """Return the compiled model that trains a network for about `n_steps`.

    The network is compiled with the same optimizer, whose state is then saved with it.
    """
    with layers_under(keras.config.floatx()):  # 16 bits would round colours.
        augmentation = build_augmentation(augment, seed=random.randrange(2**31))
    if augmentation is not None:
        augmentation.build(network.input_shape)
    trainer = PatchModel(network, blueprint, augmentation)
    steps = compile_parameters.get("steps_per_execution")
    steps = current_framework().steps_per_execution(n_steps, steps)
    trainer.compile(**{**compile_parameters, "steps_per_execution": steps})
    _build_variables(trainer)
    network.compile(optimizer=trainer.optimizer, loss=compile_parameters["loss"])
    return trainer


def _build_variables(trainer: PatchModel) -> None:
    """Create the variables of the optimizer and metrics, which Keras leaves to the first step.

    TensorFlow traces a step again if the step creates variables, which is a third of the time of a
    small fit. And an optimizer that never took a step could not be saved.
    """
    if not trainer.optimizer.built:
        trainer.optimizer.build(trainer.trainable_variables)
    nothing = np.zeros((1, 1), dtype=np.float32)
    trainer.compute_metrics(None, nothing, nothing)
    trainer.reset_metrics()


def predict_in_batches(
    model: PatchModel,
    X: Any,
    batch_size: int,
    *,
    views: Callable[[np.ndarray], np.ndarray] | None = None,
    show_progress: bool = False,
) -> np.ndarray:
    """Return a model's output for each view of each patch, float32 of shape (n_samples, n_views).

    `views` turns n patches into views of shape (n_views, n, height, width, channels); None stands
    for the patches alone. `batch_size` counts views.
    """
    n_views = len(views(np.empty((0, *X.shape[1:])))) if views else 1
    output = np.empty((len(X), n_views), dtype=np.float32)
    batches = in_batches(X, -(-batch_size // n_views))
    infer = current_framework().infer
    done = 0
    for batch in _with_bar(batches, len(X)) if show_progress else batches:
        seen = views(batch).reshape(-1, *batch.shape[1:]) if views else batch
        values = infer(model, seen).reshape(n_views, len(batch))
        output[done : done + len(batch)] = values.T
        done += len(batch)
    return output


def _with_bar(batches: Iterator[np.ndarray], n_patches: int) -> Iterator[np.ndarray]:
    """Yield the batches, and show on a bar how many patches are done."""
    with tqdm(total=n_patches, unit="patch") as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))

"""The interface of a framework, and what Keras alone does where a framework has no better way."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Framework:
    """A framework that Keras runs on: the interface, and how Keras alone does each part."""

    name: str
    keeps_data = False  # Whether batches are cut from one copy of all patches on its device.
    compiles_resampling = True  # Whether its compiler takes `keras.ops.image` transformations.
    exports_onnx = True  # Whether Keras writes sound ONNX files from it.
    _instead_of_distribution = ", or start Python with KERAS_BACKEND=jax"

    def prepare_devices(self) -> None:
        """Set what has to be set before the framework touches a GPU."""

    def has_started(self) -> bool:
        """Return True if it is too late for `start_variables`."""
        return True

    def set_threads(self, threads: int) -> None:
        """Set the number of threads where the variables are read on import, before the start."""

    def placement(self) -> Any:
        """Return the object that puts new variables on several devices, or None; raise if unusable.

        It is passed back to the methods below by a model that was made under it.
        """
        import keras

        if keras.distribution.distribution() is not None:
            raise ValueError(
                f"keras.distribution is set, and this package follows it on JAX alone; Keras runs "
                f"on {self.name!r}. Call keras.distribution.set_distribution(None)"
                f"{self._instead_of_distribution}."
            )
        return None

    def under(self, placement: Any) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which new variables are placed so; threads start without."""
        return contextlib.nullcontext() if placement is None else placement.scope()

    def n_devices(self, placement: Any) -> int:
        """Return the number of devices that share each batch."""
        return 1

    def share(self, parts: Any, placement: Any) -> Any:
        """Return the parts of a batch, which lies on all devices, as each device computes them."""
        return parts

    def share_loss(self, loss: Any, outputs: Any) -> Any:
        """Return the loss of this device's patches so that all patches of a batch weigh alike."""
        return loss

    def copies_of_last(self, n_rows: int, batch_size: int) -> int:
        """Return the number of copies of its rows in the last batch, 1 if devices can share it."""
        return 1

    def keep(self, columns: list[Any]) -> list[Any]:
        """Return the columns as tensors on the framework's devices."""
        from keras import ops

        return [ops.convert_to_tensor(column) for column in columns]

    def steps_per_execution(self, n_steps: int, wanted: int | None = None) -> int:
        """Return the number of steps that `keras.Model.fit` runs in one call of the framework.

        The fit has about `n_steps`. `wanted` is the number that the user asks for, if any.
        """
        return 1 if wanted is None else wanted

    def dataset(
        self, columns: list[Any], rows: np.ndarray, batch_size: int
    ) -> tuple[Any, Callable[[np.ndarray], None]] | None:
        """Return a data set of batches and a function that changes its rows, or None.

        None stands for a framework that takes batches from Python as fast.
        """
        return None

    def seeded(self, seed: int) -> contextlib.AbstractContextManager[Any]:
        """Seed the global generator that Keras' layers draw from, where there is one."""
        return contextlib.nullcontext()

    def random_state(self) -> np.ndarray | None:
        """Return the state of the generator of `seeded`, or None if the framework has none."""
        return None

    def set_random_state(self, state: np.ndarray | None) -> None:
        """Put the generator of `seeded` into a state of `random_state`."""

    def training(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context for all of `keras.Model.fit`."""
        return contextlib.nullcontext()

    def lean_step(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context for one training step."""
        return contextlib.nullcontext()

    def normalize(
        self, x: Any, scale: Any, offset: Any, epsilon: float
    ) -> tuple[Any, Any, Any] | None:
        """Return x normalized by channel, its means and its variances, or None.

        None stands for a framework, or an x, for which Keras' own operations are as good.
        """
        return None

    def infer(self, model: Any, patches: np.ndarray) -> np.ndarray:
        """Return the output of one batch.

        Code is compiled for each length of a batch, so batches are filled up to powers of two, and
        so that the devices can share them.
        """
        n_patches = len(patches)
        n_filled = 1 << (n_patches - 1).bit_length()
        n_filled += -n_filled % self.n_devices(model.placement)
        filled = np.concatenate([patches, np.repeat(patches[:1], n_filled - n_patches, axis=0)])
        return model.predict_on_batch(filled)[:n_patches]

    def upside_down(self, planes: Any) -> Any:
        """Return planes, of shape (n, channels, height, width), upside down, for an ONNX file."""
        from keras import ops

        return ops.flip(planes, 2)

    def input_gradient(self, head: Any, features: Any) -> Any:
        """Return the gradient of a model's summed output with respect to its input."""
        raise ValueError(
            f"Gradients need Keras' backend 'tensorflow', 'jax' or 'torch', and it runs on "
            f"{self.name!r}; start Python with the environment variable KERAS_BACKEND set to one "
            "of these."
        )

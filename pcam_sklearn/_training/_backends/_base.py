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

    def prepare_devices(self) -> None:
        """Set what has to be set before the framework touches a GPU."""

    def has_started(self) -> bool:
        """Return whether it is too late for the variables of `_environment`."""
        return True

    def set_threads(self, threads: int) -> None:
        """Set the number of threads where the variables are read on import, before the start."""

    def steps_per_execution(self) -> int:
        """Return the number of steps that `keras.Model.fit` runs in one call of the framework."""
        return 1

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

    def infer(self, model: Any, patches: np.ndarray) -> np.ndarray:
        """Return the output of one batch.

        Code is compiled for each length of a batch, so batches are filled up to powers of two.
        """
        n_patches = len(patches)
        missing = (1 << (n_patches - 1).bit_length()) - n_patches
        filled = np.concatenate([patches, np.repeat(patches[:1], missing, axis=0)])
        return model.predict_on_batch(filled)[:n_patches]

    def input_gradient(self, head: Any, features: Any) -> Any:
        """Return the gradient of a model's summed output with respect to its input."""
        raise ValueError(
            f"Gradients need Keras' backend 'tensorflow', 'jax' or 'torch', and it runs on "
            f"{self.name!r}; start Python with the environment variable KERAS_BACKEND set to one "
            "of these."
        )

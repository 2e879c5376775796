"""PyTorch."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from pcam_sklearn._training._backends._base import Framework

_one_at_a_time = threading.RLock()  # The generator belongs to the process.


class Torch(Framework):
    """Batches from Python; Keras' dropout draws from the global generator."""

    def has_started(self) -> bool:
        """Return whether PyTorch has chosen its GPU; its threads can be set at any time."""
        return torch.cuda.is_initialized()

    def set_threads(self, threads: int) -> None:
        """Set the number of threads."""
        torch.set_num_threads(threads)

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Seed PyTorch's global generator, and put it back afterwards; threads take turns."""
        with _one_at_a_time, torch.random.fork_rng():
            torch.manual_seed(seed)
            yield

    def random_state(self) -> np.ndarray:
        """Return the state of the generator of `seeded`."""
        return torch.random.get_rng_state().numpy()

    def set_random_state(self, state: np.ndarray | None) -> None:
        """Put the generator of `seeded` into a state of `random_state`."""
        torch.random.set_rng_state(torch.from_numpy(state))

    def input_gradient(self, head: Any, features: Any) -> Any:
        """Return the gradient of a model's summed output with respect to its input."""
        features = features.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(head(features, training=False).sum(), features)[0]


framework = Torch("torch")

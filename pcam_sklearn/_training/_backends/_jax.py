"""JAX."""

import contextlib
import copy
import threading
from collections.abc import Iterator
from typing import Any

import jax
import keras
import numpy as np

from pcam_sklearn._training._backends._base import Framework

_one_at_a_time = threading.RLock()


class Jax(Framework):
    """Batches by row numbers: the patches stay on the devices.

    With several devices, each one holds whole batches and computes a share of each. A batch that
    cannot be cut into equal shares is computed as a whole by all of them. So the numbers are those
    of one device, batch normalization and random numbers among them.
    """

    keeps_data = True
    exports_onnx = False  # What Keras and jax2onnx write mixes types, and no runtime reads it.

    def has_started(self) -> bool:
        """Return whether JAX has its threads and devices already."""
        devices = jax.config.jax_num_cpu_devices
        try:  # To set another number is refused from then on.
            jax.config.update("jax_num_cpu_devices", devices + 1)
        except RuntimeError:
            return True
        jax.config.update("jax_num_cpu_devices", devices)
        return False

    def infer(self, model: Any, patches: np.ndarray) -> np.ndarray:
        """Return the output of one batch; Keras moves a model's state, so threads take turns."""
        with _one_at_a_time:
            return super().infer(model, patches)

    def placement(self) -> Any:
        """Return Keras' distribution, or None."""
        distribution = keras.distribution.distribution()
        if distribution is not None and jax.process_count() > 1:
            raise ValueError(
                f"A fit runs in one process, and JAX has {jax.process_count()}; start one that "
                "sees all devices, or call keras.distribution.set_distribution(None)."
            )
        return distribution

    def n_devices(self, placement: Any) -> int:
        """Return the number of devices that share each batch."""
        if placement is None:
            return 1
        axis = placement.get_data_layout((1,)).axes[0]
        mesh = placement.device_mesh
        return 1 if axis is None else int(mesh.shape[list(mesh.axis_names).index(axis)])

    def share(self, parts: Any, placement: Any) -> Any:
        """Return the parts of a batch, cut by device where all shares are equal."""
        n_devices = self.n_devices(placement)
        if n_devices == 1:
            return parts

        def cut(part: Any) -> Any:
            if part is None or part.shape[0] % n_devices:
                return part
            layout = placement.get_data_layout(part.shape)
            return keras.distribution.distribute_tensor(part, layout)

        return keras.tree.map_structure(cut, parts)

    def keep(self, columns: list[Any]) -> list[Any]:
        """Return the columns as tensors, on each of several devices."""
        tensors, placement = super().keep(columns), self.placement()
        if placement is None:
            return tensors
        return [
            keras.distribution.distribute_tensor(tensor, _whole(tensor.shape, placement))
            for tensor in tensors
        ]

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Have Keras hand whole batches to each device: it cannot cut one that does not divide."""
        placement = self.placement()
        if placement is None:
            yield
            return
        hands_out_whole = copy.copy(placement)
        hands_out_whole.get_data_layout = lambda shape: _whole(shape, placement)
        with hands_out_whole.scope():
            yield

    def input_gradient(self, head: Any, features: Any) -> Any:
        """Return the gradient of a model's summed output with respect to its input."""
        return jax.grad(lambda maps: head(maps, training=False).sum())(features)


def _whole(shape: tuple[int, ...], placement: Any) -> Any:
    """Return the layout of a tensor that lies on each device."""
    return keras.distribution.TensorLayout([None] * len(shape), placement.device_mesh)


framework = Jax("jax")

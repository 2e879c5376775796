"""JAX."""

from typing import Any

import jax

from pcam_sklearn._training._backends._base import Framework


class Jax(Framework):
    """Batches by row numbers: the patches stay on the device."""

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

    def input_gradient(self, head: Any, features: Any) -> Any:
        """Return the gradient of a model's summed output with respect to its input."""
        return jax.grad(lambda maps: head(maps, training=False).sum())(features)


framework = Jax("jax")

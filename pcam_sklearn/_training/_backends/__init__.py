"""All that differs between TensorFlow, JAX and PyTorch: the only place that names one of them.

To add a framework, write a module with its name and a leading underscore. The module holds a
`Framework` called `framework`. This package imports nothing of the others, so all may use it.
"""

import functools
import importlib

from pcam_sklearn._training._backends._base import Framework

__all__ = ["SUPPORTED", "Framework", "current_framework"]

SUPPORTED = ("tensorflow", "jax", "torch")


@functools.cache
def current_framework() -> Framework:
    """Return the framework that Keras runs on."""
    import keras  # Not before it is asked for: a worker that only sets variables needs none.

    name = keras.backend.backend()
    if name not in SUPPORTED:
        return Framework(name)
    # Only the one in use is imported: the others may not be installed.
    return importlib.import_module(f"{__name__}._{name}").framework

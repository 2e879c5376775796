"""All that differs between TensorFlow, JAX and PyTorch: the only place that names one of them.

To add a framework, write a module with its name and a leading underscore. The module holds a
`Framework` called `framework`. This package imports nothing of the others, so all may use it.
"""

import functools
import importlib

from pcam_sklearn._training._backends._base import Framework

__all__ = ["SUPPORTED", "Framework", "current_framework", "start_variables"]

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


def start_variables(threads: int | None) -> dict[str, str]:
    """Return the variables for a number of threads, and for memory on GPUs that grows as needed.

    The frameworks read them when they start, and none is imported for it.
    """
    variables = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if threads is not None:
        # NPROC is the one that JAX reads for its threads on the CPU.
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC", "OMP_NUM_THREADS")
        variables |= dict.fromkeys(names, str(threads))
    return variables

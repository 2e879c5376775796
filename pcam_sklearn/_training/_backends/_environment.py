"""Variables that the frameworks read when they start. None is imported for it."""


def start_variables(threads: int | None) -> dict[str, str]:
    """Return the variables for a number of threads, and for memory on GPUs that grows as needed.

    They count for a framework that has not started yet.
    """
    variables = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if threads is not None:
        # NPROC is the one that JAX reads for its threads on the CPU.
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC", "OMP_NUM_THREADS")
        variables |= dict.fromkeys(names, str(threads))
    return variables

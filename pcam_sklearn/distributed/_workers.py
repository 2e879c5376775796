"""A worker plugin that prepares a process before the first fit: threads, one GPU, the backend."""

import os
import sys
import weakref
from numbers import Integral
from typing import Any

from distributed import Worker, WorkerPlugin

from pcam_sklearn._messages import first_few
from pcam_sklearn._training._backends import SUPPORTED, current_framework, start_variables
from pcam_sklearn.distributed._cards import Card, claim_card

_in_this_process: "weakref.WeakSet[Worker]" = weakref.WeakSet()


class PrepareWorker(WorkerPlugin):
    """Set threads, GPU and Keras' backend of a worker before its first fit.

    Dask runs the plugin on each worker, and again whenever one joins or is started again. A GPU is
    held by a lock on a file, which the system drops when the worker's process ends, however it
    ends. The memory that the framework takes on a GPU grows as needed.

    Parameters
    ----------
    threads : int or None, default=1
        Number of threads of a fit. None leaves it to the framework.
    gpus : int, list of str or None, default=None
        The GPUs of each machine, of which every worker gets one for itself: their number, or their
        names as in ``CUDA_VISIBLE_DEVICES``. A number counts the GPUs that the worker sees when it
        starts. None lets each worker see what it sees.
    backend : {"tensorflow", "jax", "torch"} or None, default=None
        Keras' backend on the workers. None leaves it as it is.

    Raises
    ------
    ValueError
        If a parameter is not as documented.

    See Also
    --------
    prepare_client : Registers this plugin.

    Examples
    --------
    >>> from pcam_sklearn.distributed import PrepareWorker
    >>> PrepareWorker(threads=2).threads
    2
    >>> PrepareWorker(gpus=0)
    Traceback (most recent call last):
    ValueError: gpus must be a number from 1 on, a list of names, or None; got 0.
    """

    name = "pcam_sklearn"

    def __init__(
        self,
        threads: int | None = 1,
        gpus: int | list[str] | None = None,
        backend: str | None = None,
    ) -> None:
        if threads is not None and not _is_number(threads):
            raise ValueError(f"threads must be an integer from 1 on, or None; got {threads!r}.")
        if not (gpus is None or _is_number(gpus) or _is_names(gpus)):
            raise ValueError(
                f"gpus must be a number from 1 on, a list of names, or None; got {gpus!r}."
            )
        if backend not in (None, *SUPPORTED):
            raise ValueError(f"backend must be one of {SUPPORTED}, or None; got {backend!r}.")
        self.threads = threads
        self.gpus = gpus
        self.backend = backend
        self._card: Card | None = None

    def setup(self, worker: Worker) -> None:
        """Prepare the process of a worker.

        Parameters
        ----------
        worker : distributed.Worker
            The worker, in whose process this runs.

        Raises
        ------
        ValueError
            If it does several tasks at a time, shares its process with another worker, has no GPU
            left, or has started the framework with other settings.
        """
        if worker.state.nthreads != 1:
            raise ValueError(explain_many_tasks([worker.address]))
        others = [other for other in _in_this_process if other.status.name == "running"]
        if any(other is not worker for other in others):
            raise ValueError(
                f"{worker.address} shares process {os.getpid()} with another worker, and fits "
                "would disturb one another's random numbers; start each worker in a process of its "
                "own, as with LocalCluster(processes=True), or only one."
            )
        if self.gpus is not None:
            self._card = claim_card(self.gpus)
        try:
            self._set_up_process(worker.address)
        except BaseException:
            self.teardown(worker)
            raise
        _in_this_process.add(worker)

    def teardown(self, worker: Worker) -> None:
        """Give the GPU back.

        Parameters
        ----------
        worker : distributed.Worker
            The worker that leaves, or that gets another plugin of this name.
        """
        _in_this_process.discard(worker)
        if self._card is not None:
            self._card.release()
            self._card = None

    def _set_up_process(self, address: str) -> None:
        variables = start_variables(self.threads)
        if self._card is not None:
            variables["CUDA_VISIBLE_DEVICES"] = self._card.name
        if self.backend is not None:
            variables["KERAS_BACKEND"] = self.backend
        missing = {name for name, value in variables.items() if os.environ.get(name) != value}
        if missing and "keras" in sys.modules:
            self._check_framework(address, missing)
        os.environ.update(variables)

    def _check_framework(self, address: str, missing: set[str]) -> None:
        """Raise an error if the framework was started or chosen without these variables."""
        framework = current_framework()
        if self.backend not in (None, framework.name):
            raise ValueError(
                f"{address} runs Keras on {framework.name}, and the client on {self.backend}; "
                f"start its process with the environment variable KERAS_BACKEND={self.backend}."
            )
        # A process that started the framework as it wished may keep that, if nothing is asked for.
        asked = self.threads is not None or self._card is not None
        if asked and framework.has_started():
            raise ValueError(
                f"{address} started {framework.name} before it was prepared, when "
                f"{first_few(sorted(missing))} were not set; call client.restart() and prepare it "
                "again. A worker in the process of the client itself can only keep what that has: "
                "threads=None and gpus=None."
            )
        if self.threads is not None:
            framework.set_threads(self.threads)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_card": None}


def explain_many_tasks(addresses: list[str]) -> str:
    """Return the message about workers that do several tasks at a time."""
    return (
        f"a worker must do one task at a time, and {len(addresses)} do several "
        f"({first_few(addresses)}): fits in one process would disturb one another's random "
        "numbers; start workers with `dask worker --nthreads 1` or "
        "LocalCluster(threads_per_worker=1)."
    )


def _is_number(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def _is_names(gpus: object) -> bool:
    return isinstance(gpus, list) and bool(gpus) and all(isinstance(name, str) for name in gpus)

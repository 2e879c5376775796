"""joblib's backend "dask", with the repairs that a search needs.

What the fits share becomes a task, which Dask does again; joblib leaves it with one worker, and the
search fails when that one is killed. A single worker with one thread does the fits; joblib would do
all of them in the client. If Dask gives a fit up, or cannot send it, the search raises an error;
under joblib's backend it waits forever.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import dask
import joblib
from distributed import Client, Future
from joblib.parallel import get_active_backend, register_parallel_backend

from pcam_sklearn.distributed._maps import find_mapped_file

_NO_WARNING = {"distributed.admin.large-graph-warning-threshold": sys.maxsize}


def repair_backend(client: Client) -> None:
    """Register the repaired backend in the place of joblib's, unless it is there."""
    with joblib.parallel_config("dask", client=client):
        backend = type(get_active_backend()[0])
    if not getattr(backend, "repaired", False):
        register_parallel_backend("dask", _repair(backend))


def _repair(backend: Any) -> Any:
    """Return a subclass of joblib's backend for Dask."""

    class DaskBackend(backend):
        repaired = True

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.client: Any = _KeepInputs(self.client)

        def effective_n_jobs(self, n_jobs: int) -> int:
            # For 1 joblib asks no backend.
            return max(2, super().effective_n_jobs(n_jobs))

        def submit(self, func: Any, callback: Callable[[Any], None]) -> Any:
            task = super().submit(func, callback)
            task.add_done_callback(partial(_tell_error, callback))
            return task

    return DaskBackend


def _tell_error(callback: Callable[[Any], None], task: Any) -> None:
    """Tell joblib of a task that Dask gave up, of which it hears nothing otherwise."""
    if task.exception() is not None:
        callback(task.exception())


class _KeepInputs:
    """A client whose `scatter` makes tasks, which Dask does again if their results are lost."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def scatter(self, data: Any, **options: Any) -> Any:
        """Return a future of data that joblib hands over, or of what the user scatters."""
        if not options.get("asynchronous"):
            return self._client.scatter(data, **options)
        mapped = find_mapped_file(data)
        make = mapped.open if mapped is not None else partial(_same, data)
        # Fits wait for this, so it goes before other fits.
        task = {"key": f"{type(data).__name__}-{uuid4().hex}", "pure": False, "priority": 1}
        with dask.config.set(_NO_WARNING):  # Its advice is to scatter the data.
            return _at_once(self.submit(make, **task))

    def submit(self, *args: Any, **options: Any) -> Future:
        """Return the future of a task, which fails if the task cannot be sent."""
        try:
            return self._client.submit(*args, **options)
        except Exception as error:  # joblib submits in a thread where nobody would see it.
            first = _first_cause(error)  # Dask's own text holds the whole task.
            text = f"a fit cannot be sent to a worker: {type(first).__name__}: {first}"
            return self._client.submit(_fail, text, pure=False)


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _fail(text: str) -> None:
    raise TypeError(text)


def _same(data: Any) -> Any:
    return data


async def _at_once(future: Future) -> Future:
    return future

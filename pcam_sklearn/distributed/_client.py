"""The client of a search: it prepares the workers, and keeps what a killed worker would lose."""

import sys
from collections.abc import Awaitable
from functools import partial
from typing import Any
from uuid import uuid4

import dask
from distributed import Client, Future

from pcam_sklearn.distributed._maps import find_mapped_file
from pcam_sklearn.distributed._workers import PrepareWorker, explain_many_tasks

_NO_WARNING = {"distributed.admin.large-graph-warning-threshold": sys.maxsize}


def prepare_client(
    client: Client, *, threads: int | None = 1, gpus: int | list[str] | None = None
) -> Client:
    """Prepare a Dask client and its workers for searches.

    Each worker, also one that comes later or is started again, gets the :class:`PrepareWorker`
    plugin. Memory maps travel as the name of their file. What the fits share (patches, labels, rows
    of folds) is kept as tasks that Dask can do again, where joblib by itself loses it with the
    worker that holds it. So a worker that is killed costs the fits that it was at.

    Parameters
    ----------
    client : distributed.Client
        The client under which the search will run. It is changed and returned.
    threads : int or None, default=1
        Number of threads of a fit. None leaves it to the framework, which takes all processors.
    gpus : int, list of str or None, default=None
        The GPUs of each machine, of which every worker gets one for itself: their number, or their
        names as in ``CUDA_VISIBLE_DEVICES``. None lets each worker see what it sees.

    Returns
    -------
    client : distributed.Client
        The same client.

    Raises
    ------
    ValueError
        If a worker does several tasks at a time, shares its process with another one, has no GPU
        left for it, or has started the framework with other settings.

    See Also
    --------
    PrepareWorker : What is done on each worker.

    Notes
    -----
    An array in memory travels to the scheduler once, which keeps it until the search has ended, and
    to each worker once. Pass paths or a memory map if that is too much.

    Examples
    --------
    >>> import joblib
    >>> from distributed import Client
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.model_selection import cross_val_score
    >>> from pcam_sklearn.distributed import prepare_client
    >>> X, y = [[0]] * 6, [0, 1] * 3
    >>> with Client(n_workers=1, threads_per_worker=1, processes=False,
    ...             dashboard_address=None) as client:
    ...     _ = prepare_client(client, threads=None)
    ...     with joblib.parallel_config("dask"):
    ...         scores = cross_val_score(DummyClassifier(), X, y, cv=3)
    >>> scores.tolist()
    [0.5, 0.5, 0.5]
    """
    import keras

    busy = [address for address, n in client.nthreads().items() if n != 1]
    if busy:
        raise ValueError(explain_many_tasks(busy))
    plugin = PrepareWorker(threads, gpus, backend=keras.backend.backend())
    try:
        client.register_plugin(plugin)
    except Exception:
        # A plugin that fails would keep workers of this cluster from starting, for all users.
        client.unregister_worker_plugin(plugin.name)
        raise
    if not isinstance(client.scatter, _KeepInputs):
        client.scatter = _KeepInputs(client)
    return client


class _KeepInputs:
    """`Client.scatter`, but joblib's arguments become tasks, which Dask does again when lost."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scatter = client.scatter

    def __call__(self, data: Any, *args: Any, **options: Any) -> Any:
        if options == {"asynchronous": True, "hash": False}:  # So joblib calls it.
            return self._keep(data)
        return self._scatter(data, *args, **options)

    def _keep(self, data: Any) -> Awaitable[Future]:
        mapped = find_mapped_file(data)
        make = mapped.open if mapped is not None else partial(_same, data)
        # Fits wait for this, so it goes before other fits.
        task = {"key": f"{type(data).__name__}-{uuid4().hex}", "pure": False, "priority": 1}
        with dask.config.set(_NO_WARNING):  # The advice is to scatter it.
            future = self._client.submit(make, **task)
        return _soon(future)


def _same(data: Any) -> Any:
    return data


async def _soon(future: Future) -> Future:
    return future

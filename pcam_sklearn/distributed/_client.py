"""All that a Dask client and its workers need before a search, in one call."""

from typing import Any

from distributed import Client

from pcam_sklearn.distributed._backend import repair_backend
from pcam_sklearn.distributed._workers import PrepareWorker, explain_many_tasks


def prepare_client(
    client: Client, *, threads: int | None = 1, gpus: int | list[str] | None = None
) -> Client:
    """Prepare a Dask client and its workers for searches.

    Each worker, also one that comes later or is started again, gets the :class:`PrepareWorker`
    plugin. Memory maps travel as the name of their file. In this process joblib's backend "dask"
    is repaired: a worker that is killed costs the fits that it was at, where joblib by itself loses
    with it the patches and rows that all fits share. A fit that Dask gives up is an error, and does
    not keep the search waiting forever. A single worker does the fits, not the client.

    Parameters
    ----------
    client : distributed.Client
        The client under which the search will run.
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
    TypeError
        If `client` is not a Dask client, or is an asynchronous one.
    ValueError
        If a parameter is not as documented, the client is closed, or a worker does several tasks at
        a time, shares its process with another one, has no GPU left for it, or has started the
        framework with other settings.

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
    ...             dashboard_address=":0") as client:
    ...     _ = prepare_client(client, threads=None)
    ...     with joblib.parallel_config("dask"):
    ...         scores = cross_val_score(DummyClassifier(), X, y, cv=3)
    >>> scores.tolist()
    [0.5, 0.5, 0.5]
    """
    import keras

    _check_client(client)
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
    repair_backend(client)
    return client


def _check_client(client: Any) -> None:
    """Raise an error for what is no open client of Dask that waits for results."""
    if not isinstance(client, Client):
        raise TypeError(
            f"prepare_client takes a distributed.Client, got {type(client).__name__}; type "
            "Client(address), or cluster.get_client()."
        )
    if client.asynchronous:
        raise TypeError("joblib waits for its results; make the client without asynchronous=True.")
    if client.status != "running":
        raise ValueError(f"the client is {client.status}; make a new one with Client(address).")

"""The option ``--dask``: the workers of a Dask cluster do the fits of a search."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from pcam_sklearn.cli._options import combine

_SECONDS = 10  # For the scheduler to answer, and for a worker to be there.


cluster_options = combine(
    click.option(
        "--dask",
        metavar="ADDRESS",
        help="Address of a Dask scheduler, such as tcp://host:8786, whose workers do the fits of "
        "the search.",
    ),
    click.option(
        "--worker-threads",
        type=click.IntRange(min=1),
        help="Threads of a fit on a worker; 1 if not given.",
    ),
    click.option(
        "--worker-gpus",
        type=click.IntRange(min=1),
        help="GPUs of each machine, of which every worker gets one for itself.",
    ),
)


def check_cluster_options(context: click.Context) -> None:
    """Raise UsageError for options of which one would be ignored."""
    given = context.params
    source = context.get_parameter_source("jobs")
    if given["dask"] is not None and source is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "--jobs is for fits on this machine, and with --dask each worker does one; leave one "
            "of the two out"
        )
    for name in ("worker_threads", "worker_gpus"):
        if given["dask"] is None and given[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} is for --dask; pass both")


@contextmanager
def cluster(address: str, threads: int | None, gpus: int | None) -> Iterator[dict[str, Any]]:
    """Connect to a scheduler, prepare its workers, and give options of `joblib.parallel_config`."""
    try:
        from distributed import Client

        from pcam_sklearn.distributed import prepare_client
    except ImportError as error:
        raise ValueError(
            f"--dask needs Dask ({error}); type: pip install dask distributed"
        ) from error
    try:
        client = Client(address, timeout=_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, "
            "and pass the address that it prints, such as tcp://host:8786"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS)
        except TimeoutError as error:
            raise ValueError(
                f"the scheduler at {address} has no worker; start one with `dask worker {address} "
                "--nthreads 1`"
            ) from error
        prepare_client(client, threads=threads or 1, gpus=gpus)
        yield {"backend": "dask", "client": client}

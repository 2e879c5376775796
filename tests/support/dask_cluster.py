"""A Dask cluster of two worker processes that the tests of one process share."""

import logging

import pytest


@pytest.fixture(scope="session")
def dask_cluster():
    """Return a cluster of two workers with nannies, which are not prepared yet."""
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    # A killed worker is written about at length.
    settings = {"silence_logs": logging.CRITICAL, "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **settings) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def dask_client(dask_cluster):
    """Return a client of the cluster, prepared for fits with one thread."""
    from pcam_sklearn.distributed import prepare_client

    with dask_cluster.get_client() as client:
        yield prepare_client(client)

"""Searches whose fits run on the workers of a Dask cluster: what the workers and the client need.

The searches are scikit-learn's own, under ``joblib.parallel_config("dask")``.
"""

try:
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        "pcam_sklearn.distributed needs Dask; type: pip install dask distributed"
    ) from error

from pcam_sklearn.distributed._client import prepare_client
from pcam_sklearn.distributed._workers import PrepareWorker

__all__ = ["PrepareWorker", "prepare_client"]

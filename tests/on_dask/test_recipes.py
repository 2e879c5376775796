"""The recipes of docs/scaling.md that need more than a local cluster."""

import re
import signal
import sys
from pathlib import Path

import joblib
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_val_score
from support.other_process import start_python
from support.worker_facts import environment_variable

distributed = pytest.importorskip("distributed", reason="needs the extra dask")

from pcam_sklearn.distributed import prepare_client  # noqa: E402

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_workers_that_were_started_by_address_do_the_fits():
    settings = {"n_workers": 0, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(host="127.0.0.1", **settings) as cluster:
        command = ("-m", "dask", "worker", cluster.scheduler_address, "--nthreads", "1")
        with (
            start_python(*command, "--nworkers", "2", "--no-dashboard") as process,
            cluster.get_client() as client,
        ):
            client.wait_for_workers(2, timeout=60)
            prepare_client(client, threads=3)
            with joblib.parallel_config("dask"):
                scores = cross_val_score(DummyClassifier(), [[0]] * 6, [0, 1] * 3, cv=3)
            threads = client.run(environment_variable, "TF_NUM_INTRAOP_THREADS")
            process.terminate()
            process.communicate()
    assert scores.tolist() == [0.5, 0.5, 0.5]
    assert list(threads.values()) == ["3", "3"]


@pytest.fixture
def _interrupts_stay():
    """Undo what importing dask_jobqueue does to Ctrl-C in the whole process."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("_interrupts_stay")
def test_a_slurm_job_of_the_recipe_is_one_worker_with_one_fit_at_a_time_and_one_gpu():
    dask_jobqueue = pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue")
    recipe = re.search(r"^cluster = SLURMCluster\(\n(.*?)^\)$", PAGE, re.DOTALL | re.MULTILINE)
    settings = eval(f"dict({recipe[1]})")
    with dask_jobqueue.SLURMCluster(
        **settings, scheduler_options={"dashboard_address": ":0"}, python=sys.executable
    ) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=4\n" in script
    assert "#SBATCH --gres=gpu:1\n" in script
    assert " --nthreads 1 " in script
    assert "--nworkers" not in script

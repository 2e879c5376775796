"""Workers are prepared before their first fit, and what cannot be prepared is refused."""

import asyncio
import os
import pickle

import joblib
import keras
import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from support.other_process import run_python
from support.tiny import PATCH_SIDE, make_data, quick_pipeline
from support.worker_facts import backend_of_a_fit, environment_variable, threads_named

distributed = pytest.importorskip("distributed", reason="needs the extra dask")

from pcam_sklearn.distributed import PrepareWorker, _cards, prepare_client  # noqa: E402
from pcam_sklearn.distributed._cards import claim_card  # noqa: E402

APART = {"dashboard_address": ":0", "silence_logs": 50}
HERE = {"processes": False, **APART}
X, Y = make_data(side=PATCH_SIDE)


@pytest.fixture
def own_environment(monkeypatch):
    """Put the environment of this process back, which a worker in it changes."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """Lock GPUs in a folder of this test."""
    monkeypatch.setattr(_cards.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(_cards, "_VISIBLE", None)


def one_worker_here(**settings):
    return distributed.Client(n_workers=1, threads_per_worker=1, **{**HERE, **settings})


def test_dask_absent_is_an_error_that_says_what_to_install():
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "import pcam_sklearn\n"
        "try: pcam_sklearn.distributed\n"
        "except ImportError as error: print(error)"
    )
    assert "pip install dask distributed" in run_python("-c", code)[0]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_a_number_of_threads_that_is_none_is_refused(threads):
    with pytest.raises(ValueError, match="threads must be an integer from 1 on, or None"):
        PrepareWorker(threads)


def test_numbers_may_be_those_of_numpy():
    plugin = PrepareWorker(np.int64(2), np.int64(1))
    assert (plugin.threads, plugin.gpus) == (2, 1)


def test_a_backend_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"backend must be one of .*'jax'.* got 'theano'"):
        PrepareWorker(backend="theano")


@pytest.mark.parametrize("client", [None, "tcp://host:8786"])
def test_what_is_no_client_is_refused_with_what_to_type(client):
    with pytest.raises(TypeError, match=r"got (NoneType|str); type Client\(address\)"):
        prepare_client(client)


@pytest.mark.slow
def test_a_client_that_is_closed_or_awaited_is_refused(own_environment):
    async def prepare(address):
        async with distributed.Client(address, asynchronous=True, set_as_default=False) as client:
            prepare_client(client)

    with one_worker_here() as client:
        address = client.cluster.scheduler_address
        with pytest.raises(TypeError, match="without asynchronous=True"):
            asyncio.run(prepare(address))
    with pytest.raises(ValueError, match="the client is closed; make a new one"):
        prepare_client(client)


@pytest.mark.parametrize("gpus", [0, -1, True, [], [0, 1], "0"])
def test_gpus_that_are_none_are_refused(gpus):
    with pytest.raises(ValueError, match="gpus must be a number from 1 on, a list of names"):
        PrepareWorker(gpus=gpus)


@pytest.mark.slow
def test_a_worker_of_several_threads_is_refused(own_environment):
    with (
        distributed.Client(n_workers=1, threads_per_worker=2, **HERE) as client,
        pytest.raises(ValueError, match=r"one task at a time, and 1 do several .*--nthreads 1"),
    ):
        prepare_client(client, threads=None)


@pytest.mark.slow
def test_two_workers_in_one_process_are_refused_and_the_cluster_stays_usable(own_environment):
    with distributed.Client(n_workers=2, threads_per_worker=1, **HERE) as client:
        with pytest.raises(ValueError, match=r"shares process \d+ with another worker"):
            prepare_client(client, threads=None)
        assert client.submit(sum, [1, 2]).result() == 3
        client.cluster.scale(3)  # A plugin left behind would keep this one from starting.
        client.wait_for_workers(3, timeout=60)


@pytest.mark.slow
def test_a_worker_in_the_client_s_process_keeps_its_threads_and_searches(own_environment):
    pipeline = quick_pipeline()
    expected = cross_val_score(pipeline, X, Y, cv=2, scoring="roc_auc")
    with one_worker_here() as client:
        prepare_client(client, threads=None)
        with joblib.parallel_config("dask"):
            found = cross_val_score(pipeline, X, Y, cv=2, scoring="roc_auc")
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_a_framework_that_has_started_with_other_threads_is_an_error(own_environment):
    quick_pipeline().fit(X, Y)
    with (
        one_worker_here() as client,
        pytest.raises(ValueError, match=r"before it was prepared.*client\.restart\(\)"),
    ):
        prepare_client(client, threads=1)
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


@pytest.mark.slow
def test_to_prepare_a_second_time_is_fine_and_other_threads_are_an_error(dask_client):
    # A fit has started the framework with the threads that were set.
    dask_client.run(backend_of_a_fit)
    prepare_client(dask_client, threads=1)
    with pytest.raises(ValueError, match=r"TF_NUM_INTRAOP_THREADS.* were not set"):
        prepare_client(dask_client, threads=2)
    prepare_client(dask_client, threads=1)


@pytest.mark.slow
def test_workers_run_the_backend_of_the_client_with_its_threads(own_environment):
    pytest.importorskip("jax", reason="needs JAX")
    with distributed.Client(n_workers=1, threads_per_worker=1, **APART) as client:
        client.register_plugin(PrepareWorker(threads=37, backend="jax"))
        assert list(client.run(backend_of_a_fit).values()) == ["jax"]
        assert list(client.run(threads_named, "tf_XLAEigen").values()) == [37]


@pytest.mark.slow
def test_another_backend_than_the_client_s_is_an_error(own_environment, monkeypatch):
    other = {"tensorflow": "jax"}.get(os.environ.get("KERAS_BACKEND", "tensorflow"), "tensorflow")
    with (
        one_worker_here() as client,
        pytest.raises(ValueError, match=f"and the client on {other}; start its process with"),
    ):
        client.register_plugin(PrepareWorker(threads=None, backend=other))


@pytest.fixture(scope="module")
def with_gpus(tmp_path_factory):
    """Return a client of two workers that get a GPU each, and lock it in a folder of their own."""
    locks = str(tmp_path_factory.mktemp("locks"))
    settings = {"n_workers": 2, "threads_per_worker": 1, "env": {"TMPDIR": locks}, **APART}
    with distributed.LocalCluster(**settings) as cluster, cluster.get_client() as client:
        yield prepare_client(client, threads=37, gpus=["4", "GPU-7"])


def cards_of(client):
    return client.run(environment_variable, "CUDA_VISIBLE_DEVICES")


@pytest.mark.slow
def test_each_worker_of_a_machine_gets_a_gpu_of_its_own_that_it_keeps(with_gpus):
    before = cards_of(with_gpus)
    assert sorted(before.values()) == ["4", "GPU-7"]
    prepare_client(with_gpus, threads=37, gpus=["4", "GPU-7"])
    assert cards_of(with_gpus) == before


@pytest.mark.slow
def test_a_worker_that_is_started_again_gets_the_gpu_that_is_free(with_gpus):
    with_gpus.restart_workers(list(cards_of(with_gpus))[:1])
    assert sorted(cards_of(with_gpus).values()) == ["4", "GPU-7"]


@pytest.mark.slow
def test_the_memory_on_gpus_grows(with_gpus):
    grows = with_gpus.run(environment_variable, "TF_FORCE_GPU_ALLOW_GROWTH")
    assert list(grows.values()) == ["true", "true"]


@pytest.mark.slow
def test_tensorflow_starts_with_the_threads_that_were_set(with_gpus):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("asks TensorFlow")
    one = list(with_gpus.nthreads())[:1]
    with_gpus.run(backend_of_a_fit, workers=one)
    assert with_gpus.run(threads_named, "tf_Compute", workers=one)[one[0]] >= 37


def test_gpus_are_taken_one_by_one_until_none_is_left(cards):
    taken = [claim_card(2), claim_card(2)]
    assert [card.name for card in taken] == ["0", "1"]
    with pytest.raises(ValueError, match=r"no GPU is left .* have all of 0, 1"):
        claim_card(2)
    taken[0].release()
    again = claim_card(2)
    assert again.name == "0"
    for card in (taken[1], again):
        card.release()


def test_a_user_without_a_name_gets_a_gpu(cards, monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(_cards.getpass, "getuser", nameless)
    card = claim_card(1)
    assert card.name == "0"
    card.release()


def test_a_number_of_gpus_counts_those_that_slurm_left_visible(cards, monkeypatch):
    monkeypatch.setattr(_cards, "_VISIBLE", "5,GPU-3")
    taken = [claim_card(2), claim_card(2)]
    assert [card.name for card in taken] == ["5", "GPU-3"]
    for card in taken:
        card.release()
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES is '5,GPU-3'; pass at most 2"):
        claim_card(3)


def test_the_plugin_is_pickled_without_the_lock_of_this_process(cards):
    plugin = PrepareWorker(threads=3, gpus=1)
    plugin._card = claim_card(1)
    copy = pickle.loads(pickle.dumps(plugin))
    assert (copy.threads, copy.gpus, copy._card) == (3, 1, None)
    plugin._card.release()

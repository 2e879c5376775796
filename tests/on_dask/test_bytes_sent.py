"""Memory maps and paths travel as kilobytes, and a map of another file is found out."""

import pickle

import joblib
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV

distributed = pytest.importorskip("distributed", reason="needs the extra dask")

from distributed.comm import tcp  # noqa: E402
from distributed.protocol import deserialize, serialize  # noqa: E402

from pcam_sklearn import PatchReader  # noqa: E402
from pcam_sklearn.distributed._maps import find_mapped_file  # noqa: E402

N = 1000
Y = np.arange(N) % 2


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return a file of 48 MB."""
    path = tmp_path_factory.mktemp("maps") / "X.npy"
    shape = (N, 128, 128, 3)
    array = np.lib.format.open_memmap(path, "w+", dtype=np.uint8, shape=shape)
    array[:] = np.arange(N * 3, dtype=np.uint8).reshape(N, 1, 1, 3)
    array[:, 5, 7, 1] = 200
    array.flush()
    return path


@pytest.fixture
def X(path):
    return np.load(path, mmap_mode="r")


@pytest.fixture
def sent(monkeypatch):
    """Return a list of the bytes of each message of this process, where the scheduler lives too."""
    sizes, write = [], tcp.TCP.write

    async def count(self, *args, **options):
        sizes.append(await write(self, *args, **options))
        return sizes[-1]

    monkeypatch.setattr(tcp.TCP, "write", count)
    return sizes


def between_workers(client):
    return sum(client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total).values())


def bytes_per_fit(client, sent, X, candidates=20):
    """Return the bytes that a search sends, by any way, for each of its fits."""
    grid = {"random_state": list(range(candidates))}
    search = GridSearchCV(DummyClassifier(), grid, cv=3, refit=False, error_score="raise")
    before = between_workers(client)
    sent.clear()
    with joblib.parallel_config("dask"):
        search.fit(X, Y)
    total = sum(sent)
    return (total + between_workers(client) - before) / (3 * candidates)


@pytest.mark.slow
def test_a_memory_map_of_49_mb_costs_kilobytes_per_fit(dask_client, sent, X):
    assert bytes_per_fit(dask_client, sent, X) < 50_000


@pytest.mark.slow
def test_paths_cost_kilobytes_per_fit(dask_client, sent):
    paths = np.array([f"/a/folder/with/patches/{i:040}.tif" for i in range(N)], dtype=object)
    assert bytes_per_fit(dask_client, sent, paths) < 50_000


@pytest.mark.slow
def test_an_array_travels_once_to_each_worker_and_not_once_per_fit(dask_client, sent, X):
    array = np.array(X[:, :32, :32])
    # To the scheduler, from it to a worker, from there to the other one, which may also make it.
    assert bytes_per_fit(dask_client, sent, array) < 6 * array.nbytes / 60


@pytest.mark.parametrize(
    "rows",
    [
        slice(None),
        slice(3, 50),
        slice(None, None, 2),
        slice(40, 2, -3),
        (slice(5, 9), slice(8, 40), slice(None, None, -1)),
    ],
    ids=["all", "some", "every second", "backwards", "a crop turned round"],
)
def test_any_view_of_a_map_is_mapped_again_as_it_was(X, rows):
    view = X[rows]
    message = serialize(view)
    assert sum(map(len, message[1])) < 1000
    again = deserialize(*message)
    np.testing.assert_array_equal(again, view)
    assert again.strides == view.strides
    assert not again.flags.writeable


def test_a_map_that_came_from_a_message_goes_on_as_its_name(X):
    again = deserialize(*serialize(deserialize(*serialize(X[7:90]))))
    assert isinstance(again, np.memmap)
    np.testing.assert_array_equal(again, X[7:90])


@pytest.mark.parametrize("offset", [0, 1, 4096, 5001])
def test_a_map_with_an_offset_is_mapped_again_as_it_was(path, offset):
    X = np.memmap(path, np.uint8, "r", offset=offset, shape=(70, 11))
    np.testing.assert_array_equal(find_mapped_file(X[3:]).open(), X[3:])


def test_what_was_written_to_a_map_is_there_when_it_is_mapped_again(tmp_path):
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(10, 3))
    X[4] = 7
    np.testing.assert_array_equal(deserialize(*serialize(X)), X)


def test_a_private_copy_travels_as_the_bytes_that_it_holds(path):
    X = np.load(path, mmap_mode="c")[:5]
    X[2] = 9
    assert find_mapped_file(X) is None
    np.testing.assert_array_equal(deserialize(*serialize(X)), X)


def test_arrays_computed_from_a_map_travel_as_bytes(X):
    computed = X[:4] + 1
    assert find_mapped_file(computed) is None
    np.testing.assert_array_equal(deserialize(*serialize(computed)), computed)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, np.ones(100))
    mapped = find_mapped_file(np.load(path, mmap_mode="r"))
    path.unlink()
    with pytest.raises(OSError, match=r"cannot map .*X\.npy .*the same name on the client and on"):
        mapped.open()


@pytest.mark.parametrize("changed", [slice(None), slice(5000, 95_000)], ids=["all", "middle"])
def test_another_file_of_the_same_name_is_an_error(tmp_path, changed):
    path = tmp_path / "X.npy"
    np.save(path, np.ones(100_000))
    mapped = pickle.loads(pickle.dumps(find_mapped_file(np.load(path, mmap_mode="r"))))
    other = np.ones(100_000)
    other[changed] = 0
    np.save(tmp_path / "other.npy", other)
    (tmp_path / "other.npy").rename(path)
    with pytest.raises(ValueError, match=r"X\.npy on .* holds other patches than on the client"):
        mapped.open()


def test_files_left_unread_are_large_enough_to_be_handed_over_once(sample_folder):
    from dask.sizeof import sizeof

    paths = [str(path) for path in sorted((sample_folder / "train").iterdir())]
    files = PatchReader(in_memory=False).transform(paths)
    assert sizeof(files) > 1000

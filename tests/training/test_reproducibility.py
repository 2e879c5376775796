"""Equal fits give equal bits, and change nothing of the caller or of the process."""

import hashlib
import os
import random
import threading

import keras
import numpy as np
import pytest
from joblib import Parallel, delayed
from support.other_process import run_python
from support.tiny import make_data, quick, small, with_dropout

from pcam_sklearn._training._data import Batches, TrainingSet

X, Y = make_data()


def proba(classifier, X=X):
    return classifier.predict_proba(X)


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


@pytest.fixture(scope="module")
def expected():
    """Return the probabilities of the network that compiles fastest, trained on bytes."""
    return proba(quick().fit(X, Y))


@pytest.mark.slow
def test_the_same_number_gives_the_same_bits(fitted):
    again = small().fit(X, Y)
    assert len(np.unique(proba(fitted))) > 40
    assert np.array_equal(proba(fitted), proba(again))
    assert fitted.history_ == again.history_


TWO_FITS = """
import numpy as np
from pcam_sklearn import CNNClassifier
from pcam_sklearn.datasets import make_patches

patches = make_patches(64, n_slides=4, random_state=0)
weights = [
    CNNClassifier(model__stages=4, model__enlarge=1, epochs=1, random_state=0)
    .fit(patches.images, patches.target, groups=patches.groups)
    .model_.get_weights()
    for _ in range(2)
]
print(all(map(np.array_equal, *weights)))
"""


@pytest.mark.slow
def test_a_large_network_gives_the_same_bits():
    # In a process of its own, because others may have set the number of threads.
    said, _ = run_python("-c", TWO_FITS, KERAS_BACKEND="tensorflow")
    assert said.split() == ["True"]


@pytest.mark.parametrize("chosen", [{}, {"TF_NUM_INTEROP_THREADS": "4"}])
def test_the_command_runs_them_so_unless_the_user_chose_a_number(chosen):
    code = "import os, pcam_sklearn.__main__; print(os.environ['TF_NUM_INTEROP_THREADS'])"
    said, _ = run_python("-c", code, **chosen)
    assert said.split() == [chosen.get("TF_NUM_INTEROP_THREADS", "1")]


@pytest.fixture
def drawing():
    """Draw from Python's global generator in another thread, as one of a Dask worker does."""
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            random.sample(range(10), 3)

    thread = threading.Thread(target=draw)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.slow
def test_draws_of_another_thread_change_no_fit(expected, drawing):
    for _ in range(4):
        assert np.array_equal(expected, proba(quick().fit(X, Y)))


@pytest.mark.slow
def test_another_number_gives_another_network(expected):
    assert not np.array_equal(expected, proba(quick(random_state=1).fit(X, Y)))


@pytest.mark.slow
def test_random_state_instances_in_the_same_state_give_the_same_bits_and_move_on():
    one, other = np.random.RandomState(3), np.random.RandomState(3)
    first = proba(quick(random_state=one).fit(X, Y))
    assert np.array_equal(first, proba(quick(random_state=other).fit(X, Y)))
    assert not np.array_equal(first, proba(quick(random_state=one).fit(X, Y)))


@pytest.mark.slow
def test_without_a_random_state_each_fit_differs_whatever_the_global_seed():
    keras.utils.set_random_seed(0)
    first = proba(quick(random_state=None).fit(X, Y))
    keras.utils.set_random_seed(0)
    assert not np.array_equal(first, proba(quick(random_state=None).fit(X, Y)))


@pytest.mark.slow
def test_fits_in_threads_give_the_same_bits_as_one_by_one():
    seeds = [0, 1, 0, 2, 0, 1]
    alone = {seed: proba(quick(random_state=seed).fit(X, Y)) for seed in set(seeds)}
    together = Parallel(n_jobs=3, backend="threading")(
        delayed(lambda seed: proba(quick(random_state=seed).fit(X, Y)))(seed) for seed in seeds
    )
    for seed, probabilities in zip(seeds, together, strict=True):
        assert np.array_equal(probabilities, alone[seed])


@pytest.mark.slow
@pytest.mark.parametrize("random_state", [0, None])
def test_the_random_numbers_and_the_environment_of_the_process_go_on(random_state):
    def draw():
        uniform = keras.ops.convert_to_numpy(keras.random.uniform((2,)))
        return [random.random(), np.random.rand(), *uniform.tolist()]  # noqa: NPY002

    keras.utils.set_random_seed(5)
    expected = draw()
    keras.utils.set_random_seed(5)
    environment, config = dict(os.environ), (keras.config.floatx(), keras.config.dtype_policy())
    quick(network=with_dropout, random_state=random_state, augment="d4").fit(X, Y).predict(X)
    assert draw() == expected
    assert dict(os.environ) == environment
    assert (keras.config.floatx(), keras.config.dtype_policy()) == config


def digest(*arrays):
    return [hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for array in arrays]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_patches_labels_and_weights_are_not_changed(dtype):
    patches = (X if dtype == np.uint8 else X / 255).astype(dtype)
    labels, weights = Y.copy(), np.linspace(0, 1, len(Y))
    before = digest(patches, labels, weights)
    quick(class_weight={0: 2.0}).fit(patches, labels, sample_weight=weights).predict(patches)
    assert digest(patches, labels, weights) == before


def test_a_read_only_memory_map_is_trained_on_and_predicted(tmp_path):
    np.save(tmp_path / "X.npy", X)
    patches = np.load(tmp_path / "X.npy", mmap_mode="r")
    labels, weights = Y.copy(), np.ones(len(Y))
    labels.setflags(write=False)
    weights.setflags(write=False)
    classifier = quick().fit(patches, labels, sample_weight=weights)
    assert np.array_equal(proba(classifier, patches), proba(classifier))
    assert digest(patches) == digest(X)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7, 39, 40, 1000])
def test_probabilities_do_not_depend_on_the_batch_size(fitted, batch_size):
    expected = proba(fitted)
    fitted.set_params(predict__batch_size=batch_size)
    np.testing.assert_allclose(proba(fitted), expected, atol=1e-6)


def test_the_other_patches_do_not_change_the_probability_of_a_patch(fitted):
    np.testing.assert_allclose(proba(fitted, X[5:6]), proba(fitted)[5:6], atol=1e-6)
    np.testing.assert_allclose(proba(fitted, X[::-1]), proba(fitted)[::-1], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "longdouble"])
def test_bytes_and_floats_get_the_same_probabilities(fitted, dtype):
    tolerance = 1e-3 if dtype == "float16" else 1e-6
    as_floats = proba(fitted, (X / np.longdouble(255)).astype(dtype))
    np.testing.assert_allclose(as_floats, proba(fitted), atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "longdouble"])
def test_trained_on_bytes_or_floats_it_is_the_same_network(dtype, expected):
    as_floats = quick().fit((X / np.longdouble(255)).astype(dtype), Y)
    np.testing.assert_allclose(proba(as_floats), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "laid_out",
    [np.asfortranarray, lambda X: X[::-1, ::-1][::-1, ::-1], lambda X: list(X)],
    ids=["Fortran order", "negative strides", "list of arrays"],
)
def test_the_layout_in_memory_does_not_matter(laid_out, expected):
    classifier = quick().fit(laid_out(X), Y)
    assert np.array_equal(proba(classifier, laid_out(X)), expected)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow reads ahead")
@pytest.mark.parametrize("n_read", [0, 1, 3, 7])
def test_a_pass_has_each_row_once_if_the_next_order_is_drawn_during_it(n_read):
    rows = np.arange(1, len(X), 2)
    batches = Batches(TrainingSet(X, Y, np.arange(len(X)), np.arange(2)), rows, batch_size=3)
    batches.shuffle(np.random.default_rng(0))
    passing = batches.for_keras()
    one_pass = iter(passing)
    seen = [next(one_pass)[2].numpy() for _ in range(n_read)]
    batches.shuffle(np.random.default_rng(1))
    seen += [weights.numpy() for *_, weights in one_pass]
    next_pass = [weights.numpy() for *_, weights in passing]
    assert sorted(np.concatenate(seen)) == sorted(np.concatenate(next_pass)) == rows.tolist()
    assert np.array_equal(np.concatenate(next_pass), batches.rows)


class Calls(keras.callbacks.Callback):
    """Count how often the framework is called in an epoch."""

    n_calls = 0

    def on_train_batch_end(self, batch, logs=None):
        Calls.n_calls += 1


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the others take single steps")
@pytest.mark.parametrize(("n_patches", "n_calls"), [(199, 199), (200, 13)])
def test_a_long_fit_runs_several_steps_per_call(n_patches, n_calls, monkeypatch):
    monkeypatch.setattr(Calls, "n_calls", 0)
    X, y = make_data(n_patches)
    classifier = quick(batch_size=1, callbacks=[Calls()], compile__steps_per_execution=None)
    classifier.fit(X, y)
    assert Calls.n_calls == n_calls


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch takes one step at a time")
def test_steps_per_execution_changes_no_update():
    def train(**changes):
        return proba(quick(epochs=2, batch_size=3, **changes).fit(X, Y))

    one_by_one = train()
    for steps in (3, 16, 100):
        assert np.array_equal(train(compile__steps_per_execution=steps), one_by_one)

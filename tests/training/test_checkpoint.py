"""A fit that was killed goes on at its last whole epoch, and ends as if nothing had happened."""

import copy
import enum
import gc
import logging
import os
import signal
import threading
from argparse import Namespace
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import cross_val_score
from support.other_process import run_python, start_python
from support.own_parts import Count, Damped, Falling, Squares
from support.tiny import make_data, quick, small

from pcam_sklearn import CNNClassifier
from pcam_sklearn._training import KEEP
from pcam_sklearn._training._checkpoint import Checkpoint
from pcam_sklearn._training._identity import identify
from pcam_sklearn._training._plan import TrainingPlan

X, Y = make_data(60)
EPOCHS = 4
RECIPE = {
    "network": "residual", "filters": (2, 3), "dense_units": None, "dropout": 0.3,
    "augment": ("d4", "stain", "sharpness", "shift"), "schedule": "cosine", "optimizer": "adamw",
    "learning_rate": 0.01, "weight_averaging": 0.9,
}  # fmt: skip
FITS = {
    "early stopping": {},
    "the whole recipe, averaged weights watched": RECIPE,
    "averaged weights": {
        "weight_averaging": 0.9,
        "validation_fraction": 0,
        "early_stopping": False,
    },
    "a loss that is scaled": {"dtype_policy": "mixed_float16"},
    "own optimizer and schedule": {"optimizer": Damped(Falling(0.1)), "learning_rate": None},
    "callbacks": {
        "callbacks": [keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=9), Count()]
    },
    "a user's early stopping": {
        "callbacks": [keras.callbacks.EarlyStopping("loss", min_delta=9, patience=3)],
        "early_stopping": False,
    },
}


class Killed(BaseException):
    """The end of a process that is killed, as an exception."""


def kill(monkeypatch, fit, after):
    """Run a fit that ends at once when the epoch `after` is in its file."""
    write = Checkpoint.write

    def write_and_end(self, done):
        write(self, done)
        if done.n_done == after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", write_and_end)
        with pytest.raises(Killed):
            fit()


@pytest.fixture(scope="module", params=FITS.items(), ids=FITS)
def undisturbed(request):
    parameters = {"epochs": EPOCHS, **request.param[1]}
    return parameters, small(**parameters).fit(X, Y)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, EPOCHS])
def test_it_ends_with_the_bits_of_an_undisturbed_fit(undisturbed, after, monkeypatch, tmp_path):
    parameters, whole = undisturbed
    classifier = small(**parameters, checkpoint_dir=tmp_path / "new")
    kill(monkeypatch, lambda: classifier.fit(X, Y), after)
    assert not hasattr(classifier, "model_")
    classifier.fit(X, Y)
    assert_array_equal(classifier.predict_proba(X), whole.predict_proba(X))
    for weight, expected in zip(
        classifier.model_.get_weights(), whole.model_.get_weights(), strict=True
    ):
        assert_array_equal(weight, expected)
    for name in ("history_", "n_iter_", "best_epoch_"):
        assert getattr(classifier, name) == getattr(whole, name)
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.slow
def test_a_fit_that_had_stopped_early_trains_no_more(monkeypatch, tmp_path):
    never = {"n_iter_no_change": 1, "epochs": 9, "learning_rate": 1e-9}
    whole = small(**never).fit(X, Y)
    assert whole.n_iter_ < 9
    classifier = small(**never, checkpoint_dir=tmp_path)
    kill(monkeypatch, lambda: classifier.fit(X, Y), whole.n_iter_)
    assert classifier.fit(X, Y).n_iter_ == whole.n_iter_
    assert classifier.best_epoch_ == whole.best_epoch_
    assert_array_equal(classifier.predict_proba(X), whole.predict_proba(X))


@pytest.mark.slow
def test_a_fit_that_resumes_another_goes_on_as_well(monkeypatch, tmp_path):
    fits = []
    for folder in (None, tmp_path):
        fits.append(quick(optimizer="adam", epochs=2).fit(X, Y))
        fits[-1].set_params(warm_start=True, checkpoint_dir=folder)
    whole, classifier = fits
    whole.fit(X, Y)
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=3)
    classifier.fit(X, Y)
    assert classifier.n_iter_ == 4
    assert classifier.history_ == whole.history_
    assert_array_equal(classifier.predict_proba(X), whole.predict_proba(X))


def test_a_fit_without_a_seed_goes_on_with_its_own(monkeypatch, tmp_path):
    classifier = quick(random_state=None, epochs=2, checkpoint_dir=tmp_path)
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=1)
    classifier.fit(X, Y)
    assert classifier.n_iter_ == 2
    assert len(classifier.history_["loss"]) == 2
    assert os.listdir(tmp_path) == []


def test_what_callbacks_have_noted_is_given_back(monkeypatch, tmp_path):
    seen = []

    class Noting(Count):
        def on_train_end(self, logs=None):
            seen.append(self.count)

    classifier = quick(callbacks=[Noting(10)], epochs=3, checkpoint_dir=tmp_path)
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=2)
    classifier.fit(X, Y)
    assert seen == [13]


CHANGES = {
    "a parameter": ({"batch_size": 15}, X, Y, {}),
    "the seed": ({"random_state": 1}, X, Y, {}),
    "an optimizer's factor": ({"optimizer": Damped(0.1, factor=0.25)}, X, Y, {}),
    "the patches": ({}, X[::-1], Y, {}),
    "the labels": ({}, X, 1 - Y, {}),
    "the weights": ({}, X, Y, {"sample_weight": np.full(60, 2.0)}),
    "the slides": ({}, X, Y, {"groups": np.arange(60) // 2}),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_fit_begins_anew(change, monkeypatch, tmp_path):
    first = {"optimizer": Damped(0.1), "epochs": 2, "checkpoint_dir": tmp_path}
    kill(monkeypatch, lambda: quick(**first).fit(X, Y), after=1)
    parameters, patches, labels, arguments = change
    other = {**first, **parameters}
    quick(**other).fit(patches, labels, **arguments)
    assert len(os.listdir(tmp_path)) == 1  # The file of the first fit is still there.
    fresh = quick(**{**other, "checkpoint_dir": None}).fit(patches, labels, **arguments)
    again = quick(**other).fit(patches, labels, **arguments)
    assert_array_equal(again.predict_proba(X), fresh.predict_proba(X))


def test_what_does_not_change_the_training_does_not_matter(monkeypatch, tmp_path):
    kill(monkeypatch, lambda: quick(epochs=2, checkpoint_dir=tmp_path).fit(X, Y), after=1)
    quick(epochs=2, verbose=2, test_time_augmentation="d4", checkpoint_dir=str(tmp_path)).fit(X, Y)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_each_fold_of_a_search_has_its_own_file(tmp_path):
    scores = [
        cross_val_score(quick(epochs=2, checkpoint_dir=folder), X, Y, cv=2)
        for folder in (None, tmp_path)
    ]
    assert_array_equal(*scores)
    assert os.listdir(tmp_path) == []


def test_partial_fit_and_initialize_write_nothing(tmp_path):
    quick(checkpoint_dir=tmp_path).partial_fit(X, Y).partial_fit(X, Y)
    quick(checkpoint_dir=tmp_path).initialize(X, Y)
    assert os.listdir(tmp_path) == []


def test_a_damaged_file_is_an_error_that_names_it(monkeypatch, tmp_path):
    classifier = quick(epochs=2, checkpoint_dir=tmp_path)
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=1)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    for damage in (content[: len(content) // 2], b"", content[:200] + b"!" + content[201:]):
        file.write_bytes(damage)
        with pytest.raises(ValueError, match=rf"{file.name} is damaged.*[Rr]emove it"):
            quick(epochs=2, checkpoint_dir=tmp_path).fit(X, Y)


def test_keras_own_backup_is_refused_with_the_way_out(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(ValueError, match=r"BackupAndRestore.*checkpoint_dir"):
        quick(callbacks=[backup]).fit(X, Y)


def test_keras_own_model_checkpoint_saves_the_network_which_keras_loads(tmp_path):
    path = tmp_path / "best.keras"
    best = keras.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True)
    classifier = quick(callbacks=[best]).fit(X, Y)
    loaded = keras.saving.load_model(path)
    expected = classifier.predict_proba(X)[:, 1]
    np.testing.assert_allclose(loaded.predict(X / 255, verbose=0)[:, 0], expected, atol=1e-6)


IN_A_PROCESS = """
import sys, numpy as np
from support.tiny import make_data, small
X, y = make_data(60)
fitted = small(epochs=30, early_stopping=False, checkpoint_dir=sys.argv[1], verbose=2).fit(X, y)
np.save(sys.argv[2], fitted.predict_proba(X))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_ends_with_the_same_bits(tmp_path):
    arguments = "-c", IN_A_PROCESS, str(tmp_path / "checkpoints"), str(tmp_path / "end.npy")
    with start_python(*arguments) as process:
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("Epoch 5/") for line in lines), process.stderr.read()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    output, _ = run_python(*arguments)
    assert "Epoch 1/" not in output
    whole = small(epochs=30, early_stopping=False).fit(X, Y)
    assert_array_equal(np.load(tmp_path / "end.npy"), whole.predict_proba(X))


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((NotADirectoryError, FileExistsError), match="file"):
        quick(checkpoint_dir=tmp_path / "file" / "folder").fit(X, Y)


def test_a_classifier_with_a_folder_is_cloned_and_shown_as_any_other():
    assert "checkpoint_dir='here'" in repr(CNNClassifier(checkpoint_dir="here"))


def make_network(activation, *, scale=1.0):
    """Return a network function that only its closure and defaults tell from another."""

    def network(input_shape, factor=scale):
        units = 2 if activation in {"relu", "gelu", "tanh"} else 1
        layers = [keras.layers.Flatten(), keras.layers.Dense(units, activation)]
        end = keras.layers.Dense(1, activation="sigmoid", dtype="float32")
        return keras.Sequential([keras.Input(input_shape), *layers, end])

    return network


def identity_of(patches=X, labels=Y, **parameters):
    """Return the name of a fit's file."""
    classifier = quick(**{"network": make_network("relu"), **parameters})
    data = classifier._check_arguments(patches, labels)
    return identify(TrainingPlan(classifier, data, classifier.epochs))


@pytest.mark.slow
def test_equal_fits_have_one_identity_in_each_process():
    code = "from training.test_checkpoint import identity_of; print(identity_of())"
    first, second = (run_python("-c", code, PYTHONHASHSEED=seed)[0] for seed in ("1", "2"))
    assert first == second


class Noted(keras.callbacks.Callback):
    """A callback whose setting is a list."""

    def __init__(self, rates):
        super().__init__()
        self.rates = rates


def slow(epoch):
    return 0.01 * SHARE


def slower(epoch):
    return 0.001 * SHARE


OTHER_FITS = {
    "closure": {"network": make_network("tanh")},
    "defaults": {"network": make_network("relu", scale=2.0)},
    "settings of a callback": {"callbacks": [keras.callbacks.EarlyStopping("loss", patience=9)]},
    "routed to a callback": {"callbacks": Count, "callbacks__start": 3},
    "a list of a callback": {"callbacks": [Noted([0.0])]},
    "a function of a callback": {"callbacks": [keras.callbacks.LearningRateScheduler(slower)]},
    "a loss of one's own": {"loss": Squares(3.0)},
    "one patch": {"patches": np.concatenate([X[:1], X[:1], X[2:]])},
}


@pytest.mark.parametrize("other", OTHER_FITS.values(), ids=OTHER_FITS)
def test_other_fits_have_other_identities(other):
    callbacks = [
        keras.callbacks.EarlyStopping("loss", patience=1),
        keras.callbacks.LearningRateScheduler(slow),
        Noted([0.1]),
        Count(),
    ]
    known = {identity_of(), identity_of(loss=Squares(2.0)), identity_of(callbacks=Count)}
    known |= {identity_of(callbacks=[callback]) for callback in callbacks}
    assert identity_of(**other) not in known


def with_helper(input_shape):
    """Return a network that another function and a global value decide on."""
    return keras.Sequential([keras.Input(input_shape), *layers_of(SHARE)])


def layers_of(scale):
    end = keras.layers.Dense(1, activation="sigmoid", dtype="float32")
    return [keras.layers.Rescaling(scale), keras.layers.Flatten(), end]


SHARE = 0.5


def chain(length):
    """Return the last of some functions, each of which calls the one before twice."""
    code = "".join(f"def f{i}(e): return f{i - 1}(e) + f{i - 1}(e)\n" for i in range(1, length))
    functions = {"__name__": __name__}
    exec("def f0(e): return 0.1\n" + code, functions)
    return functions[f"f{length - 1}"]


def test_helpers_of_helpers_are_told_apart_in_a_moment():
    first, second = (keras.callbacks.LearningRateScheduler(chain(n)) for n in (40, 41))
    assert identity_of(callbacks=[first]) != identity_of(callbacks=[second])


@pytest.mark.parametrize(
    "held",
    [
        logging.getLogger("fit"),
        pd.DataFrame({"a": [1]}),
        threading.Event(),
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
    ],
    ids=["log", "table", "event", "network"],
)
def test_what_is_no_setting_of_a_callback_is_left_out(held):
    assert identity_of(callbacks=[Noted(held)]) == identity_of(callbacks=[Noted(object())])


class Rated(keras.callbacks.Callback):
    rate = 0.1

    @staticmethod
    def factor():
        return 0.5


def test_what_a_class_says_is_part_of_the_identity(monkeypatch):
    found = [identity_of(callbacks=[Rated()])]
    monkeypatch.setattr(Rated, "rate", 0.2)
    found.append(identity_of(callbacks=[Rated()]))
    monkeypatch.setattr(Rated, "factor", staticmethod(lambda: 0.25))
    found.append(identity_of(callbacks=[Rated()]))
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("name", "value"), [("SHARE", 0.25), ("layers_of", lambda scale: [keras.layers.Flatten()])]
)
def test_what_a_function_uses_of_its_module_is_part_of_the_identity(name, value, monkeypatch):
    fits = [{"network": with_helper}]
    if name == "SHARE":
        fits.append({"callbacks": [keras.callbacks.LearningRateScheduler(slow)]})
    before = [identity_of(**fit) for fit in fits]
    assert before == [identity_of(**fit) for fit in fits]
    monkeypatch.setitem(globals(), name, value)
    assert not set(before) & {identity_of(**fit) for fit in fits}


def test_equal_instances_have_one_identity():
    assert identity_of(loss=Squares(2.0)) == identity_of(loss=Squares(2.0))


def test_equal_fits_at_the_same_time_have_files_of_their_own(tmp_path):
    first = Checkpoint(tmp_path, "same")
    with first, Checkpoint(tmp_path, "same") as second:
        assert first.path != second.path
    with Checkpoint(tmp_path, "same") as third:
        assert third.path == first.path
    assert os.listdir(tmp_path) == []


def test_the_file_of_a_killed_fit_comes_before_a_free_name(tmp_path):
    with Checkpoint(tmp_path, "same"), Checkpoint(tmp_path, "same") as second:
        second.path.touch()
    with pytest.raises(ValueError, match=f"{second.path.name} is damaged"):
        Checkpoint(tmp_path, "same")


def test_a_folder_may_keep_the_epochs_of_a_fit_that_is_done(tmp_path):
    (tmp_path / KEEP).touch()
    classifier = quick(epochs=2, checkpoint_dir=tmp_path).fit(X, Y)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    again = quick(epochs=2, checkpoint_dir=tmp_path).fit(X, Y)
    assert again.history_ == classifier.history_
    assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


class Forgetful(keras.callbacks.Callback):
    """A callback whose state is a generator, a set and a queue."""

    seen = ()

    def __init__(self):
        super().__init__()
        self.generator, self.epochs = np.random.default_rng(0), set()
        self.old = np.random.RandomState(0)
        self.last = deque(maxlen=2)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.add(epoch)
        child = self.generator.spawn(1)[0]
        self.last.append((child.integers(1000), self.old.randint(1000)))

    def on_train_end(self, logs=None):
        type(self).seen = (self.epochs, self.last, self.generator.integers(1000))


@pytest.mark.slow
def test_generators_sets_and_queues_of_callbacks_are_given_back(monkeypatch, tmp_path):
    quick(callbacks=[Forgetful()], epochs=3).fit(X, Y)
    whole = Forgetful.seen
    settings = {"epochs": 3, "checkpoint_dir": tmp_path}
    kill(monkeypatch, lambda: quick(callbacks=[Forgetful()], **settings).fit(X, Y), after=2)
    quick(callbacks=[Forgetful()], **settings).fit(X, Y)
    assert Forgetful.seen == whole


# A process that is killed closes its files; here they are left to the garbage collector.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_log_of_keras_keeps_the_epochs_before(monkeypatch, tmp_path):
    log = str(tmp_path / "log.csv")
    callbacks = [keras.callbacks.CSVLogger(log)]
    classifier = quick(callbacks=callbacks, epochs=3, checkpoint_dir=tmp_path / "new")
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=2)
    gc.collect()
    classifier.fit(X, Y)
    assert pd.read_csv(log)["epoch"].astype(str).tolist() == ["0", "1", "2"]


@pytest.mark.slow
def test_a_file_cannot_change_settings_and_methods_of_callbacks(monkeypatch, tmp_path):
    saved = [keras.callbacks.ModelCheckpoint(str(tmp_path / "good.keras"))]
    classifier = quick(callbacks=saved, epochs=2, checkpoint_dir=tmp_path / "new")
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=1)
    (path,) = (tmp_path / "new").glob("*.npz")
    with np.load(path) as file:
        arrays = dict(file)
    forged = str(arrays["state"]).replace('"callbacks", [{"dict": [', FORGED)
    assert forged != str(arrays["state"])
    np.savez(path, **{**arrays, "state": np.array(forged)})
    classifier.fit(X, Y)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good.keras", "new"]


FORGED = '"callbacks", [{"dict": [["filepath", "evil.keras"], ["on_epoch_end", "x"], '


def test_epochs_that_begin_in_the_midst_of_the_patches_are_refused(tmp_path):
    classifier = quick(fit__steps_per_epoch=1, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="checkpoint_dir keeps whole epochs, and with fit__steps"):
        classifier.fit(X, Y)


def test_a_file_that_lacks_a_part_is_an_error_that_names_it(monkeypatch, tmp_path):
    classifier = quick(epochs=2, checkpoint_dir=tmp_path)
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=1)
    (path,) = tmp_path.glob("*.npz")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "rows"}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"npz is damaged.*Remove it"):
        classifier.fit(X, Y)


def test_other_weights_under_the_same_path_are_another_fit(tmp_path):
    (tmp_path / "w.pcam").write_bytes(b"a")
    first = identity_of(network="efficientnet-lite0", model__weights=tmp_path / "w.pcam")
    (tmp_path / "w.pcam").write_bytes(b"b")
    assert identity_of(network="efficientnet-lite0", model__weights=tmp_path / "w.pcam") != first


def test_numbers_of_numpy_are_the_same_numbers():
    assert identity_of(learning_rate=np.float64(0.01)) == identity_of(learning_rate=0.01)
    assert identity_of(batch_size=np.int64(32)) == identity_of(batch_size=32)


def test_generators_of_another_seed_are_another_fit():
    same, equal, other = (identity_of(random_state=np.random.RandomState(s)) for s in (1, 1, 2))
    assert same == equal != other


class Mode(enum.Enum):
    SLOW = 0.01
    FAST = 0.1


@dataclass
class Config:
    slope: float


@dataclass(slots=True)
class Slotted:
    slope: float


SETTINGS = {
    "a namespace": (SimpleNamespace(slope=0.1), SimpleNamespace(slope=0.2)),
    "a dataclass": (Config(0.1), Config(0.2)),
    "an enumeration": (Mode.SLOW, Mode.FAST),
    "a set": ({1, 2}, {1, 3}),
    "nested": ({"a": [SimpleNamespace(b=Mode.SLOW)]}, {"a": [SimpleNamespace(b=Mode.FAST)]}),
    "a dataclass with slots": (Slotted(0.1), Slotted(0.2)),
    "arguments": (Namespace(act="relu"), Namespace(act="tanh")),
    "a path": (Path("a"), Path("b")),
    "a queue": (deque([1]), deque([2])),
    "a generator": (np.random.default_rng(1), np.random.default_rng(2)),
    "a generator of old": (np.random.RandomState(1), np.random.RandomState(2)),
}
HELD = None


def with_settings(input_shape):
    """Return a network whose function reads a global value."""
    assert HELD is not None
    end = keras.layers.Dense(1, activation="sigmoid", dtype="float32")
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), end])


@pytest.mark.parametrize("values", SETTINGS.values(), ids=SETTINGS)
def test_global_settings_are_part_of_the_identity(values, monkeypatch):
    found = []
    for value in (values[0], copy.deepcopy(values[0]), values[1]):
        monkeypatch.setitem(globals(), "HELD", value)
        found.append(identity_of(network=with_settings))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("values", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_callbacks_are_part_of_the_identity(values):
    first, equal, other = (
        identity_of(callbacks=[Noted(value)])
        for value in (values[0], copy.deepcopy(values[0]), values[1])
    )
    assert first == equal != other


def test_a_class_that_was_copied_is_the_same_class():
    class Local(keras.callbacks.Callback):
        pass

    before = identity_of(callbacks=[Local()])
    copy.copy(Local())
    assert identity_of(callbacks=[Local()]) == before


def test_a_folder_may_lie_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pcam").write_bytes(b"a")
    with Checkpoint("~/new", "same") as checkpoint:
        assert checkpoint.path.parent == tmp_path / "new"
    lite = {"network": "efficientnet-lite0", "model__weights": "~/w.pcam"}
    first = identity_of(**lite)
    (tmp_path / "w.pcam").write_bytes(b"b")
    assert identity_of(**lite) != first


def test_another_verbosity_goes_on_as_well(monkeypatch, tmp_path):
    first = quick(epochs=2, verbose=1, checkpoint_dir=tmp_path)
    kill(monkeypatch, lambda: first.fit(X, Y), after=1)
    assert quick(epochs=2, verbose=0, checkpoint_dir=tmp_path).fit(X, Y).n_iter_ == 2
    assert os.listdir(tmp_path) == []


def named_optimizer(input_shape):
    """Return a network with 16-bit weights and a layer called as a part of the file is."""
    first = keras.layers.Dense(2, dtype="bfloat16", name="optimizer")
    end = keras.layers.Dense(1, activation="sigmoid", dtype="float32")
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), first, end])


@pytest.mark.slow
def test_any_name_and_type_of_variables_goes_on(monkeypatch, tmp_path):
    parameters = {"network": named_optimizer, "epochs": 2}
    classifier = quick(**parameters, checkpoint_dir=tmp_path)
    kill(monkeypatch, lambda: classifier.fit(X, Y), after=1)
    whole = quick(**parameters).fit(X, Y)
    assert_array_equal(classifier.fit(X, Y).predict_proba(X), whole.predict_proba(X))

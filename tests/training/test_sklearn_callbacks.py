"""Callbacks of scikit-learn on the classifier, in pipelines and in searches."""

import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from support.other_process import STRICT, run_python
from support.tiny import PATCH_SIDE, learned, make_data, quick, quick_pipeline, with_dropout

from pcam_sklearn import CenterCropNormalizer, PatchReader

callback = pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9 or later")

X, Y = make_data()
PATCHES, LABELS = make_data(side=PATCH_SIDE)
WEIGHTS = np.linspace(0, 2, len(Y))


class Recorder:
    """A callback that records its calls; a clone of the estimator shares it."""

    def __init__(self, stop_after=None):
        self.told, self.seen, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.told.append(("setup", context.task_name, context.task_id))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.told.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self.told.append(("end", context.task_name, context.task_id))
        facts = learned(fitted_estimator)
        self.seen.append({"X": X, "y": y, "proba": fitted_estimator.predict_proba(X), **facts})
        return (context.task_name, context.task_id) == ("epoch", self.stop_after)

    def teardown(self, estimator, context):
        self.told.append(("teardown", context.task_name, context.task_id))


class Counter(Recorder):
    """A callback that records the ends of the tasks of all estimators inside."""

    max_propagation_depth = None

    def on_fit_task_end(self, estimator, context):
        self.told.append(("end", context.task_name, context.task_id))


class Failing(Counter):
    """A callback that fails at the end of an epoch."""

    def on_fit_task_end(self, estimator, context):
        raise RuntimeError("a callback's own mistake")


class Snapshots(keras.callbacks.Callback):
    """A callback of Keras that records the weights after each epoch."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def monitored(classifier, X=X, y=Y, **fit_parameters):
    """Return the area under the curve of each task, by the tasks' ids."""
    monitor = callback.ScoringMonitor(scoring="roc_auc")
    classifier.set_callbacks(monitor).fit(X, y, **fit_parameters)
    return {row["task_id_path"]: row["roc_auc"] for row in monitor.get_logs().data}


def linear_area(kernel, y=Y, X=X, **settings):
    """Return the area of the network of `quick`, a logistic regression on the pixels."""
    return roc_auc_score(y, (X.reshape(len(X), -1) / 255 @ kernel)[:, 0], **settings)


def leftovers(classifier):
    return sorted(name for name in vars(classifier) if name.startswith("_"))


def test_scoring_monitor_logs_the_area_of_the_network_of_each_epoch():
    weights = []
    areas = monitored(quick(epochs=4, callbacks=Snapshots(weights)))
    expected = [linear_area(kernel) for kernel, _ in weights]
    assert len(set(expected)) > 2
    assert [areas[0, epoch] for epoch in range(4)] == pytest.approx(expected, abs=1e-12)
    assert areas[0,] == pytest.approx(expected[-1], abs=1e-12)


@pytest.mark.slow
def test_labels_may_be_words():
    words = np.array(["normal", "tumour"])[Y]
    assert monitored(quick(epochs=2), y=words) == monitored(quick(epochs=2))


def test_the_area_is_weighted_by_sample_weight():
    weights = []
    areas = monitored(quick(epochs=2, callbacks=Snapshots(weights)), sample_weight=WEIGHTS)
    expected = [linear_area(kernel, sample_weight=WEIGHTS) for kernel, _ in weights]
    assert [areas[0, 0], areas[0, 1]] == pytest.approx(expected, abs=1e-12)
    assert expected[0] != linear_area(weights[0][0])


def test_with_averaged_weights_the_area_is_that_of_the_average_so_far():
    # With one step per epoch, the weights after an epoch are those after a step.
    weights, average, expected = [], None, []
    snapshots = Snapshots(weights)
    averaged = quick(epochs=4, batch_size=40, weight_averaging=0.8, callbacks=snapshots)
    areas = monitored(averaged)
    for kernel, _ in weights:
        average = kernel if average is None else 0.8 * average + 0.2 * kernel
        expected.append(linear_area(average))
    assert [areas[0, epoch] for epoch in range(4)] == pytest.approx(expected, abs=1e-12)
    assert expected[-1] != linear_area(weights[-1][0])
    assert areas[0,] == roc_auc_score(Y, averaged.predict_proba(X)[:, 1])


@pytest.mark.slow
def test_callbacks_change_no_bit_of_a_network_with_dropout_and_augmentation():
    varied = {"network": with_dropout, "augment": "d4", "epochs": 2, "metrics": ("auc",)}
    alone, watched = quick(**varied).fit(X, Y), quick(**varied)
    monitored(watched)
    assert np.array_equal(alone.predict_proba(X), watched.predict_proba(X))
    assert alone.history_ == watched.history_


@pytest.mark.slow
def test_callbacks_change_no_bit_of_averaged_weights_or_of_the_averages():
    alone = quick(epochs=3, weight_averaging=0.9).fit(X, Y)
    watched = quick(epochs=3, weight_averaging=0.9)
    monitored(watched)
    for model in (alone, watched):
        model.partial_fit(X, Y)
    assert np.array_equal(alone.predict_proba(X), watched.predict_proba(X))


@pytest.mark.slow
def test_the_whole_fit_has_the_score_of_the_best_epoch_where_that_is_kept():
    stops = {"validation_fraction": 0.2, "early_stopping": True, "metrics": ("auc",)}
    classifier = quick(epochs=4, optimizer__learning_rate=1.0, **stops)
    areas = monitored(classifier)
    assert classifier.best_epoch_ < classifier.n_iter_
    assert areas[0,] == areas[0, classifier.best_epoch_ - 1]


def test_callbacks_are_told_of_the_fit_and_of_each_epoch_in_it():
    recorder = Recorder()
    quick(epochs=2).set_callbacks(recorder).fit(X, Y)
    assert recorder.told == [
        ("setup", "fit", 0),
        ("begin", "fit", 0),
        ("begin", "epoch", 0),
        ("end", "epoch", 0),
        ("begin", "epoch", 1),
        ("end", "epoch", 1),
        ("end", "fit", 0),
        ("teardown", "fit", 0),
    ]


@pytest.mark.slow
def test_a_warm_start_is_a_fit_of_its_own():
    counter = Counter()
    classifier = quick(epochs=2, warm_start=True).fit(X, Y).set_callbacks(counter)
    classifier.fit(X, Y)
    assert [task[1:] for task in counter.told if task[0] == "end"] == [
        ("epoch", 0),
        ("epoch", 1),
        ("fit", 0),
    ]


def test_partial_fit_and_initialize_call_no_callback():
    counter = Counter()
    quick().set_callbacks(counter).initialize(X, Y).partial_fit(X, Y)
    assert counter.told == []


@pytest.mark.slow
def test_the_fitted_estimator_is_what_the_fit_would_have_given_with_fewer_epochs():
    recorder = Recorder()
    quick(epochs=3).set_callbacks(recorder).fit(X, Y)
    for epochs, seen in enumerate(recorder.seen[:3], start=1):
        shorter = quick(epochs=epochs).fit(X, Y)
        assert np.array_equal(seen["proba"], shorter.predict_proba(X))
        for name, value in learned(shorter).items():
            if name not in ("model_", "trainer_"):
                np.testing.assert_equal(seen[name], value, err_msg=name)


@pytest.mark.slow
def test_only_what_is_trained_on_is_given_to_callbacks():
    recorder = Recorder()
    weights = np.where(np.arange(40) < 4, 0.0, 1.0)
    quick(validation_fraction=0.25).set_callbacks(recorder).fit(X, Y, sample_weight=weights)
    places = {patch.tobytes(): place for place, patch in enumerate(X)}
    given = [places[patch.tobytes()] for patch in recorder.seen[0]["X"]]
    assert len(set(given)) == 27  # of the 36 that weigh anything
    assert min(given) >= 4
    assert np.array_equal(recorder.seen[0]["y"], Y[given])


def test_a_callback_may_end_the_training():
    classifier = quick(epochs=9).set_callbacks(Recorder(stop_after=1)).fit(X, Y)
    assert classifier.n_iter_ == len(classifier.history_["loss"]) == 2


@pytest.mark.slow
def test_a_fit_leaves_nothing_but_what_it_learned():
    classifier = quick().set_callbacks(Counter())
    before = leftovers(classifier)
    classifier.fit(X, Y)
    assert leftovers(classifier) == before
    assert set(learned(classifier)) == set(learned(quick().fit(X, Y)))


@pytest.mark.slow
def test_a_callback_that_fails_is_torn_down_and_leaves_the_classifier_as_it_was():
    failing = Failing()
    classifier = quick().fit(X, Y)
    before, names = classifier.predict_proba(X), leftovers(classifier)
    with pytest.raises(RuntimeError, match="a callback's own mistake"):
        classifier.set_callbacks(failing).set_params(warm_start=True).fit(X, Y)
    assert failing.told[-1][0] == "teardown"
    assert np.array_equal(classifier.predict_proba(X), before)
    assert leftovers(classifier.set_callbacks()) == names


def test_wrong_parameters_are_an_error_before_any_callback_is_called():
    counter = Counter()
    with pytest.raises(ValueError, match="epochs == 0"):
        quick(epochs=0).set_callbacks(counter).fit(X, Y)
    assert counter.told == []


def test_anything_but_a_callback_is_refused():
    with pytest.raises(TypeError, match="callback"):
        quick().set_callbacks(keras.callbacks.History())


@pytest.mark.slow
def test_a_clone_keeps_the_callbacks_and_a_copy_is_pickled_with_them():
    monitor = callback.ScoringMonitor(scoring="roc_auc")
    fitted = clone(quick().set_callbacks(monitor)).fit(X, Y)
    assert len(monitor.get_logs().data) == 2
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    again.fit(X, Y)


def test_each_step_of_a_pipeline_is_a_task():
    counter = Counter()
    quick_pipeline(epochs=3).set_callbacks(counter).fit(PATCHES, LABELS)
    ended = [name for event, name, _ in counter.told if event == "end"]
    assert ended == ["fit", "fit", "epoch", "epoch", "epoch", "fit", "fit"]


@pytest.mark.parametrize("transformer", [PatchReader(), CenterCropNormalizer(18, 20)])
def test_the_transformers_tell_of_their_fit(transformer):
    counter = Counter()
    clone(transformer).set_callbacks(counter).fit(PATCHES)
    assert [event for event, *_ in counter.told] == ["setup", "begin", "end", "teardown"]


def test_a_progress_bar_shows_a_full_bar_for_each_step(capsys, monkeypatch):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar draws with rich")
    monkeypatch.setenv("COLUMNS", "200")
    quick_pipeline(epochs=3).set_callbacks(callback.ProgressBar()).fit(PATCHES, LABELS)
    bars = [line.split(" ━")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert bars == [
        "Pipeline - fit",
        "Pipeline - fit-transform-patchreader | PatchReader - fit #0",
        "Pipeline - fit-transform-centercropnormalizer | CenterCropNormalizer - fit #1",
        "Pipeline - fit-final-estimator | CNNClassifier - fit #2",
    ]


WITHOUT_CALLBACKS = """
import builtins

whole = builtins.__import__


def without_callbacks(name, names=None, *more, **options):
    if name == "sklearn.callback" and (names or {}).get("__name__", "").startswith("pcam_sklearn"):
        raise ModuleNotFoundError(f"No module named {name!r}")
    return whole(name, names, *more, **options)


builtins.__import__ = without_callbacks

from sklearn.model_selection import GridSearchCV
from support.tiny import PATCH_SIDE, make_data, quick_pipeline

X, y = make_data(side=PATCH_SIDE)
search = GridSearchCV(quick_pipeline(verbose=1), {"cnnclassifier__epochs": [1]}, cv=2).fit(X, y)
assert search.predict(X).shape == (40,)
reader, _, classifier = search.best_estimator_.named_steps.values()
assert not hasattr(classifier, "set_callbacks") and not hasattr(reader, "set_callbacks")
try:
    classifier.set_callbacks()
except AttributeError as error:
    print(error)
"""


@pytest.mark.slow
def test_with_an_older_scikit_learn_only_set_callbacks_fails_and_says_why():
    output, errors = run_python(*STRICT, "-c", WITHOUT_CALLBACKS)
    assert "set_callbacks needs scikit-learn 1.9 or later" in output
    assert "pip install 'scikit-learn>=1.9'" in output
    assert errors.count("took") == 3

"""The line of progress: verbose=1 on a terminal, in a file, in searches; and the other verbosities.

On a terminal it is rewritten; what counts is what the screen shows in the end.
"""

import contextlib
import re

import keras
import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV
from support.screen import Screen, shown
from support.tiny import make_data, quick

X, Y = make_data()
GRID = {"optimizer__learning_rate": [0.1]}
LINE = re.compile(r"epoch 3/3, loss \d\.\d{4}, auc \d\.\d{4}, took \d\d:\d\d")


def talkative(**changes):
    return quick(**{"verbose": 1, "epochs": 3, "metrics": ("auc",), **changes})


def on_screen(fit):
    """Return the text that a fit writes to a terminal."""
    with contextlib.redirect_stderr(Screen()) as screen:
        fit()
    return screen.getvalue()


@pytest.mark.slow
def test_a_fit_writes_one_line_to_stderr_and_nothing_to_stdout(capsys):
    talkative().fit(X, Y)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("\n")
    assert LINE.fullmatch(said.err.rstrip("\n"))


@pytest.mark.slow
def test_the_line_tells_loss_and_auc_of_the_last_epoch(capsys):
    history = talkative().fit(X, Y).history_
    told = f"loss {history['loss'][-1]:.4f}, auc {history['auc'][-1]:.4f},"
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_the_auc_is_that_of_the_patches_held_out_where_there_are_any(capsys):
    history = talkative(validation_fraction=0.2).fit(X, Y).history_
    said = capsys.readouterr().err
    assert f", val_auc {history['val_auc'][-1]:.4f}," in said
    assert ", auc" not in said


@pytest.mark.slow
def test_after_early_stopping_the_line_tells_of_the_epoch_that_was_kept(capsys):
    stops = {"validation_fraction": 0.2, "early_stopping": True, "n_iter_no_change": 1}
    fitted = talkative(epochs=9, optimizer__learning_rate=5.0, **stops).fit(X, Y)
    kept = fitted.best_epoch_
    assert kept < fitted.n_iter_ < 9
    told = f"epoch {fitted.n_iter_}/9, best {kept}, loss {fitted.history_['loss'][kept - 1]:.4f}"
    assert told in capsys.readouterr().err


def test_without_metrics_the_line_tells_the_loss_alone(capsys):
    talkative(metrics=()).fit(X, Y)
    assert re.fullmatch(r"epoch 3/3, loss \d\.\d{4}, took \d\d:\d\d\n", capsys.readouterr().err)


@pytest.mark.slow
def test_a_warm_start_continues_the_count_of_epochs(capsys):
    classifier = talkative(warm_start=True).fit(X, Y)
    classifier.fit(X, Y)
    classifier.partial_fit(X, Y)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch 3/3", "epoch 6/6", "epoch 7/7"]


def test_a_routed_verbose_wins(capsys):
    talkative(fit__verbose=0).fit(X, Y)
    assert capsys.readouterr().err == ""


def test_a_network_that_is_only_built_has_no_line(capsys):
    talkative().initialize(X, Y)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_verbose_0_is_silent(capfd):
    talkative(verbose=0).fit(X, Y)
    assert capfd.readouterr() == ("", "")


def test_verbose_2_writes_a_line_for_each_epoch(capsys):
    talkative(verbose=2).fit(X, Y)
    said = capsys.readouterr()
    assert re.findall(r"Epoch \d/3", said.out) == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert said.err == ""


@pytest.mark.slow
def test_a_line_changes_no_bit():
    silent, shown_on_screen = talkative(verbose=0), talkative()
    silent.fit(X, Y)
    on_screen(lambda: shown_on_screen.fit(X, Y))
    assert np.array_equal(silent.predict_proba(X), shown_on_screen.predict_proba(X))
    assert silent.history_ == shown_on_screen.history_


def test_a_terminal_shows_the_same_line_in_the_end():
    line, rest = shown(on_screen(lambda: talkative().fit(X, Y)))
    assert LINE.fullmatch(line)
    assert rest == ""


@pytest.mark.slow
def test_a_terminal_shows_epoch_loss_auc_and_time_left_during_a_fit():
    states = on_screen(lambda: talkative(batch_size=2).fit(X, Y)).split("\r")
    pattern = r"epoch 2/3 \|#{6,13}\d? *\| \d\d:\d\d left, loss \d\.\d{4}, auc \d\.\d{4} *"
    assert any(re.fullmatch(pattern, state) for state in states), states


@pytest.mark.slow
@pytest.mark.parametrize("steps_per_call", [2, 16])
def test_the_time_left_is_never_negative(steps_per_call):
    fit = talkative(batch_size=len(X) // 3, compile__steps_per_execution=steps_per_call)
    states = on_screen(lambda: fit.fit(X, Y)).split("\r")
    assert any("left" in state for state in states)
    assert not [state for state in states if re.search(r"-\d\d:\d\d left", state)]


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fit_that_fails_ends_its_line(error):
    def fail(epoch, logs):
        if epoch == 1:
            raise error

    def fit():
        with pytest.raises(error):
            talkative(callbacks=keras.callbacks.LambdaCallback(on_epoch_end=fail)).fit(X, Y)

    line, rest = shown(on_screen(fit))
    assert line.startswith("epoch 2/3 |")
    assert rest == ""


@pytest.mark.slow
def test_a_search_leaves_one_line_for_each_fit():
    search = GridSearchCV(talkative(), GRID, scoring="roc_auc", cv=2)
    *lines, rest = shown(on_screen(lambda: search.fit(X, Y)))
    assert len(lines) == 3
    assert all(LINE.fullmatch(line) for line in lines), lines
    assert rest == ""


@pytest.mark.slow
def test_a_search_in_threads_leaves_one_line_for_each_fit():
    search = GridSearchCV(talkative(), GRID, scoring="roc_auc", cv=2, n_jobs=2, refit=False)
    with parallel_config("threading"):
        lines = on_screen(lambda: search.fit(X, Y)).splitlines()
    assert len(lines) == 2
    assert all(LINE.fullmatch(line) for line in lines), lines

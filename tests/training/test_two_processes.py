"""A search in two processes finds, shows and logs the same as in one, and garbles nothing."""

import contextlib
import io
import os
import pty
import re
import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from support.screen import shown
from support.tiny import PATCH_SIDE, make_data, quick_pipeline

try:
    import rich  # noqa: F401  scikit-learn's ProgressBar draws with it.
    from sklearn import callback
except ImportError:
    callback = None

needs_callbacks = pytest.mark.skipif(
    callback is None, reason="needs scikit-learn 1.9 or later, and rich"
)
pytestmark = pytest.mark.slow

X, Y = make_data(side=PATCH_SIDE)
GRID = {"cnnclassifier__optimizer__learning_rate": [0.01, 0.1]}
END = b"<end>"
LINE = re.compile(r"epoch 2/2, loss \d\.\d{4}, auc \d\.\d{4}, took \d\d:\d\d")


@contextlib.contextmanager
def terminal_as_stderr():
    """Give processes started within a terminal as stderr, and yield its text at the end."""
    reader, terminal = pty.openpty()
    before, told = os.dup(2), []
    # A terminal holds a few lines; a process that writes more waits until they are read.
    reading = threading.Thread(target=lambda: told.append(read_to_end(reader)), daemon=True)
    reading.start()
    os.dup2(terminal, 2)
    try:
        with open(terminal, "w", closefd=False) as stream, contextlib.redirect_stderr(stream):
            yield told
    finally:
        os.dup2(before, 2)
        os.write(terminal, END)
        reading.join(timeout=60)
        for descriptor in (before, reader, terminal):
            os.close(descriptor)


def read_to_end(reader):
    text = b""
    while END not in text:
        text += os.read(reader, 65536)
    return text.removesuffix(END).decode()


def search(n_jobs):
    """Return a search and the log of its scores, as far as there are callbacks."""
    pipeline = quick_pipeline(epochs=2, metrics=("auc",), verbose=1)
    found = GridSearchCV(pipeline, GRID, scoring="roc_auc", cv=2, n_jobs=n_jobs)
    if callback is None:
        return found.fit(X, Y), None
    monitor = callback.ScoringMonitor(scoring="roc_auc")
    pipeline[-1].set_callbacks(monitor)
    found.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    return found, monitor.get_logs().data_as_pandas


@pytest.fixture(scope="module")
def in_one_process():
    return search(n_jobs=1)


@pytest.fixture(scope="module")
def searched():
    """Return the scores, the log and the output on both streams of a search in two processes."""
    get_reusable_executor().shutdown()  # Old processes still write to the old stderr.
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as bars,
        terminal_as_stderr() as told,
    ):
        patch.setenv("COLUMNS", "200")
        found, scores = search(n_jobs=2)
        get_reusable_executor().shutdown()
    return SimpleNamespace(found=found, scores=scores, bars=bars.getvalue(), told=told[0])


def test_the_terminal_shows_one_whole_line_for_each_fit(searched):
    lines = [line for line in shown(searched.told) if "loss" in line or "epoch" in line]
    assert len(lines) == 5
    assert all(LINE.fullmatch(line) for line in lines), lines


def test_two_jobs_give_the_scores_of_one(searched, in_one_process):
    results, expected = searched.found.cv_results_, in_one_process[0].cv_results_
    for name in ("split0_test_score", "split1_test_score", "rank_test_score"):
        assert np.isfinite(expected[name]).all()
        assert np.array_equal(results[name], expected[name])


@needs_callbacks
def test_scores_are_logged_as_in_one_process(searched, in_one_process):
    _, expected = in_one_process
    assert len(expected) == 5 * (1 + 2)  # four fits in folds and one on all, of two epochs each
    pd.testing.assert_frame_equal(searched.scores, expected)


@needs_callbacks
def test_the_last_score_is_that_of_the_refitted_pipeline(searched):
    logged = searched.scores.set_index("task_id_path")["roc_auc"][[(0, 1, 2)]].item()
    assert logged == roc_auc_score(Y, searched.found.predict_proba(X)[:, 1])


@needs_callbacks
def test_the_progress_bar_has_a_full_bar_for_each_fit_of_each_step(searched):
    bars = searched.bars.splitlines()
    for step in ("PatchReader - fit", "CenterCropNormalizer - fit", "CNNClassifier - fit"):
        assert sum(step in bar for bar in bars) == 5
    assert all("100%" in bar for bar in bars), bars

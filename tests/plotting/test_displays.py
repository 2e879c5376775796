"""The curves of a training."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from support.tiny import quick

from pcam_sklearn import CNNClassifier
from pcam_sklearn.plotting import TrainingHistoryDisplay

X = np.random.default_rng(0).random((20, 18, 18, 3), dtype=np.float32)
Y = np.arange(20) % 2
HISTORY = {"loss": [0.7, 0.6], "auc": [0.6, 0.8], "val_loss": [0.7, 0.8], "val_auc": [0.6, 0.7]}


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture
def search():
    return GridSearchCV(quick(), {"learning_rate": [0.1, 0.2]}, cv=2)


def test_each_metric_has_a_panel_with_training_and_validation():
    display = TrainingHistoryDisplay(HISTORY).plot()
    assert [ax.get_title() for ax in display.axes_] == ["Loss", "Area under the ROC curve"]
    for ax in display.axes_:
        assert [text.get_text() for text in ax.get_legend().get_texts()] == [
            "training",
            "validation",
        ]


def test_the_curves_are_the_history_counted_from_epoch_1():
    line = TrainingHistoryDisplay(HISTORY).plot().axes_[0].get_lines()[1]
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == HISTORY["val_loss"]


def test_an_epoch_without_a_value_is_left_out_and_the_others_keep_their_place():
    history = {"loss": [0.9, 0.8, 0.7, 0.6], "val_loss": [np.nan, 0.85, np.nan, 0.65]}
    line = TrainingHistoryDisplay(history).plot().axes_[0].get_lines()[1]
    assert line.get_xdata().tolist() == [2, 4]
    assert line.get_ydata().tolist() == [0.85, 0.65]


def test_the_best_epoch_is_marked():
    ax = TrainingHistoryDisplay(HISTORY, best_epoch=1).plot().axes_[0]
    assert ax.get_lines()[-1].get_xdata() == [1, 1]
    assert "best epoch" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_full_range_of_a_metric_is_0_to_1():
    display = TrainingHistoryDisplay(HISTORY).plot(full_range=True)
    assert display.axes_[1].get_ylim() == (0, 1)
    assert display.axes_[0].get_ylim()[0] == 0


def test_axes_of_the_caller_are_drawn_on():
    figure, axes = plt.subplots(2)
    display = TrainingHistoryDisplay(HISTORY).plot(axes=axes)
    assert display.figure_ is figure


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(ValueError, match="needs 2 axes, got 1"):
        TrainingHistoryDisplay(HISTORY).plot(axes=plt.subplots()[1])


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="train for at least one epoch"):
        TrainingHistoryDisplay({}).plot()


@pytest.mark.slow
def test_a_search_has_the_history_of_the_classifier_that_it_refitted(search):
    search.set_params(refit=True).fit(X, Y)
    assert TrainingHistoryDisplay.from_estimator(search).history is search.best_estimator_.history_


@pytest.mark.slow
def test_a_search_without_a_refit_is_refused(search):
    search.set_params(refit=False).fit(X, Y)
    with pytest.raises(ValueError, match="GridSearchCV has no history"):
        TrainingHistoryDisplay.from_estimator(search)


def test_a_vote_is_refused_with_the_place_of_its_members():
    vote = VotingClassifier([("a", DummyClassifier())]).fit([[0], [1]], [0, 1])
    with pytest.raises(ValueError, match=r"VotingClassifier has no history.*named_estimators_"):
        TrainingHistoryDisplay.from_estimator(vote)


def test_a_classifier_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        TrainingHistoryDisplay.from_estimator(CNNClassifier())

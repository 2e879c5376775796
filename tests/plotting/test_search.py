"""Results of hyper-parameter searches."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pcam_sklearn.plotting import SearchResultsDisplay


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def search():
    X, y = make_classification(80, random_state=0)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.001, 0.1, 10.0], "standardscaler__with_std": [True]}
    scoring = ["roc_auc", "accuracy"]
    return GridSearchCV(pipeline, grid, cv=3, scoring=scoring, refit="roc_auc").fit(X, y)


def results(means, params):
    return {"params": params, "mean_test_score": means, "split0_test_score": means}


def test_candidates_stand_in_the_order_of_their_mean(search):
    display = SearchResultsDisplay.from_estimator(search, metric="roc_auc")
    means = search.cv_results_["mean_test_roc_auc"]
    best = search.cv_results_["params"][int(np.argmax(means))]["logisticregression__C"]
    assert display.labels_[0] == f"C={best:.3g}"


def test_parameters_that_never_vary_are_left_out(search):
    labels = SearchResultsDisplay.from_estimator(search, metric="roc_auc").labels_
    assert not any("with_std" in label for label in labels)


def test_every_fold_of_every_candidate_is_drawn(search):
    ax = SearchResultsDisplay.from_estimator(search, metric="accuracy").ax_
    drawn = sorted(x for line in ax.get_lines()[:3] for x in line.get_xdata())
    folds = [search.cv_results_[f"split{i}_test_accuracy"] for i in range(3)]
    assert drawn == pytest.approx(sorted(np.ravel(folds)))


def test_an_unknown_metric_is_an_error_that_names_the_known_ones(search):
    with pytest.raises(ValueError, match=r"'score' is not .* \['roc_auc', 'accuracy'\]"):
        SearchResultsDisplay.from_estimator(search)


def test_the_title_says_that_only_the_best_are_drawn():
    params = [{"C": i} for i in range(30)]
    display = SearchResultsDisplay(results(np.arange(30) / 30, params), max_candidates=5).plot()
    assert len(display.labels_) == 5
    assert "best 5 of 30" in display.ax_.get_title()


def test_failed_candidates_come_last_and_are_called_failed():
    display = SearchResultsDisplay(results([np.nan, 0.5], [{"C": 1}, {"C": 2}])).plot()
    assert display.labels_ == ["C=2", "C=1 (failed)"]


def test_the_rounds_of_a_halving_search_are_told_apart():
    halving = {**results([0.5, 0.6], [{"C": 1}, {"C": 1}]), "n_resources": [20, 40]}
    assert SearchResultsDisplay(halving).plot().labels_ == ["n_resources=40", "n_resources=20"]


def test_parameters_of_one_name_keep_the_names_of_their_steps():
    params = [{"a__C": 1, "b__C": 2}, {"a__C": 3, "b__C": 4}]
    labels = SearchResultsDisplay(results([0.9, 0.8], params)).plot().labels_
    assert labels == ["a__C=1, b__C=2", "a__C=3, b__C=4"]


def test_no_candidate_at_all_is_refused():
    with pytest.raises(ValueError, match="max_candidates == 0, must be >= 1"):
        SearchResultsDisplay(results([0.5], [{"C": 1}]), max_candidates=0).plot()

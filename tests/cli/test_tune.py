"""Search for parameters with tune."""

import json

import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from support.cli_runs import FILES, TINY, cli, contents, labelled_patches
from support.tiny import make_data, quick

from pcam_sklearn.cli._fits import show_fits
from pcam_sklearn.cli._tune import make_folds, search_parameters
from pcam_sklearn.persistence import load_model


@pytest.fixture(scope="module")
def tuned(kaggle, tmp_path_factory):
    """Return the folder of a search over two candidates, and what the command said."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    grid = ["--grid", "cnnclassifier__dropout=0.2,0.4", "--cv", 2]
    return folder, cli("tune", kaggle, "--output", folder, *grid, *TINY, "--json")


@pytest.mark.parametrize(("n_iter", "n_candidates"), [(None, 3), (2, 2)])
def test_a_search_scores_a_whole_grid_or_random_candidates(n_iter, n_candidates):
    patches = labelled_patches(6, groups=False)
    search = search_parameters(
        DummyClassifier(),
        {"strategy": ["prior", "uniform", "stratified"]},
        patches,
        make_folds(patches, 3, 0),
        n_iter=n_iter,
        jobs=1,
        random_state=0,
        progress=False,
    )
    assert len(search.cv_results_["params"]) == n_candidates


def test_a_search_shows_each_fit_on_stderr_and_nothing_on_stdout(capsys):
    patches = labelled_patches(6, groups=False)
    folds = make_folds(patches, 3, 0)
    options = {"n_iter": None, "jobs": 1, "random_state": 0, "progress": True}
    search_parameters(DummyClassifier(), {"strategy": ["prior"]}, patches, folds, **options)
    printed = capsys.readouterr()
    assert "totalling 3 fits" in printed.err
    assert printed.err.count("] END ") == 3
    assert printed.out == ""


class StopsAtTheThirdFit(DummyClassifier):
    """A classifier whose third fit the user interrupts."""

    n_fits = 0

    def fit(self, X, y):
        type(self).n_fits += 1
        if self.n_fits == 3:
            raise KeyboardInterrupt
        return super().fit(X, y)


@pytest.mark.parametrize("progress", [True, False])
def test_an_interrupt_after_the_first_fits_is_an_interrupt(progress, monkeypatch):
    monkeypatch.setattr(StopsAtTheThirdFit, "n_fits", 0)
    search = GridSearchCV(StopsAtTheThirdFit(), {"random_state": [0, 1]}, cv=2)
    with pytest.raises(KeyboardInterrupt), show_fits(search, progress=progress):
        search.fit(*make_data())


@pytest.mark.slow
def test_a_search_shows_a_line_for_each_fit_and_leaves_the_pipeline_as_it_was(capsys):
    X, y = make_data()
    pipeline = make_pipeline(quick(epochs=2, metrics=("auc",)))
    search = GridSearchCV(pipeline, {"cnnclassifier__learning_rate": [0.1, 0.2]}, cv=2, refit=False)
    with show_fits(search, progress=True):
        search.fit(X, y)
    assert capsys.readouterr().err.count("epoch 2/2, loss") == 4
    assert pipeline.get_params()["cnnclassifier__verbose"] == 0


@pytest.mark.slow
def test_tune_adds_the_candidates_to_a_run_folder(tuned):
    folder, _ = tuned
    assert contents(folder) == sorted([*FILES, "search.csv", "search.png"])
    search = pd.read_csv(folder / "search.csv")
    assert search["rank_test_score"].tolist() == [1, 2]
    assert sorted(search["param_cnnclassifier__dropout"]) == [0.2, 0.4]


@pytest.mark.slow
def test_tune_trains_with_the_best_candidate(tuned):
    folder, _ = tuned
    best = pd.read_csv(folder / "search.csv")["param_cnnclassifier__dropout"][0]
    config = json.loads((folder / "config.json").read_text())
    assert config["parameters"]["cnnclassifier__dropout"] == best
    assert load_model(folder / "model.pcam").get_params()["cnnclassifier__dropout"] == best


@pytest.mark.slow
def test_tune_with_json_prints_json_and_nothing_else(tuned):
    _, said = tuned
    assert json.loads(said.stdout)["metrics"]["roc_auc"]["estimate"] > 0


@pytest.mark.slow
def test_train_does_what_tune_found_without_a_search(tuned, tmp_path):
    folder, _ = tuned
    cli("train", "--config", folder / "config.json", "--output", tmp_path / "again", "-q")
    again = tmp_path / "again" / "predictions.csv"
    assert (folder / "predictions.csv").read_bytes() == again.read_bytes()

"""The examples run as they are."""

import re
import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Return a function that runs a script in an empty folder and returns what it printed.

    A fresh process would import TensorFlow for each script. `predict_saved.py` starts one itself.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capfd.readouterr().out

    return run


def test_build_pipeline_reports_an_auc_on_slides_never_seen(run):
    auc = float(re.search(r"never seen: (0\.\d+)", run("build_pipeline.py"))[1])
    assert 0.5 < auc <= 1


def test_predict_saved_prints_a_probability_for_each_patch(run):
    lines = run("predict_saved.py").splitlines()
    assert len(lines) == 10
    assert all(0 <= float(line.split()[1]) <= 1 for line in lines)


def test_grid_search_and_predict_saved_go_from_real_paths_to_predictions(sample_folder, run):
    run("grid_search.py", sample_folder, "model.pcam")
    lines = run("predict_saved.py", "model.pcam", sample_folder).splitlines()
    assert len(lines) == len(list((sample_folder / "test").iterdir()))


def test_blend_compares_a_vote_with_its_networks_and_loads_it_as_it_was(sample_folder, run):
    for folder in ([], [sample_folder]):
        output = run("blend.py", *folder)
        aucs = dict(re.findall(r"^([\w-]+) +AUC ([01]\.\d+)$", output, re.MULTILINE))
        assert list(aucs) == ["residual", "two-stream", "both"]
        assert "saved in blend.pcam; the probabilities of the loaded vote differ by 0\n" in output


def test_halving_search_trains_the_better_candidates_longer(sample_folder, run):
    output = run("halving_search.py", sample_folder)
    rounds = re.findall(
        r"^round \d: (\d) candidates, epochs (\d), best AUC [01]\.\d+$", output, re.M
    )
    assert rounds == [("3", "1"), ("1", "3")]


def test_optuna_search_measures_its_best_candidate_on_other_slides(sample_folder, run):
    pytest.importorskip("optuna", reason="needs optuna")
    output = run("optuna_search.py", sample_folder)
    trials = re.findall(r"^trial \d: (\d) epochs, (COMPLETE|PRUNED)$", output, re.MULTILINE)
    assert len(trials) == 5
    assert all((epochs == "4") == (end == "COMPLETE") for epochs, end in trials[:2])
    assert re.search(r"^AUC on slides never seen: [01]\.\d+$", output, re.MULTILINE)

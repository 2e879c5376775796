"""The examples run as they are."""

import re
from pathlib import Path

import pytest
from support.other_process import run_python

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name, *arguments, cwd):
    output, _ = run_python(str(EXAMPLES / name), *map(str, arguments), cwd=cwd)
    return output


def test_build_pipeline_reports_an_auc_on_slides_never_seen(tmp_path):
    said = run("build_pipeline.py", cwd=tmp_path)
    auc = float(re.search(r"never seen: (0\.\d+)", said)[1])
    assert 0.5 < auc <= 1


def test_predict_saved_prints_a_probability_for_each_patch(tmp_path):
    lines = run("predict_saved.py", cwd=tmp_path).splitlines()
    assert len(lines) == 10
    assert all(0 <= float(line.split()[1]) <= 1 for line in lines)


def test_grid_search_and_predict_saved_go_from_real_paths_to_predictions(sample_folder, tmp_path):
    run("grid_search.py", sample_folder, "model.pcam", cwd=tmp_path)
    lines = run("predict_saved.py", "model.pcam", sample_folder, cwd=tmp_path).splitlines()
    assert len(lines) == len(list((sample_folder / "test").iterdir()))

"""A small part of what `benchmarks/fuzz_models.py` does to thousands of files."""

from pathlib import Path

import pandas as pd
import pytest
from support.other_process import start_python

FUZZER = Path(__file__).parents[2] / "benchmarks" / "fuzz_models.py"


@pytest.mark.slow
def test_damaged_and_forged_files_run_no_code_write_nothing_and_predict_nothing_wrong(tmp_path):
    table = tmp_path / "outcomes.csv"
    with start_python(str(FUZZER), "--count", "150", "--seed", "1", "--output", str(table)) as run:
        output, errors = run.communicate()
    assert run.returncode == 0, output + errors
    outcomes = pd.read_csv(table)
    assert outcomes["files"].sum() == 150
    assert "loaded, same probabilities" in set(outcomes["outcome"])

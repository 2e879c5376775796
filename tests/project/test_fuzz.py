"""Fuzzers find no fault in the first of their cases. The whole of them runs by hand."""

from pathlib import Path

import pandas as pd
import pytest
from support.other_process import run_python

FUZZERS = Path(__file__).resolve().parents[2] / "benchmarks" / "fuzz"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("h5", 60), ("runs", 6)])
def test_nothing_but_right_results_and_errors_that_name_the_file(tmp_path, name, count):
    output = tmp_path / "outcomes.csv"
    run_python(FUZZERS / f"{name}.py", "--count", str(count), "--seed", "7", "--output", output)
    outcomes = set(pd.read_csv(output)["outcome"])
    assert outcomes <= {"right", "error that names it", "damage nobody can see"}

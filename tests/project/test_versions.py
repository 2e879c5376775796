"""The table of versions in the README is what ran, and the oldest of them are the lower bounds."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "versions.py"


@pytest.fixture(scope="module")
def versions():
    spec = importlib.util.spec_from_file_location("versions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(versions):
    return versions.read_rows(versions.RESULTS)


def test_the_readme_shows_the_table_that_was_written(versions, rows):
    assert f"\n\n{versions.to_markdown(rows)}\n\n" in (ROOT / "README.md").read_text()


def test_nothing_failed(rows):
    assert rows
    assert {row["failed"] for row in rows} == {"0"}


def test_the_lower_bounds_are_the_versions_that_the_oldest_environment_had(versions, rows):
    bounds = dict(bound.split("==") for bound in versions.lower_bounds())
    tested = [row for row in rows if row["environment"] == "oldest"]
    assert tested
    for row in tested:
        for name in bounds.keys() & row.keys():
            assert without_zeros(row[name]) == without_zeros(bounds[name]), name


def without_zeros(version):
    return re.sub(r"(\.0)+$", "", version)


def test_every_dependency_has_a_lower_bound_that_the_script_reads(versions, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["a>=1.0", "b-c>=2.1.3,<3"]\n'
        '[project.optional-dependencies]\nonnx = ["d>=4"]\ndask = ["e>=5"]\n'
        'dev = ["pytest>=8", "ruff>=1", "jax"]\n'
    )
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    assert versions.lower_bounds() == ["a==1.0", "b-c==2.1.3", "d==4", "e==5", "pytest==8"]


def test_the_table_has_a_line_per_environment_and_a_column_per_choice_of_tests(versions):
    row = dict.fromkeys(versions.COLUMNS, "1.0") | {"environment": "oldest", "failed": "0"}
    rows = [
        row | {"tests": "not slow", "passed": "7", "skipped": "2"},
        row | {"tests": "all", "passed": "9", "skipped": "0"},
        row | {"tests": "all", "environment": "newest", "passed": "8", "failed": "1", "jax": ""},
    ]
    lines = versions.to_markdown(rows).splitlines()
    assert lines[0].endswith("| tests: not slow | tests: all |")
    assert lines[2].endswith("| 7 passed, 2 skipped | 9 passed |")
    assert lines[3].endswith("| - | 8 passed, 1 failed, 1.0 skipped |")
    assert len(lines) == 4


def test_a_backend_is_shown_only_where_tests_ran_on_it(versions):
    row = dict.fromkeys(versions.COLUMNS, "1.0") | {"jax": "0.5", "environment": "oldest"}
    on = {"tensorflow": "-", "jax": "0.5", "torch": "-"}
    for backend, expected in on.items():
        results = {"not slow": row | {"backend": backend}}
        assert versions.shown(results, "jax") == expected
    assert versions.shown({"all": row | {"backend": "tensorflow"}}, "jax") == "0.5"

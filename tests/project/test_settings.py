"""Settings that stand in several files agree."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_extra_dev_holds_what_the_groups_test_and_lint_hold():
    groups = PYPROJECT["dependency-groups"]
    extra = PYPROJECT["project"]["optional-dependencies"]["dev"]
    assert sorted(extra) == sorted(groups["test"] + groups["lint"])


def test_each_python_of_the_table_of_versions_has_a_classifier_and_no_other_has_one():
    rows = re.findall(r"^\| [^|]+ \| (3\.\d+)\.\d+ \|", (ROOT / "README.md").read_text(), re.M)
    classifiers = re.findall(r"Python :: (3\.\d+)", "\n".join(PYPROJECT["project"]["classifiers"]))
    assert sorted(set(rows)) == sorted(classifiers)


def test_the_citation_names_the_version_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {PYPROJECT['project']['version']}\n" in citation


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_each_action_is_pinned_by_the_hash_of_a_commit(file):
    actions = re.findall(r"uses: (\S+)", file.read_text())
    assert actions
    assert [action for action in actions if not re.search(r"@[0-9a-f]{40}$", action)] == []


def test_each_section_that_ci_calls_is_one_of_the_script():
    sections = set(re.findall(r"^run_(\w+)\(\)", (ROOT / ".ci" / "run").read_text(), re.M))
    called = set()
    for file in WORKFLOWS:
        called |= set(re.findall(r"section: (\w+)|\.ci/run (\w+)", file.read_text()))
    called = {name for pair in called for name in pair if name}
    sessions = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.M))
    assert called <= sections
    assert sessions - {"run_section"} == sections

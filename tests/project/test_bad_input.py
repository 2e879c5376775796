"""The page about bad input names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bad_input.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tests():
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"def (test_\w+)", text)}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_test_that_the_page_names_exists(tests, name):
    assert name in tests


def test_the_page_has_a_row_for_each_number_from_1_to_18():
    assert re.findall(r"^\| (\d+) \|", PAGE, re.M) == [str(n) for n in range(1, 19)]

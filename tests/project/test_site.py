"""The examples of the gallery and the pages of the site, whose build runs the examples."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "gallery").glob("*.py"))
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, *sorted(ROOT.glob("*.md")), ROOT / "pcam_sklearn" / "models" / "pcam.md"]


def imported_names(file):
    """Return the dotted names that a script imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_imports_public_names_and_draws_with_a_display_of_the_package(file):
    names = list(imported_names(file))
    assert [name for name in names if "._" in name] == []
    assert [name for name in names if re.match(r"pcam_sklearn\.plotting\.\w+Display$", name)]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_run_and_has_a_title_for_its_card(file):
    assert file.name.startswith("plot_")
    title, line, *text = ast.get_docstring(ast.parse(file.read_text())).splitlines()
    assert set(line) == {"="}
    assert len(line) == len(title)
    assert text


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_each_picture_of_an_example_has_a_text_for_those_who_cannot_see_it(file):
    for block in re.split(r"^# %%$", file.read_text(), flags=re.MULTILINE):
        texts = re.findall(r"^# Picture: .{20}", block, flags=re.MULTILINE)
        assert len(texts) == ("Display.from_" in block), block


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_each_picture_of_a_page_has_a_text_for_those_who_cannot_see_it(page):
    text = page.read_text()
    assert re.findall(r"!\[.{0,20}\]\(.*", text) == []
    pictures = re.findall(r"^`{3,}\{(?:image|figure)\}.*\n(?:(?!```).*\n)*", text, re.MULTILINE)
    silent = [lines for lines in pictures if not re.search(r"^:alt: .{20}", lines, re.MULTILINE)]
    assert silent == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []

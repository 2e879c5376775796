"""Output of the commands: nothing in a name or a table steers the terminal or a spreadsheet."""

import json
import os
import sys

import click
import pandas as pd
import pytest
from click.testing import CliRunner
from support.cli_runs import cli

from pcam_sklearn.cli._output import Output, printable, reports, without_formulas

ESCAPES = ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x08", "\x7f", "\x9b31m", "\u202e", "\u2066"]


@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_whatever_steers_a_terminal_is_shown_as_an_escape(text):
    shown = printable(f"a{text}b")
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == f"a{text}b"


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "äé 测试 😀", ""])
def test_other_text_stays_as_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize("text", ["测", "😀", "µ²", "\udcff"])
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_text_that_a_terminal_lacks_is_escaped_and_json_stays_json(text, encoding):
    shown = printable(json.dumps(text, ensure_ascii=False), encoding)
    assert json.loads(shown.encode(encoding).decode(encoding)) == text


@pytest.mark.parametrize("text", ESCAPES, ids=ascii)
def test_results_notes_and_warnings_pass_the_one_helper(capsys, text):
    for as_json in (False, True):
        out = Output(as_json, quiet=False)
        out.note(f"note {text}")
        out.warn(f"warning {text}")
        out.result(f"result {text}", {"path": text})
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert text not in said.out + said.err


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@pytest.mark.parametrize("text", ["\x1b[31m", "\x9b2J", "\u202e"], ids=ascii)
def test_names_of_files_never_reach_the_terminal_raw(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / f"{text}.tif").touch()
    (tmp_path / "train_labels.csv").write_text(f'id,label\n"{text}",1\n')
    (tmp_path / f"{text}.csv").touch()
    for arguments, code in [
        (("check", tmp_path), 1),
        (("check", tmp_path, "--json"), 1),
        (("check", tmp_path / text), 2),
        (("check", tmp_path, text), 2),
        (("predict", text, tmp_path), 2),
        (("predict", tmp_path, tmp_path / text), 2),
        ((text,), 2),
        (("check", tmp_path, f"--{text}"), 2),
    ]:
        said = cli(*arguments, code=code)
        assert text not in said.stdout + said.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names")
def test_a_name_that_is_not_text_is_printed_all_the_same(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    (folder / "train").mkdir(parents=True)
    (folder / "train_labels.csv").write_text("id,label\n")
    assert "\\udcff" in cli("check", folder, code=1).stdout


def test_too_little_memory_is_an_error_without_a_traceback(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr("pcam_sklearn.datasets.audit_patches", fail)
    assert "Unable to allocate 9 GiB" in cli("check", tmp_path, code=2).stderr


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(cell):
    table = pd.DataFrame({"id": [cell, "a=1"], "n": [-1, 2]})
    assert without_formulas(table).to_dict("list") == {"id": [f"'{cell}", "a=1"], "n": [-1, 2]}


def test_findings_in_a_csv_file_hold_no_formulas(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train_labels.csv").write_text('id,label\n"=HYPERLINK(1)",1\n')
    cli("check", tmp_path, "--findings", tmp_path / "findings.csv", code=1)
    table = pd.read_csv(tmp_path / "findings.csv")
    assert table["id"].tolist() == ["'=HYPERLINK(1)"]


def run_and_raise(error):
    """Run a command that raises an error, and return what click makes of it."""

    @click.command
    @reports
    def command(out):
        raise error

    return CliRunner().invoke(command)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("it is not installed; type: pip install x"), "type: pip install x"),
        (
            ModuleNotFoundError("No module named 'keras'", name="keras"),
            "'keras', which this command needs; install the package again with all that it",
        ),
    ],
)
def test_a_package_that_is_missing_ends_a_command_with_what_to_type(error, message):
    result = run_and_raise(error)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name", name="keras"),
        ModuleNotFoundError("No module named 'pcam_sklearn.x'", name="pcam_sklearn.x"),
    ],
)
def test_an_import_that_fails_otherwise_is_a_fault(error):
    assert run_and_raise(error).exception is error

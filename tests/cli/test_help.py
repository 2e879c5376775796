"""Quick and correct help, shell completion, and the command lines of the documentation."""

import re
import shlex
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from support.cli_runs import FILES, cli
from support.other_process import run_python

from pcam_sklearn.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs" / "command_line.md"
HEAVY = ("tensorflow", "keras", "sklearn", "pandas", "numpy", "matplotlib")


def complete(*words):
    completer = ShellComplete(main, {}, "pcam-sklearn", "_PCAM_SKLEARN_COMPLETE")
    return [item.value for item in completer.get_completions(list(words[:-1]), words[-1])]


def typed(text):
    """Return the lines of a text that call the command, as words."""
    lines = [line.strip() for line in text.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("pcam-sklearn ")]


def check_line(words):
    """Parse a line as the command would, without opening files."""
    command = main.commands[words[1]]
    known = {name: option for option in command.params for name in option.opts}
    arguments, waiting = 0, iter(words[2:])
    for word in waiting:
        if not word.startswith("-"):
            arguments += 1
            continue
        assert word in known, f"{word} in {' '.join(words)}"
        if not known[word].is_flag:
            next(waiting)
    assert arguments or "--config" in words or words[1] == "quickstart", words


def test_help_of_every_command_loads_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from pcam_sklearn.cli import main\n"
        "for name in ['', *main.commands]:\n"
        "    result = CliRunner().invoke(main, [*name.split(), '--help'])\n"
        "    assert result.exit_code == 0, result.output\n"
        f"print(*[m for m in {HEAVY} if m in sys.modules])"
    )
    printed, _ = run_python("-c", code)
    assert printed.split() == []


def test_help_lists_the_commands_in_the_order_of_work():
    said = cli("--help").stdout
    places = [said.index(f"\n  {name} ") for name in main.commands]
    assert places == sorted(places)
    assert "not a medical device" in said


@pytest.mark.parametrize("name", main.commands)
def test_help_of_a_command_has_examples_and_exit_codes(name):
    said = cli(name, "--help").stdout
    assert "130" in said.partition("Exit codes:")[2]
    assert typed(said.partition("Examples:")[2])


@pytest.mark.parametrize("name", main.commands)
def test_examples_of_a_command_use_existing_options(name):
    for words in typed(cli(name, "--help").stdout):
        check_line(words)


def test_lines_of_the_documentation_use_existing_options():
    lines = typed(DOCS.read_text())
    assert {words[1] for words in lines} >= {"check", "train", "tune", "predict", "card"}
    for words in lines:
        check_line(words)


def test_the_documentation_lists_the_files_of_a_run_folder():
    text = DOCS.read_text()
    assert [name for name in FILES if f"`{name}`" not in text] == []


def test_commands_and_options_are_completed():
    assert complete("tr") == ["train"]
    assert "--epochs" in complete("train", "--ep")


def test_data_is_completed_by_the_word_and_by_folders():
    assert "synthetic" in complete("train", "syn")


def test_networks_are_completed_by_their_names():
    from pcam_sklearn.networks import NETWORKS

    assert complete("train", "--network", "note") == ["notebook"]
    assert complete("train", "--network", "") == list(NETWORKS)


def test_the_help_names_all_networks():
    from pcam_sklearn.networks import NETWORKS

    said = " ".join(cli("train", "--help").stdout.split())
    assert [name for name in NETWORKS if name not in said] == []


def test_zsh_gets_a_script_for_completion():
    code = "from pcam_sklearn.cli import main; main(prog_name='pcam-sklearn')"
    script, _ = run_python("-c", code, _PCAM_SKLEARN_COMPLETE="zsh_source")
    assert re.search(r"compdef \S+ pcam-sklearn", script)


@pytest.mark.parametrize(
    "words",
    [["fly"], ["train"], ["train", "synthetic"], ["train", "synthetic", "--epochs", "0"]],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(words):
    assert "Error" in cli(*words, code=2).stderr


def test_a_file_that_is_not_a_config_is_wrong_usage(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    said = cli("train", "--config", tmp_path / "config.json", "--output", "run", code=2)
    assert "config.json" in said.stderr

"""Output of the commands: results, notes, warnings, errors, exit codes and progress bars."""

import functools
import json
import math
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn._streams import drop_output
from pcam_sklearn.cli._options import Command
from pcam_sklearn.cli._signals import exit_code, signals_as_interrupts

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = 96  # characters per line
_READER_LEFT = 128 + 13  # As a shell reports SIGPIPE.
# What a terminal obeys instead of showing it: control characters, and those that turn the direction
# of text. Lone surrogates stand for bytes of a file name that are no text.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FORMULA = re.compile(r"[=+\-@\t\r]")


class UnusableInput(click.ClickException):
    """Input that cannot be used. Like wrong usage, it ends the command with 2."""

    exit_code = 2


class CommandGroup(click.Group):
    """The commands in the order of work. An interrupted one ends with 128 and the signal.

    So does one whose results nobody reads any more: click's own 1 would mean damage.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were added."""
        return list(self.commands)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(*args, **options)
        except KeyboardInterrupt as interrupt:
            raise click.exceptions.Exit(exit_code(interrupt)) from None

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            with signals_as_interrupts():
                return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            # The terminal may be closed, which is what SIGHUP tells.
            with suppress(OSError):
                _echo(_with_notes("Interrupted. Nothing is left half written.", interrupt))
            ctx.exit(exit_code(interrupt))
        except BrokenPipeError:
            drop_output()
            ctx.exit(_READER_LEFT)
        except click.ClickException as error:
            # By way of `vars`, as click declares the message final.
            vars(error)["message"] = printable(error.message, _encoding_of(sys.stderr))
            raise


@dataclass(frozen=True)
class Output:
    """Results on stdout, as JSON if `as_json`; notes and warnings on stderr."""

    as_json: bool
    quiet: bool

    @property
    def progress(self) -> bool:
        """Show progress bars."""
        return not self.quiet

    def note(self, text: str) -> None:
        """Print a note, unless quiet."""
        if not self.quiet:
            _echo(click.wrap_text(text, _WIDTH))

    def step(self, text: str) -> None:
        """Say what begins now and may take seconds, unless quiet."""
        self.note(f"{text} ...")

    def warn(self, text: str) -> None:
        """Print a warning, even if quiet."""
        _print_warning(text)

    def result(self, text: str, facts: Mapping[str, Any]) -> None:
        """Print the result: text for people, or facts as JSON for programs."""
        _echo(to_json(facts) if self.as_json else text, err=False)


def reports(command: Command) -> Command:
    """Add ``--json`` and ``--quiet``, pass an `Output` as `out`, and end with 2 on an error."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="Show neither notes nor progress.")
    @functools.wraps(command)
    def run(*args: Any, as_json: bool, quiet: bool, **options: Any) -> Any:
        with _print_warnings(), _convert_errors():
            return command(*args, out=Output(as_json, quiet), **options)

    return run


@contextmanager
def _convert_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # The reader of stdout, such as `head`, has read enough.
    except (OSError, EOFError, ValueError, TypeError, MemoryError) as error:
        raise UnusableInput(_with_notes(str(error) or type(error).__name__, error)) from error
    except ImportError as error:
        if error.name is None:  # This package says so where an extra is missing.
            raise UnusableInput(str(error)) from error
        if not isinstance(error, ModuleNotFoundError) or error.name.startswith("pcam_sklearn"):
            raise  # A fault, and nothing that a user left out.
        raise UnusableInput(
            f"{error}, which this command needs; install the package again with all that it "
            "depends on: type pip install . in a clone of its repository"
        ) from error


def _with_notes(text: str, error: BaseException) -> str:
    """Return a message, and behind it what the code on the way added to the error."""
    return "\n".join([text, *getattr(error, "__notes__", [])])


@contextmanager
def _print_warnings() -> Iterator[None]:
    """Print warnings as sentences, without the line of source that gave them."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _print_warning(message)

    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=UserWarning)
        warnings.showwarning = show
        yield


def _print_warning(message: Warning | str) -> None:
    _echo(click.wrap_text(f"Warning: {message}", _WIDTH))


def _echo(text: str, *, err: bool = True) -> None:
    """Print text; nothing that comes from a file name or a table can steer the terminal."""
    encoding = _encoding_of(sys.stderr if err else sys.stdout)
    click.echo(printable(text, encoding), err=err)


def _encoding_of(stream: object) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Return text with an escape for what steers a terminal or that its encoding lacks.

    The escapes are those of JSON, so JSON stays what it is.

    >>> print(printable("a\x1b[2Jb"))
    a\u001b[2Jb
    """
    text = _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(c if c.encode(encoding, "ignore") else json.dumps(c)[1:-1] for c in text)
    return text


def begins_formula(cell: object) -> bool:
    """Return whether a spreadsheet would take a cell for a formula."""
    return isinstance(cell, str) and _FORMULA.match(cell) is not None


def without_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table to be read by people: an apostrophe keeps cells from being run as formulas."""
    return table.map(lambda cell: f"'{cell}" if begins_formula(cell) else cell)


def to_json(facts: Mapping[str, Any]) -> str:
    """Return facts as indented JSON, with null for NaN and infinity.

    >>> print(to_json({"auc": float("nan"), "slides": 3}))
    {
      "auc": null,
      "slides": 3
    }
    """
    return json.dumps(_to_plain(facts), indent=2, allow_nan=False, ensure_ascii=False)


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _to_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    # NumPy scalars have `item`. To ask for it keeps NumPy out of `--help`.
    if hasattr(value, "item"):
        return _to_plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value

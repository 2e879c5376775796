"""What the commands share: options, output for people and for programs, and errors."""

import functools
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MODEL = click.Path(exists=True, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)

EXIT_CODES = (
    "0 done; 2 wrong usage, or input that cannot be used; 130 interrupted, with nothing left half "
    "written."
)


_WIDTH = 96  # characters a line


class UnusableInput(click.ClickException):
    """Input that cannot be used: as wrong usage, it ends the command with 2."""

    exit_code = 2


class Data(click.ParamType):
    """A folder of patches, or the word "synthetic"; what it is shows when it is loaded."""

    name = "data"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the word, and folders."""
        words = [CompletionItem("synthetic")] if "synthetic".startswith(incomplete) else []
        return [*words, CompletionItem(incomplete, type="dir")]


class Network(click.ParamType):
    """The name of a network; the names are looked up for completion alone, as that is slow."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the names of the networks there are."""
        from pcam_sklearn.networks import NETWORKS

        return [CompletionItem(name) for name in NETWORKS if name.startswith(incomplete)]


def after_help(*examples: str, exit_codes: str = EXIT_CODES) -> str:
    """Return what stands at the end of a command's help.

    Parameters
    ----------
    *examples : str
        Lines to type.
    exit_codes : str
        What the command's exit codes mean.

    Returns
    -------
    str
        The examples as they are, and the exit codes, wrapped.
    """
    lines = "".join(f"  {example}\n" for example in examples)
    return f"\b\nExamples:\n{lines}\nExit codes: {exit_codes}"


@dataclass(frozen=True)
class Output:
    """Where a command's words go: results to stdout, all else to stderr.

    Parameters
    ----------
    as_json : bool
        Results are JSON, and stdout holds nothing else.
    quiet : bool
        Neither notes nor progress bars.
    """

    as_json: bool
    quiet: bool

    @property
    def progress(self) -> bool:
        """Whether progress bars are shown."""
        return not self.quiet

    def note(self, text: str) -> None:
        """Say what is going on."""
        if not self.quiet:
            click.echo(click.wrap_text(text, _WIDTH), err=True)

    def warn(self, text: str) -> None:
        """Say what the reader has to know, quiet or not."""
        click.echo(click.wrap_text(f"Warning: {text}", _WIDTH), err=True)

    def result(self, text: str, facts: Mapping[str, Any]) -> None:
        """Give the result, to people or to programs."""
        click.echo(to_json(facts) if self.as_json else text)


def to_json(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON; what is no finite number is null.

    Parameters
    ----------
    facts : mapping
        Of numbers, text, paths, and lists and mappings of these.

    Returns
    -------
    str
        Indented JSON.

    Examples
    --------
    >>> from pcam_sklearn.cli._shared import to_json
    >>> print(to_json({"auc": float("nan"), "slides": 3}))
    {
      "auc": null,
      "slides": 3
    }
    """
    return json.dumps(_plain(facts), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a NumPy scalar
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def reporting(command: Command) -> Command:
    """Give a command ``--json``, ``--quiet``, an `out` to speak through, and errors that end it.

    Parameters
    ----------
    command : callable
        The command's function; it is passed an `Output` as `out`.

    Returns
    -------
    command : callable
        The function for click.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @click.option("--quiet", "-q", is_flag=True, help="Show neither notes nor progress.")
    @functools.wraps(command)
    def run(*args: Any, as_json: bool, quiet: bool, **options: Any) -> Any:
        with _shown_warnings(), _told_errors():
            return command(*args, out=Output(as_json, quiet), **options)

    return run


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # The reader of stdout has had enough.
    except (OSError, ValueError, TypeError) as error:
        raise UnusableInput(str(error) or type(error).__name__) from error


@contextmanager
def _shown_warnings() -> Iterator[None]:
    """Show warnings as sentences, without the line of source that gave them."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        click.echo(click.wrap_text(f"Warning: {message}", _WIDTH), err=True)

    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=UserWarning)
        warnings.showwarning = show
        yield


def data_options(command: Command) -> Command:
    """Give a command the options that say which patches of DATA are meant."""
    options: list[Decorator] = [
        click.option("--slides", type=FILE, help="CSV file id,slide. Default: slides.csv in DATA."),
        click.option(
            "--subset",
            "--split",
            "subset",
            type=click.Choice(["train", "valid", "test"]),
            help="Which part of DATA: train or test of a Kaggle folder, train, valid or test of "
            "official files.",
        ),
        click.option(
            "--random-state",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Fixes all that is drawn.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command

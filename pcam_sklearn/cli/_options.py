"""Options, arguments and parameter types that several commands take.

Nothing heavy is imported here, so that ``--help`` stays quick.
"""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from pcam_sklearn._files import check_writable, expand_home
from pcam_sklearn._shipped import find_shipped

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


class _UserPath(click.Path):
    """A path in which ``~`` is the home folder: a shell does not see it in ``--output=~/file``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return super().convert(value and str(expand_home(value)), param, ctx)


class _ModelPath(_UserPath):
    """A path of a model, or the word ``pretrained`` for the one that comes with the package."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; a file or folder that has the word as its name comes first."""
        if value != "pretrained" or Path(value).exists():
            return super().convert(value, param, ctx)
        try:
            return find_shipped("pcam")
        except (OSError, ValueError) as error:
            self.fail(str(error), param, ctx)


class _Fraction(click.FloatRange):
    """A share of the patches, above 0 and at most one half."""

    def __init__(self) -> None:
        super().__init__(0, 0.5, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; click itself lets NaN pass."""
        share = super().convert(value, param, ctx)
        if math.isnan(share):
            self.fail("nan is no share; type a number such as 0.2", param, ctx)
        return share


def _check_jobs(_: click.Context, __: click.Parameter, jobs: int) -> int:
    if jobs == 0:
        raise click.BadParameter("0 fits at a time do nothing; type 1 or more, or -1 for all cores")
    return jobs


def expand_data(_: click.Context, __: click.Parameter, data: str | None) -> str | None:
    """Return DATA with the home folder in the place of ``~``."""
    return None if data is None else os.path.expanduser(data)


FOLDER = _UserPath(exists=True, file_okay=False, path_type=Path)
FILE = _UserPath(exists=True, dir_okay=False, path_type=Path)
MODEL = _ModelPath(exists=True, path_type=Path)
NEW_FILE = _UserPath(dir_okay=False, path_type=Path)
NEW_FOLDER = _UserPath(file_okay=False, path_type=Path)

# The parts of the official files, and of folders that are laid out like them.
PARTS = ("train", "valid", "test")
# The options about patches, for which `data_options` asks.
OF_DATA = ("slides", "subset", "random_state")
# The options that config.json records, by the names of the functions' arguments.
RECORDED = (
    "data", "slides", "subset", "test_fraction", "threshold_fraction", "operating_point", "rounds",
    "random_state",
)  # fmt: skip

_EXIT_CODES = (
    "0 done; 2 wrong usage, or input that cannot be used; 130 interrupted, with nothing left half "
    "written."
)


def _complete_data(_: click.Context, __: click.Parameter, start: str) -> list[CompletionItem]:
    words = [CompletionItem("synthetic")] if "synthetic".startswith(start) else []
    return [*words, CompletionItem(start, type="dir")]


def _complete_network(_: click.Context, __: click.Parameter, start: str) -> list[CompletionItem]:
    # This import loads Keras. A user who presses Tab waits for it; `--help` does not.
    from pcam_sklearn.networks import NETWORKS

    return [CompletionItem(name) for name in NETWORKS if name.startswith(start)]


def after_help(*examples: str, exit_codes: str = _EXIT_CODES) -> str:
    """Return the end of a command's help: examples, then the exit codes."""
    lines = "".join(f"  {example}\n" for example in examples)
    # click wraps every paragraph that does not begin with \b.
    return f"\b\nExamples:\n{lines}\nExit codes: {exit_codes}"


def combine(*options: Decorator) -> Decorator:
    """Return one decorator that adds options in this order."""

    def add_all(command: Command) -> Command:
        # Decorators apply from the bottom up, so the last option has to be added first.
        for option in reversed(options):
            command = option(command)
        return command

    return add_all


def check_new_file(path: Path | None, option: str, *, overwrite: bool) -> None:
    """Raise OSError if a file is there that may not be replaced, or if none can be written."""
    if path is None:
        return
    check_writable(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass another {option}, or --overwrite")


def refuse_options(context: click.Context, names: Sequence[str], lacking: str) -> None:
    """Raise UsageError if one of these options was given, which mean nothing without another."""
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") == ParameterSource.COMMANDLINE
        if given and option.name in names:
            raise click.UsageError(
                f"{option.opts[0]} is about {lacking}, which was not given; pass it, or leave "
                f"{option.opts[0]} out"
            )


# A folder, or the word "synthetic"; it is checked when it is loaded.
data_argument = partial(click.argument, "data", callback=expand_data, shell_complete=_complete_data)
jobs_option = click.option(
    "--jobs", type=int, default=1, callback=_check_jobs, help="Number of parallel fits."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace a folder that this program wrote, and no other."
)
overwrite_file_option = click.option("--overwrite", is_flag=True, help="Replace an existing file.")
rounds_option = click.option(
    "--rounds",
    type=click.IntRange(min=100),
    help="Number of bootstrap rounds. Default: 1000, or in the card of a run as many as it took.",
)
unseen_option = click.option(
    "--unseen",
    is_flag=True,
    help="Leave out the patches and slides of DATA that took part in the run.",
)
random_state_option = click.option(
    "--random-state", type=click.IntRange(min=0), default=0, help="Seed for everything random."
)
data_options = combine(
    click.option(
        "--slides", type=FILE, help="CSV file with the columns id,slide. Default: DATA/slides.csv."
    ),
    click.option(
        "--subset",
        "--split",
        "subset",
        type=click.Choice(PARTS),
        help="Part of DATA: train or test in a Kaggle folder; train, valid or test in official "
        "files, and in folders by class.",
    ),
    random_state_option,
)

_FRACTION = _Fraction()
_POSITIVE = click.IntRange(min=1)

training_options = combine(
    data_argument(),
    click.option("--output", type=NEW_FOLDER, required=True, help="Run folder to write."),
    overwrite_option,
    click.option(
        "--network",
        shell_complete=_complete_network,
        metavar="NAME",
        help="efficientnet-lite0 (the default), residual, d4, two-stream, transfer, or notebook, "
        "which is the fastest and the least accurate.",
    ),
    click.option(
        "--crop-size", type=_POSITIVE, help="Side of the center that the network sees, in pixels."
    ),
    click.option("--epochs", type=_POSITIVE, help="Largest number of epochs."),
    click.option("--batch-size", type=_POSITIVE, help="Number of patches per gradient step."),
    click.option("--augment", help="Augmentations, such as d4 or d4,stain; none for none."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="Any other parameter of the pipeline; may be repeated.",
    ),
    click.option(
        "--test-fraction",
        type=_FRACTION,
        default=0.2,
        help="Approximate share of the patches held out to report on.",
    ),
    click.option(
        "--threshold-fraction",
        type=_FRACTION,
        default=0.15,
        help="Approximate share of the patches held out to choose the threshold on.",
    ),
    click.option(
        "--operating-point",
        default="specificity=0.95",
        metavar="NAME=VALUE",
        help="Smallest specificity or sensitivity that the threshold must reach.",
    ),
    rounds_option,
    data_options,
)

"""The command ``pcam-sklearn``: the public API from the command line.

The modules named after commands import nothing heavy, so that ``--help`` is quick; what they work
with is imported when a command runs.
"""

import os

import click

from pcam_sklearn import __version__
from pcam_sklearn.cli._check import check, quickstart
from pcam_sklearn.cli._train import train, tune
from pcam_sklearn.cli._use import card, evaluate, predict

__all__ = ["main"]


class _Commands(click.Group):
    """Commands in the order of work; an interrupted one ends with 130, as in a shell."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted. Nothing is left half written.", err=True)
            ctx.exit(130)


_EPILOG = """\b
From Kaggle's folder to a submission and a model card:
  pcam-sklearn check histopathologic-cancer-detection
  pcam-sklearn train histopathologic-cancer-detection --output run1
  pcam-sklearn predict run1 histopathologic-cancer-detection
  pcam-sklearn card run1 --output card.html

\b
Exit codes:
  0    done, and nothing wrong was found
  1    check found damage
  2    wrong usage, or input that cannot be used
  130  interrupted; nothing is left half written
"""


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG
)
@click.version_option(__version__, prog_name="pcam-sklearn")
def main() -> None:
    """Find tumour tissue in the center of histology patches.

    Research software, not a medical device.
    """
    # TensorFlow's notes about the processor would bury what the commands have to say, and a
    # command opens no windows.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MPLBACKEND", "Agg")


for _command in (quickstart, check, train, tune, evaluate, predict, card):
    main.add_command(_command)

"""The command ``pcam-sklearn``: the public API from the command line.

One module per command. Each imports what it works with when it runs, so that ``--help`` is quick.
"""

import io
import os
import sys

import click

from pcam_sklearn import __version__
from pcam_sklearn.cli._card import card
from pcam_sklearn.cli._check import check
from pcam_sklearn.cli._evaluate import evaluate
from pcam_sklearn.cli._export import export
from pcam_sklearn.cli._fetch import fetch
from pcam_sklearn.cli._output import CommandGroup
from pcam_sklearn.cli._predict import predict
from pcam_sklearn.cli._quickstart import quickstart
from pcam_sklearn.cli._train import train
from pcam_sklearn.cli._tune import tune

__all__ = ["main"]

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
  70   a fault of pcam-sklearn itself, with a traceback
  130  interrupted; nothing is left half written (143 after SIGTERM, 129 after SIGHUP)
  141  whatever read the results has closed the pipe
"""


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=_EPILOG,
)
@click.version_option(__version__, prog_name="pcam-sklearn")
def main() -> None:
    """Find tumour tissue in the center of histology patches.

    Research software, not a medical device.
    """
    # A file may have a name that the terminal cannot show, which must not end a command halfway.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # TensorFlow reads this when it is imported. Its notes about the processor would bury results.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Commands save pictures and open no windows, so they also work without a display.
    os.environ.setdefault("MPLBACKEND", "Agg")


for _command in (quickstart, fetch, check, train, tune, evaluate, predict, card, export):
    main.add_command(_command)

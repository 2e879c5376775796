"""The command ``train``: train on patches, and write a run folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pcam_sklearn.cli._options import FILE, RECORDED, after_help, training_options
from pcam_sklearn.cli._output import reports


def _read_config(context: click.Context, _: click.Parameter, path: Path | None) -> Any:
    """Make the options of an earlier run the defaults, and return its pipeline's parameters."""
    if path is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        options, parameters = dict(config["options"]), dict(config["parameters"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise click.BadParameter(
            f"{path} is not the config.json of a run: {type(error).__name__}: {error}"
        ) from error
    context.default_map = {
        name: options[name] for name in RECORDED if options.get(name) is not None
    }
    return parameters


@click.command(
    epilog=after_help(
        "pcam-sklearn train histopathologic-cancer-detection --output run1",
        "pcam-sklearn train synthetic --output run1 --epochs 3 --set cnnclassifier__dropout=0.3",
        "pcam-sklearn train --config run1/config.json --output run2",
    )
)
@training_options
@click.option(
    "--config",
    "recorded",
    type=FILE,
    # click reads eager options first, so that the recorded options are defaults for all others.
    is_eager=True,
    callback=_read_config,
    help="Repeat the run that wrote this config.json; other options override it.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on at the last whole epoch of a run that was killed or interrupted. If this run ends "
    "by an error, its epochs stay for the next --resume as well.",
)
@reports
@click.pass_context
def train(context: click.Context, recorded: Mapping[str, Any] | None, **options: Any) -> None:
    """Train on DATA, and write a run folder.

    DATA is a folder in Kaggle's layout, a folder of official PatchCamelyon files, a folder with a
    subfolder of images for each class, or the word "synthetic". Where the slides are known, whole
    slides are held out: some to choose the threshold on, which is then frozen, others to report on.

    The folder holds model.pcam, card.html and card.md, evaluation.json, predictions.csv,
    history.csv, split.csv, pictures, the config.json that reproduces the run, and the manifest.json
    by which damage is found. It appears only when it is complete.
    """
    options["out"].step("loading Keras")
    from pcam_sklearn.cli._parameters import from_json_values
    from pcam_sklearn.cli._training_run import make_run

    parameters = None if recorded is None else from_json_values(recorded)
    make_run(context, recorded=parameters, **options)

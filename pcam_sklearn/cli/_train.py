"""The commands that make a run folder: ``train`` and ``tune``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn import __version__
from pcam_sklearn.cli._shared import (
    FILE,
    NEW_FOLDER,
    Command,
    Data,
    Decorator,
    Network,
    Output,
    after_help,
    data_options,
    reporting,
)

if TYPE_CHECKING:
    from pcam_sklearn.cli._data import Patches
    from pcam_sklearn.cli._split import Split

# Options that a run's config.json keeps, by the names of the functions' arguments.
_KEPT = (
    "data", "slides", "subset", "test_fraction", "threshold_fraction", "operating_point", "rounds",
    "random_state",
)  # fmt: skip
_FRACTION = click.FloatRange(0, 0.5, min_open=True)


def _use_config(context: click.Context, _: click.Parameter, path: Path | None) -> Any:
    """Let the options of an earlier run stand where the user gives none; return its parameters."""
    if path is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        options, parameters = config["options"], config["parameters"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise click.BadParameter(
            f"{path} is not the config.json of a run: {type(error).__name__}: {error}"
        ) from error
    context.default_map = {name: options[name] for name in _KEPT if options.get(name) is not None}
    return parameters


def _training_options(command: Command) -> Command:
    whole = click.IntRange(min=1)
    options: list[Decorator] = [
        click.argument("data", type=Data()),
        click.option("--output", type=NEW_FOLDER, required=True, help="The run folder to write."),
        click.option("--overwrite", is_flag=True, help="Replace a run folder that is there."),
        click.option("--network", type=Network(), help="Name of the network."),
        click.option("--crop-size", type=whole, help="Side of the center it sees, in pixels."),
        click.option("--epochs", type=whole, help="Largest number of epochs."),
        click.option("--batch-size", type=whole, help="Patches a gradient step."),
        click.option("--augment", help="Augmentation, as d4 or d4,stain; none for none."),
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
            show_default=True,
            help="About this share, a half, a third and so on, is held out to report on.",
        ),
        click.option(
            "--threshold-fraction",
            type=_FRACTION,
            default=0.15,
            show_default=True,
            help="About this share is held out to choose the threshold on.",
        ),
        click.option(
            "--operating-point",
            default="specificity=0.95",
            show_default=True,
            metavar="NAME=VALUE",
            help="What the threshold is chosen for: a least specificity or sensitivity.",
        ),
        click.option("--rounds", type=click.IntRange(min=100), help="Rounds of the bootstrap."),
        data_options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    epilog=after_help(
        "pcam-sklearn train histopathologic-cancer-detection --output run1",
        "pcam-sklearn train synthetic --output run1 --epochs 3 --set cnnclassifier__dropout=0.3",
        "pcam-sklearn train --config run1/config.json --output run2",
    )
)
@_training_options
@click.option(
    "--config",
    "recorded",
    type=FILE,
    is_eager=True,
    callback=_use_config,
    help="Do the run again that wrote this config.json; other options come on top.",
)
@reporting
@click.pass_context
def train(context: click.Context, recorded: Mapping[str, Any] | None, **options: Any) -> None:
    """Train on DATA, and write a run folder.

    DATA is a folder in Kaggle's layout, a folder of official PatchCamelyon files, or the word
    "synthetic". Where the slides are known, whole slides are held out: some to choose the threshold
    on, which is then frozen, others to report on.

    The folder holds model.joblib, card.html and card.md, evaluation.json, predictions.csv,
    history.csv, split.csv, pictures, and the config.json that reproduces it. It is whole or not
    there.
    """
    from pcam_sklearn.cli._keras import import_keras

    import_keras()
    from pcam_sklearn.cli._parameters import from_json_values

    _make_run(context, None if recorded is None else from_json_values(recorded), **options)


@click.command(
    epilog=after_help(
        "pcam-sklearn tune histopathologic-cancer-detection --output run1 --jobs 2",
        "pcam-sklearn tune synthetic --output run1 --grid cnnclassifier__dropout=0.3,0.5",
        "pcam-sklearn tune synthetic --output run1 --n-iter 10",
    )
)
@_training_options
@click.option(
    "--grid",
    multiple=True,
    metavar="NAME=V1,V2",
    help="Values to try for a parameter; may be repeated. Default: make_search_space().",
)
@click.option("--n-iter", type=click.IntRange(min=1), help="Draw so many candidates at random.")
@click.option("--cv", type=click.IntRange(min=2), default=3, show_default=True, help="Folds.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Parallel fits.")
@reporting
@click.pass_context
def tune(
    context: click.Context,
    grid: tuple[str, ...],
    n_iter: int | None,
    cv: int,
    jobs: int,
    **options: Any,
) -> None:
    """Search for parameters by cross-validation over slides, and train with the best.

    Takes DATA and writes a run folder as train does, with search.csv and search.png besides. What
    is held out takes no part in the search. A config.json of tune, given to train, trains with the
    parameters that were found.
    """
    from pcam_sklearn.cli._keras import import_keras

    import_keras()
    search = {"grid": list(grid), "n_iter": n_iter, "cv": cv, "jobs": jobs}
    _make_run(context, None, search=search, **options)


def _make_run(
    context: click.Context,
    recorded: Mapping[str, Any] | None,
    *,
    output: Path,
    overwrite: bool,
    out: Output,
    search: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    from pcam_sklearn.cli._data import TO_LEARN, load_patches, with_labels
    from pcam_sklearn.cli._parameters import build_pipeline, parse_settings, to_json_values
    from pcam_sklearn.cli._run import run_training, write_run
    from pcam_sklearn.cli._run_folder import new_folder
    from pcam_sklearn.cli._split import split_patches

    criterion = _criterion(options["operating_point"])
    with new_folder(output, overwrite=overwrite) as folder:
        pipeline = build_pipeline(
            _given(context, options, recorded), parse_settings(options["settings"]), recorded
        )
        where = {name: options[name] for name in ("data", "subset", "slides", "random_state")}
        patches = with_labels(load_patches(**where, default=TO_LEARN, progress=out.progress))
        fractions = options["test_fraction"], options["threshold_fraction"]
        split = split_patches(patches, *fractions, options["random_state"])
        (out.note if patches.groups is not None else out.warn)(split.text)
        found = _search(folder, pipeline, patches, split, search, options, out) if search else {}
        config = {
            "command": context.info_name,
            "pcam_sklearn": __version__,
            "options": _kept(options),
            "parameters": to_json_values(pipeline),
            **found,
        }
        rounds = {} if options["rounds"] is None else {"n_rounds": options["rounds"]}
        settings = {"random_state": options["random_state"], "progress": out.progress, **rounds}
        run = run_training(pipeline, patches, split, criterion, **settings)
        facts = write_run(folder, run, config)
    _tell(out, output, run.evaluation, facts)


def _tell(out: Output, output: Path, evaluation: Any, facts: Mapping[str, Any]) -> None:
    from pcam_sklearn.cli._measure import evaluation_text

    text = f"{evaluation_text(evaluation)}\n\nWritten to {output}; see card.html in it."
    out.result(text, {"output": output, **facts})


def _search(
    folder: Path,
    pipeline: Any,
    patches: "Patches",
    split: "Split",
    search: Mapping[str, Any],
    options: Mapping[str, Any],
    out: Output,
) -> dict[str, Any]:
    """Search, set the best parameters, write the results, and return what the config keeps."""
    from pcam_sklearn import make_search_space
    from pcam_sklearn.cli._parameters import check_names, parse_grid
    from pcam_sklearn.cli._search import search_parameters, write_search
    from pcam_sklearn.cli._split import make_folds

    part = patches.take(split.training)
    space = parse_grid(search["grid"])
    if not space:
        network = pipeline.get_params()["cnnclassifier__network"]
        space = make_search_space(network=network, distributions=search["n_iter"] is not None)
    check_names(pipeline, space)
    done = search_parameters(
        pipeline,
        space,
        part,
        make_folds(part, search["cv"], options["random_state"]),
        n_iter=search["n_iter"],
        jobs=search["jobs"],
        random_state=options["random_state"],
        progress=out.progress,
    )
    write_search(folder, done)
    best = {name: repr(value) for name, value in done.best_params_.items()}
    out.note(f"Cross-validated AUC {done.best_score_:.3f} with {done.best_params_}")
    pipeline.set_params(**done.best_params_)
    return {"search": {**search, "best_score": done.best_score_, "best_parameters": best}}


def _given(
    context: click.Context, options: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what the user gave of the pipeline's parameters, under the names of the package."""
    from pcam_sklearn.cli._parameters import parse_value

    names = ("network", "crop_size", "epochs", "batch_size")
    given = {name: options[name] for name in names if options[name] is not None}
    if options["augment"] is not None:
        several = tuple(options["augment"].split(","))
        given["augment"] = several if len(several) > 1 else parse_value(several[0])
        if given["augment"] == "none":
            given["augment"] = None
    source = context.get_parameter_source("random_state")
    if recorded is None or source is click.core.ParameterSource.COMMANDLINE:
        given["random_state"] = options["random_state"]
    return given


def _criterion(text: str) -> dict[str, float]:
    name, _, value = text.partition("=")
    try:
        wanted = float(value)
    except ValueError:
        wanted = -1.0
    if name not in ("specificity", "sensitivity") or not 0 <= wanted <= 1:
        raise click.UsageError(
            f"--operating-point {text!r} is not allowed; type specificity=0.95 or sensitivity=0.9, "
            "with a number from 0 to 1"
        )
    return {name: wanted}


def _kept(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that reproduce a run, from whichever folder."""
    kept = {name: options[name] for name in _KEPT}
    if kept["data"] != "synthetic":
        kept["data"] = Path(kept["data"]).absolute()
    if kept["slides"] is not None:
        kept["slides"] = kept["slides"].absolute()
    return kept

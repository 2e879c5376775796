"""The command ``pcam-sklearn``: the public API from the command line."""

import os
from pathlib import Path

import click

from pcam_sklearn import __version__
from pcam_sklearn._files import atomic_path

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_NEW_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pcam-sklearn")
def main() -> None:
    """Find tumour tissue in the center of histology patches.

    Research software, not a medical device.
    """
    # TensorFlow's notes about the processor would bury what the commands have to say.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@main.command()
@click.option("--data", type=_FOLDER, help="Folder in Kaggle's layout; default: made patches.")
@click.option("--output", type=_NEW_FOLDER, default=Path("quickstart"), show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--jobs", type=int, default=1, show_default=True, help="Parallel fits.")
@click.option("--random-state", type=click.IntRange(min=0), default=0, show_default=True)
def quickstart(data: Path | None, output: Path, epochs: int, jobs: int, random_state: int) -> None:
    r"""Do the whole job once: tune, save, load, predict, draw.

    Without --data it makes its own patches, so nothing is downloaded.

    \b
    Examples:
      pcam-sklearn quickstart
      pcam-sklearn quickstart --data histopathologic-cancer-detection --output run1
    """
    from pcam_sklearn._quickstart import run

    try:
        run(data, output, epochs=epochs, n_jobs=jobs, random_state=random_state, say=click.echo)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("folder", type=_FOLDER)
@click.option("--findings", type=_NEW_FILE, help="Also write one row for each finding, as CSV.")
@click.pass_context
def check(context: click.Context, folder: Path, findings: Path | None) -> None:
    r"""Check every row and every file of FOLDER, in Kaggle's layout.

    Exits with 0 if all is well, 1 if anything is damaged, 2 if the folder cannot be checked.

    \b
    Example:
      pcam-sklearn check histopathologic-cancer-detection
    """
    from pcam_sklearn.datasets import audit_patches

    try:
        report = audit_patches(folder)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    click.echo(report.summary())
    if findings is not None:
        with atomic_path(findings) as path:
            report.to_frame().to_csv(path, index=False)
    context.exit(0 if report.ok else 1)


@main.command()
@click.argument("model", type=_FILE)
@click.argument("folder", type=_FOLDER)
@click.option("--output", type=_NEW_FILE, default=Path("submission.csv"), show_default=True)
@click.option("--subset", type=click.Choice(["test", "train"]), default="test", show_default=True)
def predict(model: Path, folder: Path, output: Path, subset: str) -> None:
    r"""Write the probability of tumour for each patch of FOLDER.

    MODEL is a pipeline saved with joblib; loading one runs code, so load only files you trust.
    FOLDER is in Kaggle's layout.

    \b
    Example:
      pcam-sklearn predict model.joblib histopathologic-cancer-detection
    """
    import joblib

    from pcam_sklearn.datasets import load_kaggle
    from pcam_sklearn.submission import write_submission

    try:
        patches = load_kaggle(folder, subset=subset)
        pipeline = joblib.load(model)
        if "cnnclassifier__verbose" in pipeline.get_params():
            pipeline.set_params(cnnclassifier__predict__verbose=True)
        probabilities = pipeline.predict_proba(patches.paths)[:, 1]
        write_submission(output, patches.ids, probabilities)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{len(patches.ids)} probabilities written to {output}")

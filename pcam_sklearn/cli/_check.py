"""The commands that need no trained model: ``quickstart`` and ``check``."""

from pathlib import Path

import click

from pcam_sklearn._files import atomic_path
from pcam_sklearn.cli._shared import (
    FOLDER,
    NEW_FILE,
    NEW_FOLDER,
    Output,
    after_help,
    reporting,
)


@click.command(
    epilog=after_help(
        "pcam-sklearn quickstart",
        "pcam-sklearn quickstart --data histopathologic-cancer-detection --output run1",
    )
)
@click.option("--data", type=FOLDER, help="Folder in Kaggle's layout; default: made patches.")
@click.option("--output", type=NEW_FOLDER, default=Path("quickstart"), show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--jobs", type=int, default=1, show_default=True, help="Parallel fits.")
@click.option("--random-state", type=click.IntRange(min=0), default=0, show_default=True)
@reporting
def quickstart(
    data: Path | None, output: Path, epochs: int, jobs: int, random_state: int, out: Output
) -> None:
    """Do the whole job once: tune, save, load, predict, draw.

    Without --data it makes its own patches, so nothing is downloaded.
    """
    from pcam_sklearn.cli._keras import import_keras

    import_keras()
    from pcam_sklearn._quickstart import run

    facts = run(data, output, epochs=epochs, n_jobs=jobs, random_state=random_state, say=out.note)
    written = ", ".join(("model.joblib", "submission.csv", "roc.png", "history.png"))
    out.result(
        f"AUC {facts['auc']:.3f} on the patches held out\nsee {output}: {written}",
        {"output": output, **facts},
    )


@click.command(
    epilog=after_help(
        "pcam-sklearn check histopathologic-cancer-detection",
        "pcam-sklearn check histopathologic-cancer-detection --findings findings.csv",
        "pcam-sklearn check histopathologic-cancer-detection --json",
        exit_codes="0 all is well; 1 something is damaged; 2 wrong usage, or the folder cannot be "
        "checked; 130 interrupted.",
    )
)
@click.argument("folder", type=FOLDER)
@click.option("--findings", type=NEW_FILE, help="Also write one row for each finding, as CSV.")
@reporting
@click.pass_context
def check(context: click.Context, folder: Path, findings: Path | None, out: Output) -> None:
    """Check every row and every file of FOLDER, in Kaggle's layout."""
    from pcam_sklearn.datasets import audit_patches

    report = audit_patches(folder, progress=out.progress)
    found = report.to_frame()
    if findings is not None:
        with atomic_path(findings) as path:
            found.to_csv(path, index=False)
    facts = {"folder": folder, "ok": report.ok, "counts": report.counts}
    out.result(report.summary(), {**facts, "findings": found.to_dict("records")})
    context.exit(0 if report.ok else 1)

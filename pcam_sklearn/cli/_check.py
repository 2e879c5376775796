"""The command ``check``: find damaged patches before hours are spent on them."""

from pathlib import Path

import click

from pcam_sklearn.cli._options import (
    FOLDER,
    NEW_FILE,
    after_help,
    check_new_file,
    overwrite_file_option,
)
from pcam_sklearn.cli._output import Output, reports, without_formulas


@click.command(
    epilog=after_help(
        "pcam-sklearn check histopathologic-cancer-detection",
        "pcam-sklearn check histopathologic-cancer-detection --findings findings.csv",
        "pcam-sklearn check histopathologic-cancer-detection --json",
        exit_codes="0 nothing is damaged; 1 something is damaged; 2 wrong usage, or the folder "
        "cannot be checked; 130 interrupted.",
    )
)
@click.argument("folder", type=FOLDER)
@click.option("--findings", type=NEW_FILE, help="CSV file to write, with one row per finding.")
@overwrite_file_option
@reports
@click.pass_context
def check(
    context: click.Context, folder: Path, findings: Path | None, overwrite: bool, out: Output
) -> None:
    """Check every row and every file of FOLDER, in Kaggle's layout."""
    from pcam_sklearn._files import atomic_path
    from pcam_sklearn.datasets import audit_patches

    check_new_file(findings, "--findings", overwrite=overwrite)
    report = audit_patches(folder, progress=out.progress)
    table = report.to_frame()
    if findings is not None:
        with atomic_path(findings) as path:
            without_formulas(table).to_csv(path, index=False)
    facts = {"folder": folder, "ok": report.ok, "counts": report.counts}
    out.result(report.summary(), {**facts, "findings": table.to_dict("records")})
    context.exit(0 if report.ok else 1)

"""The command ``fetch``: download the official files."""

from pathlib import Path
from typing import Any

import click

from pcam_sklearn.cli._options import NEW_FOLDER, PARTS, after_help
from pcam_sklearn.cli._output import Output, reports


@click.command(
    epilog=after_help(
        "pcam-sklearn fetch pcam",
        "pcam-sklearn fetch pcam --split valid --split test",
    )
)
@click.argument("folder", type=NEW_FOLDER)
@click.option(
    "--split",
    "splits",
    type=click.Choice(PARTS),
    multiple=True,
    default=PARTS,
    help="Split to download; may be repeated. train takes 6.4 GB, valid and test 0.8 GB each.",
)
@click.option("--base-url", help="Address of another copy of the files. Default: Zenodo's.")
@reports
def fetch(folder: Path, splits: tuple[str, ...], base_url: str | None, out: Output) -> None:
    """Download the official files of PatchCamelyon into FOLDER, and verify them.

    If anything goes wrong, type the same again: files that are whole stay, and a download goes on
    where it broke off. Then pass FOLDER as DATA to the other commands.
    """
    from pcam_sklearn.datasets import fetch_pcam

    elsewhere: dict[str, Any] = {} if base_url is None else {"base_url": base_url}
    files = fetch_pcam(folder, dict.fromkeys(splits), progress=out.progress, **elsewhere)
    facts = {"folder": folder, "files": [file.name for file in files]}
    out.result(f"{len(files)} verified files in {folder}", facts)

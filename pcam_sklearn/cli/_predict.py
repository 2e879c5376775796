"""The command ``predict``: write probabilities to a CSV file, as Kaggle takes it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn.cli._options import (
    FILE,
    MODEL,
    NEW_FILE,
    after_help,
    check_new_file,
    data_argument,
    data_options,
    overwrite_file_option,
)
from pcam_sklearn.cli._output import Output, begins_formula, reports

if TYPE_CHECKING:
    import numpy as np

    from pcam_sklearn.metrics import OperatingPoint


SAMPLE = "sample_submission.csv"


@click.command(
    epilog=after_help(
        "pcam-sklearn predict run1 histopathologic-cancer-detection",
        "pcam-sklearn predict model.pcam pcam --split valid --output valid.csv",
        "pcam-sklearn predict run1 histopathologic-cancer-detection --ids some.txt",
        "pcam-sklearn predict run1 folder-of-images --output probabilities.csv",
    )
)
@click.argument("model", type=MODEL)
@data_argument()
@click.argument("ids", nargs=-1)
@click.option(
    "--ids",
    "ids_file",
    type=FILE,
    help="File of ids: one per line, or a CSV table with the column id.",
)
@click.option(
    "--output",
    type=NEW_FILE,
    default=Path("submission.csv"),
    help="CSV file to write, with the columns id,label.",
)
@overwrite_file_option
@click.option("--sample", type=FILE, help=f"{SAMPLE}, which sets the order of the same ids.")
@data_options
@reports
def predict(
    model: Path,
    data: str,
    ids: tuple[str, ...],
    ids_file: Path | None,
    output: Path,
    overwrite: bool,
    sample: Path | None,
    out: Output,
    **options: Any,
) -> None:
    """Write the probability of tumour for each patch of DATA, or for those of IDS.

    MODEL is a run folder, a .pcam file or an .onnx file, which run no code, or ``pretrained`` for
    the model that comes with the package. A pipeline saved with joblib works as well, but loading
    it runs code, so load only files that you trust. DATA is as for train, or a folder of images,
    whose names become the ids; without --subset its test part is predicted.
    """
    from pcam_sklearn.cli._patches import TO_PREDICT, choose_patches, load_patches, read_ids
    from pcam_sklearn.cli._probabilities import predict_tumour
    from pcam_sklearn.cli._run_model import find_run, load_model
    from pcam_sklearn.submission import check_submission_ids, write_submission

    # Keras takes seconds to load. Errors in the files, the run folder, DATA and IDS come before.
    check_new_file(output, "--output", overwrite=overwrite)
    find_run(model)
    wanted = [*ids, *(read_ids(ids_file) if ids_file else [])]
    patches = load_patches(data, **options, default=TO_PREDICT, progress=out.progress)
    patches = choose_patches(patches, wanted) if wanted else patches
    check_submission_ids(patches.ids, sample)
    out.step(f"loading {model}")
    loaded = load_model(model)
    prob = predict_tumour(loaded.estimator, patches.X, "predict", progress=out.progress)
    # Another process may have written it meanwhile.
    check_new_file(output, "--output", overwrite=overwrite)
    write_submission(output, patches.ids, prob, sample)
    is_submission = sample is None and not wanted and options["subset"] in (None, "test")
    _warn_of_ids(patches.ids, output, data if is_submission else None, out)
    facts = {"output": output, "name": patches.name, **_summarize(prob, loaded.operating_point)}
    out.result(f"{len(patches)} probabilities written to {output}", facts)


def _warn_of_ids(ids: "np.ndarray", output: Path, data: str | None, out: Output) -> None:
    """Warn of ids that a spreadsheet runs, and of those that a submission from `data` lacks."""
    if data is not None and (lack := _describe_lack(data, ids)):
        out.warn(f"{lack}, so Kaggle may refuse {output} as a submission")
    if n := sum(map(begins_formula, ids.tolist())):
        # The ids stay as they are, because programs join on them.
        out.warn(
            f"{n:,} ids begin with =, +, - or @, which a spreadsheet runs as a formula; import "
            f"{output} as text"
        )


def _describe_lack(data: str, ids: "np.ndarray") -> str | None:
    """Describe what the sample submission of a folder lists and was not predicted, if anything."""
    from pcam_sklearn.cli._patches import is_kaggle_folder, read_ids

    sample = Path(data) / SAMPLE
    if not is_kaggle_folder(data) or not sample.is_file():
        return None
    try:
        missing = set(read_ids(sample)) - set(ids.tolist())
    except (OSError, ValueError) as error:  # Nobody asked for this file.
        return f"{sample} cannot be read: {error}"
    return f"{len(missing):,} ids of {sample} have no patch in the folder" if missing else None


def _summarize(prob: "np.ndarray", point: "OperatingPoint | None") -> dict[str, Any]:
    return {
        "patches": len(prob),
        "mean_probability": prob.mean(),
        "threshold": None if point is None else point.threshold,
        "called_positive": None if point is None else point.predict(prob).sum(),
    }

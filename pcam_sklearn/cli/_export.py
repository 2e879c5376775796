"""The command ``export``: write a model as an ONNX graph, which runs without Keras."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn.cli._options import (
    MODEL,
    NEW_FILE,
    OF_DATA,
    after_help,
    check_new_file,
    data_options,
    expand_data,
    overwrite_file_option,
    refuse_options,
)
from pcam_sklearn.cli._output import Output, reports

if TYPE_CHECKING:
    import numpy as np

# More patches hardly change the ranges of the 8-bit numbers.
_CALIBRATION = 256


@click.command(
    epilog=after_help(
        "pcam-sklearn export run1 --output model.onnx",
        "pcam-sklearn export model.pcam --output small.onnx --int8 folder-of-images",
        "pcam-sklearn predict model.onnx histopathologic-cancer-detection",
    )
)
@click.argument("model", type=MODEL)
@click.option("--output", type=NEW_FILE, default=Path("model.onnx"), help="ONNX file to write.")
@overwrite_file_option
@click.option(
    "--int8",
    callback=expand_data,
    metavar="DATA",
    help="Compute with 8-bit integers, whose ranges are taken from patches of DATA.",
)
@data_options
@reports
@click.pass_context
def export(
    context: click.Context,
    model: Path,
    output: Path,
    overwrite: bool,
    int8: str | None,
    out: Output,
    **options: Any,
) -> None:
    """Write MODEL as one ONNX graph, from the bytes of patches to probabilities.

    MODEL is a run folder or a .pcam file, or ``pretrained`` for the model that comes with the
    package. The graph is compared with the model, and written only if they agree. ``predict``,
    ``evaluate`` and ``card`` take the file in the place of a model, and need neither Keras nor
    TensorFlow for it. DATA is as for train; its labels, if there are any, show what --int8 does to
    the AUC.
    """
    from pcam_sklearn.cli._run_model import find_run, load_model

    # Keras takes seconds to load. Errors in the arguments come before.
    check_new_file(output, "--output", overwrite=overwrite)
    if output.suffix != ".onnx":
        raise click.UsageError(f"--output {output} must end in .onnx")
    if int8 is None:
        refuse_options(context, OF_DATA, "--int8 DATA")
    find_run(model)
    calibration = None if int8 is None else _load_calibration(int8, options, out)
    out.step(f"loading {model}")
    loaded = load_model(model)
    if calibration is not None and calibration[1] is not None:
        # DATA has the labels 0 and 1, and a model fitted in Python may have others.
        calibration = calibration[0], loaded.estimator.classes_[calibration[1]]
    # A model file may leave some of its metadata open.
    known = {name: value for name, value in loaded.metadata.items() if value is not None}
    metadata = {"operating_point": loaded.operating_point, **known}
    from pcam_sklearn.export import export_onnx
    from pcam_sklearn.export._export import describe

    out.step("converting and comparing")
    written = export_onnx(
        loaded.estimator,
        output,
        quantize=None if int8 is None else "int8",
        calibration=calibration,
        metadata=metadata,
        verbose=0,
    )
    out.result(describe(written), {**asdict(written), "model": model})


def _load_calibration(
    data: str, options: dict[str, Any], out: Output
) -> "tuple[np.ndarray, np.ndarray | None]":
    """Return some patches, drawn evenly, and their labels or None."""
    import numpy as np

    from pcam_sklearn.cli._patches import TO_LEARN, load_patches

    patches = load_patches(data, **options, default=TO_LEARN, progress=out.progress)
    if len(patches) > _CALIBRATION:
        generator = np.random.default_rng(options["random_state"])
        patches = patches.take(np.sort(generator.permutation(len(patches))[:_CALIBRATION]))
    return patches.X, patches.target if len(patches.target) else None

"""The command ``card``: write the model card of a run, or of a model measured on other patches."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn.cli._options import (
    MODEL,
    NEW_FILE,
    OF_DATA,
    after_help,
    check_new_file,
    data_argument,
    data_options,
    overwrite_file_option,
    refuse_options,
    rounds_option,
    unseen_option,
)
from pcam_sklearn.cli._output import Output, reports

if TYPE_CHECKING:
    import numpy as np

    from pcam_sklearn.cli._patches import Patches
    from pcam_sklearn.cli._run_model import Model
    from pcam_sklearn.report import ModelCard


@click.command(
    epilog=after_help(
        "pcam-sklearn card run1 --output card.html",
        'pcam-sklearn card run1 pcam --split test --output card.md --title "Network 7"',
    )
)
@click.argument("model", type=MODEL)
@data_argument(required=False)
@click.option(
    "--output",
    type=NEW_FILE,
    default=Path("card.html"),
    help="File to write: .html is one page; .md has its pictures next to it.",
)
@overwrite_file_option
@click.option("--title", help="Name of the model.")
@unseen_option
@rounds_option
@data_options
@reports
def card(
    model: Path,
    data: str | None,
    output: Path,
    overwrite: bool,
    title: str | None,
    unseen: bool,
    rounds: int | None,
    out: Output,
    **options: Any,
) -> None:
    """Write the model card of MODEL: of its own run, or measured on DATA.

    MODEL is a run folder, a .pcam file or an .onnx file, which run no code, or ``pretrained`` for
    the model that comes with the package; all but the first need DATA. A pipeline saved with joblib
    works as well, but loading it runs code, so load only files that you trust.
    """
    from pcam_sklearn.cli._run_model import load_model

    # Checked first, because measuring may take minutes.
    if output.suffix not in (".html", ".md"):
        raise click.UsageError(f"--output {output} must end in .html or .md")
    check_new_file(output, "--output", overwrite=overwrite)
    if data is None:
        refuse_options(click.get_current_context(), ("unseen", *OF_DATA), "DATA")
    out.step(f"loading {model}")
    loaded = load_model(model)
    titled = {} if title is None else {"title": title}
    if data is None:
        written = _card_of_run(loaded, model, rounds, titled, out)
    else:
        written = _card_on_data(loaded, data, options, rounds, titled, out, unseen=unseen)
    write = written.write_html if output.suffix == ".html" else written.write_markdown
    write(output)
    names = [picture.name for picture in written.pictures]
    facts = {"output": output, "title": written.title, "pictures": names}
    out.result(f"Card written to {output}", facts)


def _card_of_run(
    model: "Model", path: Path, rounds: int | None, titled: dict[str, str], out: Output
) -> "ModelCard":
    """Rebuild the card of a run from its folder; no patch is predicted."""
    from pcam_sklearn.cli._measure import measure
    from pcam_sklearn.report import model_card

    if model.folder is None:
        raise ValueError(
            f"{path} is a model without a run folder, so its results are not known; pass DATA to "
            "measure it on"
        )
    facts = model.evaluation
    patches, probabilities, stain = _read_predictions(model.folder, facts["name"])
    settings = {name: facts[name] for name in ("data_sha256", "random_state")}
    settings["rounds"] = rounds or facts["rounds"]
    out.step("measuring, and drawing the card")
    evaluation = measure(patches, probabilities, model.operating_point, stain=stain, **settings)
    X = _find_patches_of_run(model.folder, patches.ids, out)
    described = {"data": facts["training_data"], "split": facts["split"], **titled}
    return model_card(model.estimator, evaluation, X=X, **described)


def _card_on_data(
    model: "Model",
    data: str,
    options: dict[str, Any],
    rounds: int | None,
    titled: dict[str, str],
    out: Output,
    *,
    unseen: bool,
) -> "ModelCard":
    """Measure a model on other patches, and write its card."""
    from pcam_sklearn.cli._measure import evaluate_model, load_evaluation_patches
    from pcam_sklearn.report import model_card

    patches, used = load_evaluation_patches(model, data, options, unseen=unseen, out=out)
    evaluation = evaluate_model(model, patches, rounds, options["random_state"], out)
    out.step("drawing the card")
    split = _describe_split(model, patches, {} if unseen else used)
    training_data = model.evaluation.get("training_data")
    return model_card(
        model.estimator, evaluation, data=training_data, split=split, X=patches.X, **titled
    )


def _describe_split(model: "Model", patches: "Patches", used: dict[str, int]) -> str:
    from pcam_sklearn.cli._measure import describe_overlap

    # A model without a run folder names its slides at most, which is no proof that none was used.
    if model.folder is None:
        return "Not known: the model came without the record of its training."
    if overlap := describe_overlap(used, len(patches)):
        return overlap
    if not model.knows_slides(patches):
        return "No patch evaluated took part in the run. Whether their slides did is not known."
    return "No patch evaluated, and none of their slides, took part in the run."


def _read_predictions(folder: Path, name: str) -> "tuple[Patches, np.ndarray, np.ndarray | None]":
    """Return the held-out patches that a run recorded, without pixels, and their probabilities.

    With them comes the colour group of each patch's slide, or None where it was not recorded.
    """
    import numpy as np

    from pcam_sklearn.cli._patches import Patches, known_hospitals
    from pcam_sklearn.cli._run_model import read_predictions

    table = read_predictions(folder)
    ids, slides = (table[column].to_numpy(dtype=str) for column in ("id", "slide"))
    groups = None if (slides == "").all() else slides
    target = table["label"].to_numpy(dtype=int)
    no_pixels = np.empty(0)
    patches = Patches(name, no_pixels, ids, target, groups, known_hospitals(groups))
    stain = None if (table["stain"] == "").all() else table["stain"].to_numpy(dtype=str)
    return patches, table["probability"].to_numpy(dtype=float), stain


def _find_patches_of_run(folder: Path, ids: "np.ndarray", out: Output) -> "np.ndarray | None":
    """Return the patches that the run held out, or warn and return None if they are gone."""
    from pcam_sklearn.cli._patches import TO_LEARN, load_patches
    from pcam_sklearn.cli._run_model import read_options

    # The data are found where config.json says; a run folder may have been copied elsewhere.
    options = read_options(folder)
    slides = None if options["slides"] is None else Path(options["slides"])
    source = options["data"], options["subset"], slides, options["random_state"]
    try:
        patches = load_patches(*source, default=TO_LEARN, progress=out.progress)
    except (OSError, ValueError) as error:
        out.warn(f"the card shows no patches, because they cannot be read again: {error}")
        return None
    rows = patches.rows_of(ids)
    if (rows < 0).any():
        out.warn(f"the card shows no patches, because {patches.name} has lost some of the run's")
        return None
    return patches.X[rows]

"""The commands that use a trained model: ``evaluate``, ``predict`` and ``card``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcam_sklearn.cli._shared import (
    FILE,
    MODEL,
    NEW_FILE,
    Data,
    Output,
    after_help,
    data_options,
    reporting,
)

if TYPE_CHECKING:
    from pcam_sklearn.cli._data import Patches
    from pcam_sklearn.cli._run_folder import Model
    from pcam_sklearn.report import Evaluation


_UNSEEN = click.option(
    "--unseen", is_flag=True, help="Leave out patches and slides of DATA that the run has used."
)


@click.command(
    epilog=after_help(
        "pcam-sklearn evaluate run1 histopathologic-cancer-detection --unseen",
        "pcam-sklearn evaluate run1 pcam --split test --by-slide",
        "pcam-sklearn evaluate model.joblib synthetic --random-state 7 --json",
    )
)
@click.argument("model", type=MODEL)
@click.argument("data", type=Data())
@_UNSEEN
@click.option("--by-slide", is_flag=True, help="Add a table of the slides.")
@click.option("--rounds", type=click.IntRange(min=100), help="Rounds of the bootstrap.")
@data_options
@reporting
def evaluate(
    model: Path,
    data: str,
    unseen: bool,
    by_slide: bool,
    rounds: int | None,
    out: Output,
    **options: Any,
) -> None:
    """Measure MODEL on DATA, with intervals over slides.

    MODEL is a run folder, or a pipeline saved with joblib; loading one runs code, so load only
    files you trust. A run folder brings its frozen threshold, and a warning if patches or slides of
    DATA took part in the run. DATA is as for train; of official files it is the test split.
    """
    from pcam_sklearn.cli._measure import evaluation_facts, evaluation_text

    loaded, patches, used = _load(model, data, unseen, options, out)
    evaluation = _measure(loaded, patches, rounds, options["random_state"], out)
    facts = evaluation_facts(evaluation)
    if by_slide and (table := evaluation.slide_table()) is not None:
        facts["by_slide"] = table.reset_index().to_dict("records")
    text = evaluation_text(evaluation, by_slide=by_slide)
    out.result(text, {"model": model, **facts, "used_in_training": used, "left_out": unseen})


@click.command(
    epilog=after_help(
        "pcam-sklearn predict run1 histopathologic-cancer-detection",
        "pcam-sklearn predict model.joblib pcam --split valid --output valid.csv",
        "pcam-sklearn predict run1 histopathologic-cancer-detection --ids some.txt",
    )
)
@click.argument("model", type=MODEL)
@click.argument("data", type=Data())
@click.argument("ids", nargs=-1)
@click.option("--ids", "ids_file", type=FILE, help="File of ids: one a line, or a CSV column id.")
@click.option(
    "--output",
    type=NEW_FILE,
    default=Path("submission.csv"),
    show_default=True,
    help="CSV file with the columns id,label.",
)
@click.option("--sample", type=FILE, help="sample_submission.csv, which sets ids and order.")
@data_options
@reporting
def predict(
    model: Path,
    data: str,
    ids: tuple[str, ...],
    ids_file: Path | None,
    output: Path,
    sample: Path | None,
    out: Output,
    **options: Any,
) -> None:
    """Write the probability of tumour for each patch of DATA, or for those of IDS.

    MODEL is a run folder, or a pipeline saved with joblib; loading one runs code, so load only
    files you trust. DATA is as for train; without --subset it is the test part.
    """
    from pcam_sklearn.cli._data import TO_PREDICT, load_patches
    from pcam_sklearn.cli._measure import tumour_probabilities
    from pcam_sklearn.cli._run_folder import load_model
    from pcam_sklearn.submission import write_submission

    patches = load_patches(data, **options, default=TO_PREDICT, progress=out.progress)
    wanted = [*ids, *(_read_ids(ids_file) if ids_file else [])]
    if wanted:
        patches = _choose(patches, wanted)
    loaded = load_model(model)
    prob = tumour_probabilities(loaded.estimator, patches.X, "predict", progress=out.progress)
    write_submission(output, patches.ids, prob, sample)
    point = loaded.operating_point
    facts = {
        "output": output,
        "name": patches.name,
        "patches": len(patches),
        "mean_probability": prob.mean(),
        "threshold": None if point is None else point.threshold,
        "called_positive": None if point is None else point.predict(prob).sum(),
    }
    out.result(f"{len(patches)} probabilities written to {output}", facts)


@click.command(
    epilog=after_help(
        "pcam-sklearn card run1 --output card.html",
        'pcam-sklearn card run1 pcam --split test --output card.md --title "Network 7"',
    )
)
@click.argument("model", type=MODEL)
@click.argument("data", type=Data(), required=False)
@click.option(
    "--output",
    type=NEW_FILE,
    default=Path("card.html"),
    show_default=True,
    help="The card: .html is one page, .md has its pictures beside it.",
)
@click.option("--title", help="What the model is called.")
@_UNSEEN
@click.option("--rounds", type=click.IntRange(min=100), help="Rounds of the bootstrap.")
@data_options
@reporting
def card(
    model: Path,
    data: str | None,
    output: Path,
    title: str | None,
    unseen: bool,
    rounds: int | None,
    out: Output,
    **options: Any,
) -> None:
    """Write the model card of MODEL: of its own run, or measured on DATA.

    MODEL is a run folder or a pipeline saved with joblib; the latter needs DATA.
    """
    from pcam_sklearn.cli._cards import card_of_run, card_on_data

    if output.suffix not in (".html", ".md"):
        raise click.UsageError(f"--output {output} must end in .html or .md")
    if data is None:
        written = card_of_run(model, title, rounds, out)
    else:
        loaded, patches, used = _load(model, data, unseen, options, out)
        overlap = None if unseen else _overlap(used, patches)
        evaluation = _measure(loaded, patches, rounds, options["random_state"], out)
        written = card_on_data(loaded, patches, evaluation, overlap, title)
    write = written.write_html if output.suffix == ".html" else written.write_markdown
    write(output)
    names = [picture.name for picture in written.pictures]
    facts = {"output": output, "title": written.title, "pictures": names}
    out.result(f"Card written to {output}", facts)


def _load(
    model: Path, data: str, unseen: bool, options: dict[str, Any], out: Output
) -> tuple["Model", "Patches", dict[str, int]]:
    """Return the model, the patches to measure it on, and how many took part in its run."""
    from pcam_sklearn.cli._data import TO_MEASURE, load_patches, with_labels
    from pcam_sklearn.cli._run_folder import load_model

    patches = with_labels(load_patches(data, **options, default=TO_MEASURE, progress=out.progress))
    loaded = load_model(model)
    used = _count_used(loaded, patches)
    if unseen:
        patches = _leave_out(loaded, patches, out)
    elif (overlap := _overlap(used, patches)) is not None:
        out.warn(f"{overlap} Pass --unseen to leave them out.")
    return loaded, patches, used


def _measure(
    model: "Model", patches: "Patches", rounds: int | None, random_state: int, out: Output
) -> "Evaluation":
    from pcam_sklearn.cli._measure import measure, slides_suffice, tumour_probabilities

    if patches.groups is not None and not slides_suffice(patches):
        out.warn(
            f"{patches.describe()} have a class that comes from one slide: the intervals take "
            "patches as independent, and are too narrow by far"
        )
    prob = tumour_probabilities(model.estimator, patches.X, "evaluate", progress=out.progress)
    settings = {} if rounds is None else {"n_rounds": rounds}
    return measure(patches, prob, model.operating_point, random_state=random_state, **settings)


def _count_used(model: "Model", patches: "Patches") -> dict[str, int]:
    """Return how many patches and slides took part in the run that made the model."""
    itself, its_slide = model.has_used(patches)
    slides = 0 if patches.groups is None else len(set(patches.groups[its_slide].tolist()))
    return {"patches": int(itself.sum()), "slides": slides}


def _overlap(used: dict[str, int], patches: "Patches") -> str | None:
    if not any(used.values()):
        return None
    return (
        f"{used['patches']:,} of the {len(patches):,} patches evaluated, and {used['slides']:,} "
        "slides by their names, took part in the run that made the model: figures on them are too "
        "good."
    )


def _leave_out(model: "Model", patches: "Patches", out: Output) -> "Patches":
    itself, its_slide = model.has_used(patches)
    unseen = ~(itself | its_slide)
    if not unseen.any():
        raise ValueError(
            f"all {len(patches):,} patches, or their slides, took part in the run that made the "
            "model; pass other data, or go without --unseen"
        )
    out.note(f"{int((~unseen).sum()):,} patches left out, as they or their slides were used")
    return patches.take(unseen)


def _read_ids(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    lines = [line for line in lines if line]
    columns = lines[0].split(",") if lines else []
    if "id" in columns:
        where = columns.index("id")
        return [line.split(",")[where] for line in lines[1:]]
    if not lines or len(columns) > 1:
        raise ValueError(f"{path} must hold one id a line, or a CSV table with the column id")
    return lines


def _choose(patches: "Patches", wanted: list[str]) -> "Patches":
    """Return the patches of these ids, in their order."""
    import numpy as np

    row_of = {id_: row for row, id_ in enumerate(patches.ids.tolist())}
    missing = [id_ for id_ in wanted if id_ not in row_of]
    if missing:
        raise ValueError(
            f"{len(missing):,} of the {len(wanted):,} ids are not in {patches.name}: "
            f"{', '.join(missing[:5])}; an id has neither a folder nor an ending, and --subset "
            "names the part"
        )
    return patches.take(np.array([row_of[id_] for id_ in wanted]))

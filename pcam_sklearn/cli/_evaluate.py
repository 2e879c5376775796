"""The command ``evaluate``: measure a model on other patches."""

from pathlib import Path
from typing import Any

import click

from pcam_sklearn.cli._options import (
    MODEL,
    after_help,
    data_argument,
    data_options,
    rounds_option,
    unseen_option,
)
from pcam_sklearn.cli._output import Output, reports


@click.command(
    epilog=after_help(
        "pcam-sklearn evaluate run1 histopathologic-cancer-detection --unseen",
        "pcam-sklearn evaluate run1 pcam --split test --by-slide",
        "pcam-sklearn evaluate model.pcam synthetic --random-state 7 --json",
    )
)
@click.argument("model", type=MODEL)
@data_argument()
@unseen_option
@click.option("--by-slide", is_flag=True, help="Add a table of the slides.")
@rounds_option
@data_options
@reports
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

    MODEL is a run folder, a .pcam file or an .onnx file, which run no code, or ``pretrained`` for
    the model that comes with the package. A pipeline saved with joblib works as well, but loading
    it runs code, so load only files that you trust. A run folder brings its frozen threshold, and
    a warning if patches or slides of DATA took part in the run. DATA is as for train; from official
    files the default is the test split.
    """
    out.step(f"loading {model}")
    from pcam_sklearn.cli._measure import (
        evaluate_model,
        evaluation_facts,
        evaluation_text,
        load_evaluation_patches,
    )
    from pcam_sklearn.cli._run_model import load_model

    loaded = load_model(model)
    patches, used = load_evaluation_patches(loaded, data, options, unseen=unseen, out=out)
    evaluation = evaluate_model(loaded, patches, rounds, options["random_state"], out)
    facts = evaluation_facts(evaluation)
    table = evaluation.slide_table() if by_slide else None
    if table is not None:
        facts["by_slide"] = table.reset_index().to_dict("records")
    elif by_slide:
        out.warn(
            "there is no table by slide, because the slides are not known or a class comes from "
            "one slide"
        )
    text = evaluation_text(evaluation, by_slide=by_slide)
    out.result(text, {"model": model, **facts, "used_in_training": used, "left_out": unseen})

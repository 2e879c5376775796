"""Parameters of the pipeline: as text on the command line, and as JSON in ``config.json``."""

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from pcam_sklearn import make_pcam_pipeline
from pcam_sklearn._messages import first_few

# The command sets it for a fit, and no run records it: the folder is gone when the run is there.
CHECKPOINT = "cnnclassifier__checkpoint_dir"


def parse_value(text: str) -> Any:
    """Return the text read as a Python literal, or the text itself if it is not one.

    >>> [parse_value(text) for text in ("0.3", "None", "(8, 8)", "d4")]
    [0.3, None, (8, 8), 'd4']
    """
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return ``name=value`` texts as a dict."""
    pairs = [_split_setting(text) for text in settings]
    _refuse_repeated([name for name, _ in pairs], "--set", "set each name once")
    return {name: _parse_typed(value) for name, value in pairs}


def parse_grid(grid: Iterable[str]) -> dict[str, list[Any]]:
    """Return ``name=v1,v2`` texts as the grid of a search.

    >>> parse_grid(["a=0.3,0.5", "b=None,d4", "c=(8,8),(4,4)"])
    {'a': [0.3, 0.5], 'b': [None, 'd4'], 'c': [(8, 8), (4, 4)]}
    """
    pairs = [_split_setting(text) for text in grid]
    _refuse_repeated([name for name, _ in pairs], "--grid", "list all values of one name once")
    return {name: _parse_list(values) for name, values in pairs}


def _refuse_repeated(names: list[str], option: str, advice: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{option} names {first_few(twice)} several times; {advice}")


def _split_setting(text: str) -> tuple[str, str]:
    # A value may hold an equals sign, so only the first one separates.
    name, _, value = text.partition("=")
    if not name.strip() or not value.strip():
        raise ValueError(
            f"{text!r} is not NAME=VALUE; type for instance cnnclassifier__dropout=0.3"
        )
    return name.strip(), value.strip()


def _parse_list(text: str) -> list[Any]:
    # As one literal first: in (8,8),(4,4) not every comma separates values.
    whole = parse_value(f"[{text}]")
    return whole if isinstance(whole, list) else [_parse_typed(part) for part in _split_list(text)]


def _split_list(text: str) -> list[str]:
    """Return the parts between the commas that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _parse_typed(text: str) -> Any:
    """Return a value that a user typed, or raise ValueError if it begins like one of Python."""
    value = None if text.strip() == "none" else parse_value(text)
    if isinstance(value, str) and value.startswith(("(", "[", "{")):
        raise ValueError(
            f"{text!r} cannot be read; within brackets text needs quotes, such as "
            "\"('d4', 'stain')\""
        )
    return value


def parse_augment(text: str) -> Any:
    """Return the `augment` parameter for a text such as d4, d4,stain or none."""
    names = tuple(text.split(","))
    if len(names) > 1:
        return names
    value = parse_value(text)
    return None if value == "none" else value


def parse_operating_point(text: str) -> dict[str, float]:
    """Return ``specificity=0.95`` or ``sensitivity=0.9`` as a dict."""
    name, _, value = text.partition("=")
    try:
        smallest = float(value)
    except ValueError:
        smallest = -1.0
    if name not in ("specificity", "sensitivity") or not 0 <= smallest <= 1:
        raise ValueError(
            f"--operating-point {text!r} is not allowed; type specificity=0.95 or sensitivity=0.9, "
            "with a number from 0 to 1"
        )
    return {name: smallest}


def build_pipeline(
    given: Mapping[str, Any], settings: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> Pipeline:
    """Build the unfitted pipeline.

    `settings` (from --set) override `given` (arguments of `make_pcam_pipeline`), which override
    `recorded` (all parameters of an earlier run), which override the defaults.
    """
    if recorded is None:
        pipeline, overrides = make_pcam_pipeline(**given), dict(settings)
    else:
        step_of = {"crop_size": "centercropnormalizer"}
        named = {f"{step_of.get(k, 'cnnclassifier')}__{k}": v for k, v in given.items()}
        pipeline, overrides = make_pcam_pipeline(), {**recorded, **named, **settings}
    check_names(pipeline, overrides)
    return pipeline.set_params(**overrides)


def check_names(pipeline: Pipeline, names: Iterable[str]) -> None:
    """Raise ValueError for a name without its step, and name the step."""
    known = pipeline.get_params()
    for name in names:
        if name == CHECKPOINT:
            raise ValueError(f"{CHECKPOINT} cannot be set; a run has its own, see --resume")
        if name == "steps" or name in pipeline.named_steps:
            raise ValueError(
                f"{name} cannot be set: a run has the steps of make_pcam_pipeline; type a "
                "parameter of one of them, such as cnnclassifier__dropout"
            )
        # A wrong name behind a step is left to scikit-learn, whose own message is clear there.
        if name.partition("__")[0] in pipeline.named_steps or name in known:
            continue
        meant = [full for full in known if full.endswith(f"__{name}")]
        prefixes = [f"{step}__" for step in pipeline.named_steps]
        raise ValueError(
            f"{name} is no parameter of the pipeline; "
            + (f"type {meant[0]}" if meant else f"a name begins with one of {prefixes}")
        )


def check_values(pipeline: Pipeline, candidates: Iterable[Mapping[str, Any]]) -> None:
    """Raise what a fit would, for the first candidate with a wrong value."""
    for candidate in candidates:
        for _, step in clone(pipeline).set_params(**candidate).steps:
            step._check_parameters()


def to_json_values(pipeline: Pipeline) -> dict[str, Any]:
    """Return all parameters of a pipeline in a form that JSON keeps, for `from_json_values`.

    >>> pipeline = make_pcam_pipeline(class_weight={0: 1, 1: 2}, filters=(4, 4, 4))
    >>> values = to_json_values(pipeline)
    >>> values["cnnclassifier__class_weight"], values["cnnclassifier__filters"]
    ('{0: 1, 1: 2}', (4, 4, 4))
    """
    left_out = {"steps", *pipeline.named_steps, CHECKPOINT}
    values = {k: v for k, v in pipeline.get_params().items() if k not in left_out}
    # JSON changes some values, such as a dict whose keys are numbers. These are written as text.
    # A value that text cannot express either, such as a function, was not typed by the user: it is
    # a default of the package, which the next run has as well.
    return {
        name: value if _survives_json(value) else repr(value)
        for name, value in sorted(values.items())
        if _survives_json(value) or parse_value(repr(value)) == value
    }


def from_json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that `to_json_values` wrote down; lists come back as tuples."""
    return {name: _from_json(value) for name, value in values.items()}


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    return parse_value(value) if isinstance(value, str) else value


def _survives_json(value: Any) -> bool:
    try:
        return bool(_from_json(json.loads(json.dumps(value, allow_nan=False))) == value)
    except (TypeError, ValueError):
        return False

"""Parameters of the pipeline, as text on the command line and as JSON in a file."""

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any

from sklearn.pipeline import Pipeline

from pcam_sklearn import make_pcam_pipeline


def parse_value(text: str) -> Any:
    """Return what a text means as a Python literal, or the text.

    Parameters
    ----------
    text : str
        Such as ``0.3``, ``None``, ``(8, 8, 8)`` or ``d4``.

    Returns
    -------
    object
        The value.

    Examples
    --------
    >>> from pcam_sklearn.cli._parameters import parse_value
    >>> [parse_value(text) for text in ("0.3", "None", "(8, 8)", "d4")]
    [0.3, None, (8, 8), 'd4']
    """
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return ``name=value`` texts as a dict.

    Raises
    ------
    ValueError
        If one has no name or no value.
    """
    return {name: parse_value(value) for name, value in map(_part, settings)}


def parse_grid(grid: Iterable[str]) -> dict[str, list[Any]]:
    """Return ``name=v1,v2`` texts as the grid of a search.

    Raises
    ------
    ValueError
        If one has no name or no value.

    Examples
    --------
    >>> from pcam_sklearn.cli._parameters import parse_grid
    >>> parse_grid(["a=0.3,0.5", "b=None,d4", "c=(8,8),(4,4)"])
    {'a': [0.3, 0.5], 'b': [None, 'd4'], 'c': [(8, 8), (4, 4)]}
    """
    return {name: _parse_list(values) for name, values in map(_part, grid)}


def _part(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name.strip() or not value.strip():
        raise ValueError(f"{text!r} is not name=value; type for instance cnnclassifier__dropout=.3")
    return name.strip(), value.strip()


def _parse_list(text: str) -> list[Any]:
    whole = parse_value(f"[{text}]")
    return whole if isinstance(whole, list) else [parse_value(value) for value in text.split(",")]


def build_pipeline(
    given: Mapping[str, Any], settings: Mapping[str, Any], recorded: Mapping[str, Any] | None
) -> Pipeline:
    """Build the pipeline from what the user gave, on the package's own defaults.

    Parameters
    ----------
    given : mapping
        Arguments of `make_pcam_pipeline`.
    settings : mapping
        Parameters of the pipeline, which come on top.
    recorded : mapping or None
        All parameters of an earlier run, which come below.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Unfitted.

    Raises
    ------
    ValueError
        If there is no such parameter.
    """
    if recorded is None:
        pipeline, on_top = make_pcam_pipeline(**given), dict(settings)
    else:
        step_of = {"crop_size": "centercropnormalizer"}
        named = {f"{step_of.get(k, 'cnnclassifier')}__{k}": v for k, v in given.items()}
        pipeline, on_top = make_pcam_pipeline(), {**recorded, **named, **settings}
    check_names(pipeline, on_top)
    return pipeline.set_params(**on_top)


def check_names(pipeline: Pipeline, names: Iterable[str]) -> None:
    """Raise for a name without its step, which scikit-learn's own message would bury.

    Raises
    ------
    ValueError
        For the first such name.
    """
    known = pipeline.get_params()
    for name in names:
        if name.partition("__")[0] in pipeline.named_steps or name in known:
            continue
        meant = [full for full in known if full.endswith(f"__{name}")]
        names_of_steps = [f"{step}__" for step in pipeline.named_steps]
        raise ValueError(
            f"{name} is no parameter of the pipeline; "
            + (f"type {meant[0]}" if meant else f"a name begins with one of {names_of_steps}")
        )


def to_json_values(pipeline: Pipeline) -> dict[str, Any]:
    """Return all parameters of a pipeline in a form that JSON keeps.

    What JSON would change (a dict whose keys are numbers) is text, as on the command line. What
    no text can say can only be a default of the package, and is left to it.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        The pipeline.

    Returns
    -------
    dict
        Parameters by name, for `from_json_values`.

    Examples
    --------
    >>> from pcam_sklearn import make_pcam_pipeline
    >>> from pcam_sklearn.cli._parameters import from_json_values, to_json_values
    >>> pipeline = make_pcam_pipeline(class_weight={0: 1, 1: 2}, filters=(4, 4, 4))
    >>> values = to_json_values(pipeline)
    >>> values["cnnclassifier__class_weight"], values["cnnclassifier__filters"]
    ('{0: 1, 1: 2}', (4, 4, 4))
    >>> pipeline.get_params().items() >= from_json_values(values).items()
    True
    """
    steps = {"steps", *pipeline.named_steps}
    values = {k: v for k, v in pipeline.get_params().items() if k not in steps}
    return {
        name: value if _survives(value) else repr(value)
        for name, value in sorted(values.items())
        if _survives(value) or parse_value(repr(value)) == value
    }


def from_json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that `to_json_values` wrote down; lists come back as tuples."""
    return {name: _from_json(value) for name, value in values.items()}


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    return parse_value(value) if isinstance(value, str) else value


def _survives(value: Any) -> bool:
    try:
        return bool(_from_json(json.loads(json.dumps(value, allow_nan=False))) == value)
    except (TypeError, ValueError):
        return False

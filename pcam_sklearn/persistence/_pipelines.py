"""Pipelines, frozen estimators and this package's transformers as nodes."""

from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn.persistence._nodes import (
    Kind,
    Node,
    Reader,
    Rule,
    Writer,
    note_others,
    read_parameters,
    write_parameters,
)
from pcam_sklearn.persistence._rules import COUNT, FLAG, one_of
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

_LONGEST_SIDE = 4096
_LONGEST_CROP = 1024  # A prediction holds this much of each patch.


def _side(longest: int) -> Rule:
    return Rule(f"a side of 1 to {longest} pixels", lambda v: COUNT.test(v) and v <= longest)


_SIDE = _side(_LONGEST_SIDE)
_SIDE_OR_NONE = Rule(f"None or {_SIDE.words}", lambda v: v is None or _SIDE.test(v))
_TRANSFORMERS: dict[type, dict[str, Rule]] = {
    PatchReader: {"crop_size": _SIDE_OR_NONE, "in_memory": one_of(True, False, "auto")},
    CenterCropNormalizer: {
        "crop_size": _side(_LONGEST_CROP),
        "input_size": _SIDE,
        "dtype": one_of("float32", "uint8"),
    },
}


def _transformer(kind: type) -> Kind:
    rules = _TRANSFORMERS[kind]

    def write(transformer: Any, writer: Writer) -> Node:
        note_others(transformer, writer)
        return {"parameters": write_parameters(transformer, rules, writer, tuple(rules))}

    def read(node: Node, reader: Reader) -> Any:
        transformer = kind(**read_parameters(node, rules, reader))
        transformer._check_parameters()
        return transformer

    return Kind(kind, write, read)


_PIPELINE = {"verbose": FLAG, "memory": one_of(None)}


def _write_pipeline(pipeline: Pipeline, writer: Writer) -> Node:
    parameters = write_parameters(pipeline, _PIPELINE, writer)
    steps = []
    for name, step in pipeline.steps:
        skipped = step is None or isinstance(step, str)
        steps.append([name, step if skipped else writer.add(step, f"the step {name!r}")])
    note_others(pipeline, writer)
    if getattr(pipeline, "transform_input", None) is not None:
        writer.leave_out(pipeline, "transform_input", pipeline.transform_input)
    return {"parameters": parameters, "steps": steps}


def _read_pipeline(node: Node, reader: Reader) -> Pipeline:
    steps = node.get("steps")
    if not isinstance(steps, list) or not steps:
        raise ModelFileError("a Pipeline has no steps")
    made = []
    for step in steps:
        match step:
            case [str(name), "passthrough" | None]:
                made.append((name, step[1]))
            case [str(name), place]:
                made.append((name, reader.held(place, f"the step {name!r:.200}")))
            case _:
                raise ModelFileError("a step of a Pipeline is not as the package writes it")
    _check_steps(made)
    return Pipeline(made, **read_parameters(node, _PIPELINE, reader))


def _check_steps(steps: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in steps]
    taken = ("steps", "memory", "verbose", "transform_input")
    if len(set(names)) < len(names) or any("__" in n or not n or n in taken for n in names):
        raise ModelFileError("the names of a Pipeline's steps are not allowed")
    for name, step in steps[:-1]:
        if step not in (None, "passthrough") and not hasattr(step, "transform"):
            raise ModelFileError(f"the step {name!r:.200} transforms nothing, and is not the last")


def _write_frozen(frozen: FrozenEstimator, writer: Writer) -> Node:
    return {"estimator": writer.add(frozen.estimator, "the frozen estimator")}


def _read_frozen(node: Node, reader: Reader) -> FrozenEstimator:
    return FrozenEstimator(reader.held(node.get("estimator"), "a FrozenEstimator"))


PIPELINES = (
    Kind(Pipeline, _write_pipeline, _read_pipeline),
    Kind(FrozenEstimator, _write_frozen, _read_frozen),
    _transformer(PatchReader),
    _transformer(CenterCropNormalizer),
)

"""Pipelines, calibrated and thresholded classifiers, and this package's transformers, as nodes.

Private parts of scikit-learn are not named here. A toy is fitted, and then given what was learned.
"""

import copy
import functools
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score, get_scorer_names, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from pcam_sklearn.persistence._classifier import CLASSIFIER
from pcam_sklearn.persistence._errors import ModelFileError
from pcam_sklearn.persistence._nodes import (
    Kind,
    Node,
    Reader,
    Rule,
    Writer,
    part_of,
    read_learned,
    read_parameters,
    write_parameters,
    write_values,
)
from pcam_sklearn.persistence._rules import (
    ARRAY_1D,
    CLASSES,
    COUNT,
    FINITE,
    FLAG,
    INDEX,
    N_JOBS,
    NUMBER,
    SEED,
    SIMPLE,
    one_of,
)
from pcam_sklearn.persistence._values import decode, encode
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

_LONGEST_SIDE = 4096
_SIDE = Rule(
    f"a side of 1 to {_LONGEST_SIDE} pixels", lambda v: COUNT.test(v) and v <= _LONGEST_SIDE
)
_SIDE_OR_NONE = Rule(f"None or {_SIDE.words}", lambda v: v is None or _SIDE.test(v))
_CV = Rule(
    "None, 'prefit', a whole number or a share",
    lambda v: v is None or v == "prefit" or (COUNT.test(v) or (FINITE.test(v) and 0 < v < 1)),
)
_METHODS = ("sigmoid", "isotonic", "temperature")


class _Toy(ClassifierMixin, BaseEstimator):
    """A classifier of numbers in [0, 1], which are the probabilities."""

    def __init__(self, classes: Any = (0, 1)) -> None:
        self.classes = classes

    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.classes)

    def predict_proba(self, X: Any) -> np.ndarray:
        positive = np.asarray(X, dtype=float)[:, 0]
        return np.column_stack([1 - positive, positive])

    def __sklearn_is_fitted__(self) -> bool:
        return True


_TOY_X = np.linspace(0.1, 0.9, 20)[:, None]
_TOY_CODES = np.arange(20) % 2


# This package's transformers

_TRANSFORMERS: dict[type, dict[str, Rule]] = {
    PatchReader: {"crop_size": _SIDE_OR_NONE, "in_memory": one_of(True, False, "auto")},
    CenterCropNormalizer: {
        "crop_size": _SIDE,
        "input_size": _SIDE,
        "dtype": one_of("float32", "uint8"),
    },
}


def _transformer(kind: type) -> Kind:
    rules = _TRANSFORMERS[kind]

    def write(transformer: Any, writer: Writer) -> Node:
        _note_others(transformer, writer)
        return {"parameters": write_parameters(transformer, rules, writer, tuple(rules))}

    def read(node: Node, reader: Reader) -> Any:
        transformer = kind(**read_parameters(node, rules, reader))
        transformer._check_parameters()
        return transformer

    return Kind(kind, write, read)


def _note_others(estimator: Any, writer: Writer, learned: tuple[str, ...] = ()) -> None:
    """Note attributes that are neither parameters nor learned, such as scikit-learn's callbacks."""
    known = {*estimator.get_params(deep=False), *learned}
    for name in sorted(vars(estimator).keys() - known):
        if not (name.endswith("_") and not name.startswith("_")):
            writer.leave_out(estimator, name, vars(estimator)[name])


# Pipelines

_PIPELINE = {"verbose": FLAG, "memory": one_of(None)}


def _write_pipeline(pipeline: Pipeline, writer: Writer) -> Node:
    parameters = write_parameters(pipeline, _PIPELINE, writer)
    steps = []
    for name, step in pipeline.steps:
        skipped = step is None or isinstance(step, str)
        steps.append([name, step if skipped else writer.add(step, f"the step {name!r}")])
    _note_others(pipeline, writer)
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


# Frozen estimators


def _write_frozen(frozen: FrozenEstimator, writer: Writer) -> Node:
    return {"estimator": writer.add(frozen.estimator, "the frozen estimator")}


def _read_frozen(node: Node, reader: Reader) -> FrozenEstimator:
    return FrozenEstimator(reader.held(node.get("estimator"), "a FrozenEstimator"))


# Calibrated classifiers

_CALIBRATED = {
    "method": one_of(*_METHODS),
    "cv": _CV,
    "n_jobs": N_JOBS,
    "ensemble": one_of(True, False, "auto"),
}
_CALIBRATED_LEARNED = {"classes_": CLASSES, "n_features_in_": INDEX}
_INCREASING = Rule(
    "increasing finite numbers",
    lambda v: (
        ARRAY_1D.test(v)
        and v.dtype.kind == "f"
        and len(v) > 0
        and bool(np.isfinite(v).all() and (np.diff(v) >= 0).all())
    ),
)
_CALIBRATORS: dict[str, dict[str, Rule]] = {
    "sigmoid": {"a_": FINITE, "b_": FINITE},
    "temperature": {"beta_": FINITE},
    "isotonic": {
        "X_min_": FINITE,
        "X_max_": FINITE,
        "increasing_": one_of(True),
        "X_thresholds_": _INCREASING,
        "y_thresholds_": _INCREASING,
    },
}


def _write_calibrated(calibrated: CalibratedClassifierCV, writer: Writer) -> Node:
    node: Node = {
        "parameters": write_parameters(calibrated, _CALIBRATED, writer),
        "estimator": _write_held(calibrated.estimator, "the estimator to calibrate", writer),
    }
    node["learned"], node["calibrated"] = {}, []
    if hasattr(calibrated, "calibrated_classifiers_"):
        learned = {k: v for k, v in vars(calibrated).items() if k in _CALIBRATED_LEARNED}
        node["learned"] = write_values(calibrated, learned)
        for part in calibrated.calibrated_classifiers_:
            node["calibrated"].append(
                {
                    "estimator": writer.add(part.estimator, "the calibrated classifier"),
                    "method": part.method,
                    "calibrators": [_write_calibrator(c, part.method) for c in part.calibrators],
                }
            )
    _note_others(calibrated, writer)
    return node


def _write_calibrator(calibrator: Any, method: str) -> Node:
    values = {name: getattr(calibrator, name) for name in _CALIBRATORS[method]}
    if method == "isotonic":
        values["increasing_"] = bool(values["increasing_"])
    return write_values(calibrator, values)


def _read_calibrated(node: Node, reader: Reader) -> CalibratedClassifierCV:
    held = _read_held(node, "estimator", reader)
    parameters = read_parameters(node, _CALIBRATED, reader)
    calibrated = CalibratedClassifierCV(held, **parameters)
    parts = node.get("calibrated")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ModelFileError("a CalibratedClassifierCV is not as the package writes it")
    if parts:
        learned = read_learned(node, _CALIBRATED_LEARNED, ("classes_",))
        made = [_read_calibrated_part(part, learned["classes_"], reader) for part in parts]
        vars(calibrated).update(learned, calibrated_classifiers_=made)
    return calibrated


def _read_calibrated_part(plain: Node, classes: np.ndarray, reader: Reader) -> Any:
    method, calibrators = plain.get("method"), plain.get("calibrators")
    _CALIBRATED["method"].check(method, "method")
    if not isinstance(calibrators, list) or len(calibrators) != 1:
        raise ModelFileError("two classes need one calibrator")
    part = copy.copy(_toy_calibrated(str(method)))
    part.estimator = reader.held(plain.get("estimator"), "a calibrated classifier")
    if list(part.estimator.classes_) != list(classes):
        raise ModelFileError("a calibrated classifier has other classes than its calibration")
    part.classes, part.method = classes, method
    part.calibrators = [_read_calibrator(calibrators[0], str(method), part.calibrators[0])]
    return part


def _read_calibrator(plain: Any, method: str, toy: Any) -> Any:
    node = {"type": f"the {method} calibration", "learned": plain}
    rules = _CALIBRATORS[method]
    learned = read_learned(node, rules, tuple(rules))
    calibrator = copy.copy(toy)
    if method != "isotonic":
        vars(calibrator).update(learned)
        return calibrator
    x, y = learned["X_thresholds_"], learned["y_thresholds_"]
    if len(x) != len(y) or y[0] < 0 or y[-1] > 1 or (len(x) > 1 and (np.diff(x) <= 0).any()):
        raise ModelFileError("the thresholds of an isotonic calibration do not fit together")
    calibrator = IsotonicRegression(out_of_bounds="clip")
    calibrator.__setstate__({**calibrator.__getstate__(), **learned})
    return calibrator


@functools.cache
def _toy_calibrated(method: str) -> Any:
    """Return what a CalibratedClassifierCV keeps of one calibrated classifier."""
    toy = CalibratedClassifierCV(FrozenEstimator(_Toy()), method=method)
    return toy.fit(_TOY_X, _TOY_CODES).calibrated_classifiers_[0]


# Classifiers with a threshold

_RESPONSES = one_of("auto", "decision_function", "predict_proba")
_LABEL = SIMPLE
_TUNED = {
    "scoring": Rule("the name of a scorer", lambda v: isinstance(v, str) and v in _scorers()),
    "response_method": _RESPONSES,
    "thresholds": Rule("at most 100,000", lambda v: COUNT.test(v) and 2 <= v <= 100_000),
    "cv": _CV,
    "refit": FLAG,
    "n_jobs": N_JOBS,
    "random_state": SEED,
    "store_cv_results": FLAG,
}
_TUNED_LEARNED = {"best_threshold_": NUMBER, "best_score_": NUMBER, "n_features_in_": INDEX}
_FIXED = {
    "threshold": Rule("'auto' or a number", lambda v: v == "auto" or NUMBER.test(v)),
    "pos_label": _LABEL,
    "response_method": _RESPONSES,
}


@functools.cache
def _scorers() -> frozenset[str]:
    return frozenset(get_scorer_names())


def _write_tuned(tuned: TunedThresholdClassifierCV, writer: Writer) -> Node:
    node: Node = {
        "parameters": write_parameters(tuned, _TUNED, writer),
        "estimator": _write_held(tuned.estimator, "the estimator of the threshold", writer),
        "fitted": None,
        "learned": {},
    }
    if hasattr(tuned, "estimator_"):
        node["fitted"] = _write_held(tuned.estimator_, "the estimator of the threshold", writer)
        learned = {k: v for k, v in vars(tuned).items() if k in _TUNED_LEARNED}
        node["learned"] = write_values(tuned, learned)
        node["positive"] = encode(_positive_label(tuned), "the positive label")
        if "cv_results_" in vars(tuned):
            writer.leave_out(tuned, "cv_results_", "its curve")
    return node


def _positive_label(tuned: TunedThresholdClassifierCV) -> Any:
    """Return the label that is predicted for scores from the threshold on.

    It hides in a scorer. A prediction tells: 0.5 is below 0.9, so the label given is the other one.
    """
    probe = copy.copy(tuned).set_params(response_method="auto")
    probe.estimator_, probe.best_threshold_ = _Toy(tuned.classes_), 0.9
    given = probe.predict(np.array([[0.5]]))[0]
    return tuned.classes_[0] if given == tuned.classes_[1] else tuned.classes_[1]


def _read_tuned(node: Node, reader: Reader) -> TunedThresholdClassifierCV:
    held, fitted = _read_held(node, "estimator", reader), _read_held(node, "fitted", reader)
    parameters = read_parameters(node, _TUNED, reader)
    if fitted is None:
        return TunedThresholdClassifierCV(held, **parameters)
    learned = read_learned(node, _TUNED_LEARNED, ("best_threshold_",))
    positive = decode(node.get("positive"), "the positive label")
    if not SIMPLE.test(positive) or positive not in list(fitted.classes_):
        raise ModelFileError("the positive label of a threshold is none of the classes")
    toy = TunedThresholdClassifierCV(
        _Toy(fitted.classes_),
        scoring=make_scorer(f1_score, pos_label=positive, zero_division=0.0),
        thresholds=2,
        cv="prefit",
        refit=False,
    )
    tuned = toy.fit(_TOY_X, fitted.classes_[_TOY_CODES])
    for name in [name for name in vars(tuned) if name in _TUNED_LEARNED]:
        delattr(tuned, name)
    defaults = TunedThresholdClassifierCV(held).get_params(deep=False)
    vars(tuned).update(defaults | parameters, estimator_=fitted, **learned)
    return tuned


def _write_fixed(fixed: FixedThresholdClassifier, writer: Writer) -> Node:
    fitted = getattr(fixed, "estimator_", None)
    return {
        "parameters": write_parameters(fixed, _FIXED, writer, tuple(_FIXED)),
        "estimator": _write_held(fixed.estimator, "the estimator of the threshold", writer),
        "fitted": _write_held(fitted, "the estimator of the threshold", writer),
    }


def _read_fixed(node: Node, reader: Reader) -> FixedThresholdClassifier:
    held, fitted = _read_held(node, "estimator", reader), _read_held(node, "fitted", reader)
    fixed = FixedThresholdClassifier(held, **read_parameters(node, _FIXED, reader))
    if fitted is not None:
        fixed.estimator_ = fitted
        if isinstance(fixed.threshold, Real) and fixed.pos_label is not None:
            if fixed.pos_label not in list(fitted.classes_):
                raise ModelFileError("the positive label of a threshold is none of the classes")
    return fixed


def _write_held(estimator: Any, name: str, writer: Writer) -> int | None:
    return None if estimator is None else writer.add(estimator, name)


def _read_held(node: Node, name: str, reader: Reader) -> Any:
    place = node.get(name)
    return None if place is None else reader.held(place, f"{node['type']}.{name}")


KINDS = {
    kind.estimator.__name__: kind
    for kind in (
        Kind(Pipeline, _write_pipeline, _read_pipeline),
        _transformer(PatchReader),
        _transformer(CenterCropNormalizer),
        CLASSIFIER,
        Kind(CalibratedClassifierCV, _write_calibrated, _read_calibrated),
        Kind(FrozenEstimator, _write_frozen, _read_frozen),
        Kind(TunedThresholdClassifierCV, _write_tuned, _read_tuned),
        Kind(FixedThresholdClassifier, _write_fixed, _read_fixed),
    )
}

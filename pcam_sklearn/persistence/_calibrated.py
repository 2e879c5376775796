"""Calibrated classifiers as nodes: which classifier is calibrated, and the numbers that do it."""

import copy
import functools
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn.persistence._nodes import (
    Kind,
    Node,
    Reader,
    Rule,
    Writer,
    note_others,
    read_held,
    read_learned,
    read_parameters,
    write_held,
    write_parameters,
    write_values,
)
from pcam_sklearn.persistence._rules import ARRAY_1D, CLASSES, CV, FINITE, INDEX, N_JOBS, one_of
from pcam_sklearn.persistence._toys import TOY_CODES, TOY_X, Toy

_METHODS = ("sigmoid", "isotonic", "temperature")
_CALIBRATED = {
    "method": one_of(*_METHODS),
    "cv": CV,
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
        "estimator": write_held(calibrated.estimator, "the estimator to calibrate", writer),
    }
    node["learned"], node["calibrated"] = {}, []
    if hasattr(calibrated, "calibrated_classifiers_"):
        learned = {k: v for k, v in vars(calibrated).items() if k in _CALIBRATED_LEARNED}
        node["learned"] = write_values(calibrated, learned, _CALIBRATED_LEARNED)
        for part in calibrated.calibrated_classifiers_:
            node["calibrated"].append(
                {
                    "estimator": writer.add(part.estimator, "the calibrated classifier"),
                    "method": part.method,
                    "calibrators": [_write_calibrator(c, part.method) for c in part.calibrators],
                }
            )
    note_others(calibrated, writer)
    return node


def _write_calibrator(calibrator: Any, method: str) -> Node:
    values = {name: getattr(calibrator, name) for name in _CALIBRATORS[method]}
    if method == "isotonic":
        values["increasing_"] = bool(values["increasing_"])
    return write_values(calibrator, values)


def _read_calibrated(node: Node, reader: Reader) -> CalibratedClassifierCV:
    held = read_held(node, "estimator", reader)
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
    if not _calibrates(list(part.estimator.classes_), list(classes), method):
        raise ModelFileError("a calibrated classifier has other classes than its calibration")
    part.classes, part.method = classes, method
    part.calibrators = [_read_calibrator(calibrators[0], str(method), part.calibrators[0])]
    return part


def _calibrates(inner: list[Any], outer: list[Any], method: Any) -> bool:
    """Return whether classifiers of the inner classes are calibrated to the outer ones."""
    # scikit-learn numbers labels that are text before it fits what it calibrates by temperature.
    numbered = method == "temperature" and isinstance(outer[0], str) and inner == [0, 1]
    return numbered or inner == outer


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
    """Return the object in which a CalibratedClassifierCV keeps a calibrated classifier."""
    toy = CalibratedClassifierCV(FrozenEstimator(Toy()), method=method)
    return toy.fit(TOY_X, TOY_CODES).calibrated_classifiers_[0]


CALIBRATED = Kind(CalibratedClassifierCV, _write_calibrated, _read_calibrated)

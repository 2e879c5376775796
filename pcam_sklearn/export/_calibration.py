"""The calibrations of scikit-learn as operations of Keras."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from pcam_sklearn._errors import ModelFileError

_TINY = 1e-12  # The addition of scikit-learn, which keeps the logarithm of 0 finite.


def calibrate(part: Any, probability: Any) -> Any:
    """Return calibrated probabilities; `part` is one of `calibrated_classifiers_`."""
    if part.method not in _CALIBRATIONS:
        raise ModelFileError(
            f"the calibration {part.method!r} cannot be exported; use one of "
            f"{sorted(_CALIBRATIONS)}"
        )
    (calibrator,) = part.calibrators  # Two classes need one.
    return _CALIBRATIONS[part.method](calibrator, probability)


def _sigmoid(calibrator: Any, probability: Any) -> Any:
    slope, offset = float(calibrator.a_), float(calibrator.b_)
    if not slope:
        return ops.sigmoid(probability * 0 - offset)
    # A difference of near numbers is exact, and that of large products is not.
    return ops.sigmoid(-slope * (probability + offset / slope))


def _isotonic(calibrator: IsotonicRegression, probability: Any) -> Any:
    """Return the piecewise linear function: the height where a piece begins, and its ramp.

    On a plateau, where many patches lie, it is exactly the height, so a threshold is met or not.
    """
    x = np.asarray(calibrator.X_thresholds_, np.float64)
    y = np.asarray(calibrator.y_thresholds_, np.float64)
    # The last piece is the plateau behind the last threshold. Widths are those of the 64-bit
    # thresholds, so that a steep ramp keeps its width.
    widths, rises = np.append(np.diff(x), 1.0), np.append(np.diff(y), 0.0)
    starts, widths, rises, heights = (v.astype(np.float32) for v in (x, widths, rises, y))
    place = ops.sum(ops.cast(probability >= starts[1:], "int32"), axis=1, keepdims=True)
    ramp = (probability - ops.take(starts, place)) / ops.take(widths, place)
    ramp = ops.clip(ramp, 0.0, 1.0)
    return ops.clip(ops.take(heights, place) + ops.take(rises, place) * ramp, 0.0, 1.0)


def _temperature(calibrator: Any, probability: Any) -> Any:
    logit = ops.log(probability + _TINY) - ops.log(1 - probability + _TINY)
    return ops.sigmoid(float(calibrator.beta_) * logit)


def shown_rounding(part: Any) -> float:
    """Return the largest change of a calibrated probability if the other one is off by an ulp."""
    ulp = float(np.finfo(np.float32).epsneg)
    (calibrator,) = part.calibrators
    if part.method == "sigmoid":
        return min(ulp * abs(float(calibrator.a_)) / 4, 1.0)
    if part.method == "temperature":
        near = np.array([1.0, 1 - ulp])
        logit = np.log(near + _TINY) - np.log(1 - near + _TINY)
        return float(abs(np.diff(expit(float(calibrator.beta_) * logit))).item())
    widths = np.diff(calibrator.X_thresholds_)
    rises = np.abs(np.diff(calibrator.y_thresholds_))
    return float(np.max(rises * np.minimum(ulp / widths, 1.0), initial=0.0))


_CALIBRATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid": _sigmoid,
    "isotonic": _isotonic,
    "temperature": _temperature,
}

"""The calibrations of scikit-learn as operations of Keras."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from sklearn.isotonic import IsotonicRegression

from pcam_sklearn._errors import ModelFileError


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
    return ops.sigmoid(-(float(calibrator.a_) * probability + float(calibrator.b_)))


def _isotonic(calibrator: IsotonicRegression, probability: Any) -> Any:
    """Return the piecewise linear function as a sum of ramps from 0 to 1."""
    x = np.asarray(calibrator.X_thresholds_, np.float64)
    y = np.asarray(calibrator.y_thresholds_, np.float64)
    if len(x) == 1:
        return probability * 0 + float(y[0])
    inside = ops.clip(probability, float(calibrator.X_min_), float(calibrator.X_max_))
    # Widths are those of the 64-bit thresholds, so that a steep ramp keeps its width.
    starts, widths = x[:-1].astype(np.float32), np.diff(x).astype(np.float32)
    ramps = ops.clip((inside - starts) / widths, 0.0, 1.0)
    height = ops.matmul(ramps, np.diff(y).astype(np.float32)[:, np.newaxis]) + float(y[0])
    return ops.clip(height, 0.0, 1.0)  # The rounding of many ramps must not lift it above 1.


def _temperature(calibrator: Any, probability: Any) -> Any:
    tiny = 1e-12  # The addition of scikit-learn, which keeps the logarithm of 0 finite.
    logit = ops.log(probability + tiny) - ops.log(1 - probability + tiny)
    return ops.sigmoid(float(calibrator.beta_) * logit)


_CALIBRATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid": _sigmoid,
    "isotonic": _isotonic,
    "temperature": _temperature,
}

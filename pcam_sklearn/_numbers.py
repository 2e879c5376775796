"""The check of numbers that a user passes."""

import math
from numbers import Real
from typing import Any

from sklearn.utils import check_scalar


def check_real(value: Any, name: str, **bounds: Any) -> Any:
    """Return a finite number within the bounds of scikit-learn's `check_scalar`.

    That function itself lets NaN pass, which no comparison fails.
    """
    check_scalar(value, name, Real, **bounds)
    if not abs(value) < math.inf:  # NaN fails each comparison.
        raise ValueError(f"{name} must be a finite number, got {value!r}.")
    return value

"""Masked arrays, whose masked values NumPy hands on as if there were no mask."""

from typing import Any

import numpy as np


def refuse_masked(values: Any, name: str) -> None:
    """Raise ValueError if an array has masked values."""
    masked = int(np.ma.getmaskarray(values).sum()) if isinstance(values, np.ma.MaskedArray) else 0
    if masked:
        raise ValueError(f"{masked} of {values.size} {name} are masked; each patch needs one")

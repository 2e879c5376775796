"""What the pictures share: colours, the scores of an estimator, and patches to look at."""

from typing import Any

import numpy as np

from pcam_sklearn.preprocessing import PatchReader, check_patches

# Okabe and Ito's colours, which differ in lightness too.
BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "0.45"


def take_patches(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return some patches of X, paths or arrays, as an array to look at."""
    chosen = X[rows] if hasattr(X, "shape") else [X[row] for row in rows]
    return np.asarray(check_patches(PatchReader().transform(chosen)))


def as_axes(axes: Any, n_panels: int, what: str) -> np.ndarray:
    """Return the caller's axes as a row, or raise where their number is wrong."""
    row = np.ravel(axes)
    if len(row) != n_panels:
        raise ValueError(f"{what} needs {n_panels} axes, got {len(row)}; pass {n_panels}, or None.")
    return row

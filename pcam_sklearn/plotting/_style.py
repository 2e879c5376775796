"""Colours, patches and axes that all displays share."""

from typing import Any

import numpy as np

from pcam_sklearn.preprocessing import PatchReader, check_patches

# Okabe and Ito's colours: they differ in lightness too, for readers who see no hues.
BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "0.45"


def take_patches(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return the patches of these rows as an array; X holds patches or paths."""
    # A list of paths cannot be indexed by an array of rows.
    chosen = X[rows] if hasattr(X, "shape") else [X[row] for row in rows]
    return np.asarray(check_patches(PatchReader().transform(chosen)))


def check_axes(axes: Any, n_panels: int, what: str) -> np.ndarray:
    """Return the caller's axes as a flat array, or raise ValueError if their number is wrong."""
    # Callers pass what plt.subplots returns: one axes, a row, a column or a grid.
    flat = np.ravel(axes)
    if len(flat) != n_panels:
        raise ValueError(
            f"{what} needs {n_panels} axes, got {len(flat)}; pass {n_panels} of them, or axes=None."
        )
    return flat

"""The check that every set of patches passes, in memory or not."""

from typing import Any

import numpy as np
from sklearn.utils import check_array

from pcam_sklearn._masked import refuse_masked
from pcam_sklearn._reading._batches import in_batches
from pcam_sklearn._reading._patch_files import PatchFiles

_CHUNK = 4096


def check_patches(X: Any, *, channels: int | None = 3) -> Any:
    """Return X as 4-D images that are uint8 or floats in [0, 1], without copying an array.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width, channels)
        The images.
    channels : int or None, default=3
        The number of channels that X must have. None allows any.

    Returns
    -------
    X : array of shape (n_samples, height, width, channels)
        The images. A memory map stays one, and files that `PatchReader` left unread stay unread.

    Raises
    ------
    ValueError
        If X is empty, not 4-D, of another dtype, NaN, or outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.preprocessing import check_patches
    >>> check_patches(np.zeros((1, 96, 96, 3), dtype=np.uint8)).shape
    (1, 96, 96, 3)
    """
    if isinstance(X, PatchFiles):
        return X
    if isinstance(X, np.ma.MaskedArray):
        refuse_masked(X, "values of X")
    # Bytes cannot be wrong, and for a single patch `check_array` takes longer than the crop.
    if not (type(X) is np.ndarray and X.dtype == np.uint8 and X.ndim == 4 and len(X)):
        X = check_array(X, dtype=None, ensure_2d=False, allow_nd=True, ensure_all_finite=False)
    if X.ndim != 4 or (channels is not None and X.shape[3] != channels):
        wanted = f"(n_samples, height, width, {channels or 'channels'})"
        raise ValueError(
            f"X must hold patches of shape {wanted}, got {X.shape}."
            + (" For a single patch pass X[np.newaxis]." if X.ndim == 3 else "")
            + (" File paths go through PatchReader first." if X.dtype.kind in "OUT" else "")
        )
    if 0 in X.shape:
        raise ValueError(f"X must hold patches of at least one pixel, got shape {X.shape}.")
    if X.dtype.kind == "f":
        _check_unit_range(X)
    elif X.dtype != np.uint8:
        raise ValueError(
            f"X must be uint8 in 0..255 or floats in [0, 1], got dtype {X.dtype}"
            f"{_advice_on_type(X)}."
        )
    return X


def _advice_on_type(X: np.ndarray) -> str:
    """Return advice about values of a wrong type, by their range."""
    if X.dtype.kind == "b":
        return "; pass X.astype(np.uint8) * 255"
    if X.dtype.kind not in "iuO":
        return ""
    try:
        low, high = _range(X.astype(np.float64) if X.dtype.kind == "O" else X)
    except (TypeError, ValueError):
        return ""
    if low >= 0 and high <= 1:
        return "; if 1 is white, pass X.astype(np.float32)"
    if low >= 0 and high <= 255:
        return "; pass X.astype(np.uint8)"
    if low >= 0 and high < 2**16:
        return f" and values up to {high}; if 65,535 is white, pass X / np.float32(65535)"
    return f" and values from {low} to {high}; scale them to [0, 1]" if low < high else ""


def _check_unit_range(X: np.ndarray) -> None:
    low, high = _range(X)
    if np.isnan(low):
        raise ValueError("Input X contains NaN; patches must be uint8, or floats in [0, 1].")
    if low < 0 or high > 1:
        raise ValueError(
            f"Float patches must already lie in [0, 1], got values from {low:.9g} to {high:.9g}; "
            f"{_advice(low, high)}."
        )


def _advice(low: float, high: float) -> str:
    """Return advice about floats out of range: bytes as floats are above 1 by far."""
    if low >= -0.01 and high <= 1.01:
        return "rounding has moved some out of it, so pass np.clip(X, 0, 1)"
    if low < 0 or high > 255:
        return "pass the bytes themselves as uint8, without a mean taken away or a scale"
    if high < 2:
        return "scale them so that white is 1"
    return "pass the bytes themselves, X.astype(np.uint8), or divide them by 255"


def _range(X: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest value, NaN if there is one, in the memory of a chunk."""
    # As they are: in float32 a value out of range could pass for one in it.
    chunks = in_batches(X, _CHUNK, X.dtype)
    low, high = zip(*((chunk.min(), chunk.max()) for chunk in chunks), strict=True)
    return np.min(low), np.max(high)

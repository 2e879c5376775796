"""The colour group of a slide, by the pixels of its patches."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pcam_sklearn._reading._batches import in_batches
from pcam_sklearn.metrics._inputs import check_groups
from pcam_sklearn.preprocessing import PatchReader, check_patches

_CHUNK = 256  # So many patches of 96 x 96 pixels take 7 MB of memory.
_RED, _BLUE = 0, 2


def stain_of_slides(X: Any, groups: ArrayLike) -> np.ndarray | None:
    """Return the colour group of each patch's slide: "pinker" or "bluer".

    A slide is pinker if the mean blue of its patches lies below their mean red, and bluer
    otherwise. Laboratories stain differently, and a model can be much worse on one of the groups.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
        Patches, or paths of their files. They are read batch by batch, each file once.
    groups : array-like of shape (n_samples,)
        The slide of each patch.

    Returns
    -------
    ndarray of shape (n_samples,), str, or None
        ``"pinker"`` or ``"bluer"``, one per slide, repeated for each of its patches. None if the
        patches show no colours: they have another number of channels than three, or red and blue
        are equal on every slide, as in gray images.

    Raises
    ------
    ValueError
        If X does not hold patches, a file cannot be read, or `groups` is not as long as X.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.report import stain_of_slides
    >>> X = np.full((3, 96, 96, 3), 150, dtype=np.uint8)
    >>> X[:2, :, :, 0] = 200  # more red
    >>> X[2, :, :, 2] = 200  # more blue
    >>> stain_of_slides(X, ["a", "a", "b"]).tolist()
    ['pinker', 'pinker', 'bluer']
    """
    patches = check_patches(PatchReader(in_memory=False).transform(X), channels=None)
    slides, names = check_groups(groups, len(patches), of="X")
    if patches.shape[3] != 3:
        return None
    # The patches of one call have one size, so that their sums compare as their means do.
    blue_less_red = np.concatenate(
        [_subtract(c) for c in in_batches(patches, _CHUNK, patches.dtype)]
    )
    of_slide = np.bincount(slides, weights=blue_less_red, minlength=len(names))
    if not of_slide.any():
        return None
    return np.where(of_slide < 0, "pinker", "bluer")[slides]


def _subtract(patches: np.ndarray) -> np.ndarray:
    """Return the sum of blue less the sum of red for each patch, as a whole number of levels."""
    red, blue = (
        patches[..., channel].sum(axis=(1, 2), dtype=np.float64) for channel in (_RED, _BLUE)
    )
    # Bytes divided by 255 are rounded. To round their sums again gives the sums of the bytes.
    levels = 1 if patches.dtype == np.uint8 else 255
    return np.rint(blue * levels) - np.rint(red * levels)

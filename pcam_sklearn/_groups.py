"""The slides of patches, as users pass them."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pcam_sklearn._masked import refuse_masked


def convert_groups(groups: ArrayLike) -> np.ndarray:
    """Return the slide of each patch as a 1-D array in which none is missing."""
    refuse_masked(groups, "slides")
    # As an array, a list of text would spell a missing slide "nan".
    listed = isinstance(groups, list | tuple)
    slides = np.array(groups, dtype=object) if listed else np.asarray(groups)
    if slides.ndim != 1:
        raise ValueError(
            f"groups must hold one slide for each patch, in 1-D; got shape {slides.shape}."
        )
    # In an array of text, NumPy has written NaN as "nan".
    missing = slides == "nan" if slides.dtype.kind == "U" else pd.isna(slides)
    if slides.dtype.kind in "OUT":
        missing = missing | np.array([isinstance(s, str) and not s for s in slides], dtype=bool)
    unknown = int(missing.sum())
    if unknown:
        raise ValueError(
            f"groups has no slide for {unknown} of {len(slides)} patches; give each patch its "
            "slide, a slide of its own if it is not known, or pass no groups."
        )
    try:
        np.unique(slides)
    except TypeError as error:  # Numbers among text, for instance.
        kinds = sorted({type(slide).__name__ for slide in slides})
        raise ValueError(
            f"groups must name all slides by one type, got {' and '.join(kinds)}; pass their names "
            "as text, [str(slide) for slide in groups]."
        ) from error
    return np.asarray(groups) if listed else slides


def join_groups(parts: list[np.ndarray]) -> np.ndarray:
    """Return the slides in all parts, once each; as text if some are text and some are not."""
    if len({isinstance(part[0], str) for part in parts}) > 1:
        parts = [part.astype(str) for part in parts]
    return np.unique(np.concatenate(parts))

"""The turned and mirrored views of a patch, over which predictions are averaged."""

from collections.abc import Callable
from typing import Any

import numpy as np

Views = Callable[[np.ndarray], np.ndarray]


def c4_views(patches: np.ndarray) -> np.ndarray:
    """Return each square patch, turned by 0, 1, 2 and 3 quarters of a circle.

    Parameters
    ----------
    patches : ndarray of shape (n_samples, side, side, channels)
        The patches.

    Returns
    -------
    views : ndarray of shape (4, n_samples, side, side, channels)
        The views of each patch; the first ones are the patches themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import c4_views
    >>> c4_views(np.arange(4).reshape(1, 2, 2, 1))[:, 0, 0, 0, 0]
    array([0, 1, 3, 2])
    """
    return np.stack([np.rot90(patches, turns, axes=(1, 2)) for turns in range(4)])


def d4_views(patches: np.ndarray) -> np.ndarray:
    """Return the 8 turned and mirrored views of each square patch.

    Parameters
    ----------
    patches : ndarray of shape (n_samples, side, side, channels)
        The patches.

    Returns
    -------
    views : ndarray of shape (8, n_samples, side, side, channels)
        The views of each patch; the first ones are the patches themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.augmentation import d4_views
    >>> d4_views(np.arange(4).reshape(1, 2, 2, 1))[:, 0, 0, 0, 0]
    array([0, 2, 1, 3, 0, 1, 2, 3])
    """
    both = (patches, patches.swapaxes(1, 2))
    flips = (slice(None), slice(None, None, -1))
    return np.stack([view[:, up, left] for view in both for left in flips for up in flips])


# By the names of the groups of symmetries: the quarter turns, and these with mirrors.
VIEWS: dict[str, Views] = {"c4": c4_views, "d4": d4_views}


def check_test_time_augmentation(views: str | None, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless predictions of patches can be averaged over these views.

    Parameters
    ----------
    views : {"auto", "c4", "d4"} or None
        The views; None means the patch itself only, and "auto" fits any patches.
    shape : tuple of int
        Shape of the patches, (n_samples, height, width, channels).

    Raises
    ------
    ValueError
        If the name is unknown, or the patches are not square.
    """
    if views is None:
        return
    if not isinstance(views, str) or views not in ("auto", *VIEWS):
        allowed = "'auto', 'c4', 'd4' or None"
        raise ValueError(f"test_time_augmentation must be {allowed}; got {views!r}.")
    if views != "auto" and shape[1] != shape[2]:
        raise ValueError(
            f"The views of {views!r} need square patches, got {shape[1]}x{shape[2]}; cut them "
            "square with CenterCropNormalizer, or pass test_time_augmentation=None."
        )


def find_views(
    views: str | None, shape: tuple[int, ...], network: str | Callable[..., Any]
) -> Views | None:
    """Return the function of the views, after a check; "auto" depends on shape and network."""
    check_test_time_augmentation(views, shape)
    if views == "auto":
        # A short training from published weights leaves most to gain.
        published = network in ("efficientnet-lite0", "transfer")
        return c4_views if published and shape[1] == shape[2] else None
    return None if views is None else VIEWS[views]

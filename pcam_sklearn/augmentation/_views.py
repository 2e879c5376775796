"""The 8 views of a patch, over which predictions are averaged."""

import numpy as np


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


def check_test_time_augmentation(views: str | None, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless predictions of patches can be averaged over these views.

    Parameters
    ----------
    views : {"d4"} or None
        The views; None means the patch itself only.
    shape : tuple of int
        Shape of the patches, (n_samples, height, width, channels).

    Raises
    ------
    ValueError
        If the name is unknown, or the patches are not square.
    """
    if views not in ("d4", None):
        raise ValueError(f"test_time_augmentation must be 'd4' or None, got {views!r}.")
    if views and shape[1] != shape[2]:
        raise ValueError(
            f"The views of 'd4' need square patches, got {shape[1]}x{shape[2]}; cut them square "
            "with CenterCropNormalizer, or pass test_time_augmentation=None."
        )

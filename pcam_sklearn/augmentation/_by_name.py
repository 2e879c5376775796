"""Augmentations by name."""

from collections.abc import Callable, Sequence

import keras

from pcam_sklearn.augmentation._appearance import RandomSharpness, RandomStain
from pcam_sklearn.augmentation._geometry import RandomD4, RandomShift, RandomZoom

AUGMENTATIONS: dict[str, Callable[..., keras.layers.Layer]] = {
    "d4": RandomD4,
    "sharpness": RandomSharpness,
    "shift": RandomShift,
    "stain": RandomStain,
    "zoom": RandomZoom,
}


def build_augmentation(
    augment: str | Sequence[str] | None, seed: int | None = None
) -> keras.Sequential | None:
    """Build the layers that augment patches while training.

    Parameters
    ----------
    augment : str, sequence of str, or None
        Names out of ``AUGMENTATIONS``: one, or several in their order. None is no augmentation.
    seed : int or None, default=None
        Seed of their random generators.

    Returns
    -------
    layers : keras.Sequential or None
        The layers, in the order in which they work.

    Raises
    ------
    ValueError
        If there is no augmentation of that name.

    Examples
    --------
    >>> from pcam_sklearn.augmentation import build_augmentation
    >>> [type(layer).__name__ for layer in build_augmentation(("d4", "stain")).layers]
    ['RandomD4', 'RandomStain']
    """
    if augment is None:
        return None
    names = [augment] if isinstance(augment, str) else augment
    known = (
        isinstance(names, (list, tuple))
        and len(names) > 0
        and all(isinstance(name, str) and name in AUGMENTATIONS for name in names)
    )
    if not known:
        raise ValueError(
            f"augment must be one of {sorted(AUGMENTATIONS)}, several of them as a tuple, or None; "
            f"got {augment!r}."
        )
    seeds = [None if seed is None else seed + i for i in range(len(names))]
    return keras.Sequential(
        [AUGMENTATIONS[name](seed=own) for name, own in zip(names, seeds, strict=True)]
    )

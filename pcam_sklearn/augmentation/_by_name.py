"""Augmentations by name."""

from collections.abc import Callable, Sequence

import keras

from pcam_sklearn.augmentation._appearance import RandomSharpness, RandomStain
from pcam_sklearn.augmentation._color import RandomColor, RandomGrayscale
from pcam_sklearn.augmentation._geometry import RandomD4, RandomShift, RandomZoom
from pcam_sklearn.augmentation._restain import RandomRestain

AUGMENTATIONS: dict[str, Callable[..., keras.layers.Layer]] = {
    "color": RandomColor,
    "d4": RandomD4,
    "grayscale": RandomGrayscale,
    "restain": RandomRestain,
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
        One name of ``AUGMENTATIONS``, several in the order of their work, or None for none.
    seed : int or None, default=None
        Seed of the first layer's random generator. The next ones use ``seed + 1`` and so on.

    Returns
    -------
    layers : keras.Sequential or None
        The layers, in the order of their work.

    Raises
    ------
    ValueError
        If no augmentation has that name.

    Examples
    --------
    >>> from pcam_sklearn.augmentation import build_augmentation
    >>> [type(layer).__name__ for layer in build_augmentation(("d4", "stain")).layers]
    ['RandomD4', 'RandomStain']
    """
    names = check_augment(augment)
    # Layers of the same seed would draw the same numbers, and so change together.
    seeds = [None if seed is None else seed + i for i in range(len(names))]
    pairs = zip(names, seeds, strict=True)
    layers = [AUGMENTATIONS[name](seed=seed) for name, seed in pairs]
    return keras.Sequential(layers) if layers else None


def check_augment(augment: str | Sequence[str] | None) -> Sequence[str]:
    """Return the names in `augment`, or raise ValueError if no augmentation has one of them."""
    if augment is None:
        return []
    names = [augment] if isinstance(augment, str) else augment
    # A set is refused: it would make the order, and so the patches, differ between processes.
    listed = isinstance(names, (list, tuple)) and len(names) > 0
    if not listed or not all(isinstance(name, str) and name in AUGMENTATIONS for name in names):
        raise ValueError(
            f"augment must be one of {sorted(AUGMENTATIONS)}, several of them as a tuple, or None; "
            f"got {augment!r}."
        )
    return names

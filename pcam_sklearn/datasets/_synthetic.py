"""Synthetic patches of slides that each have their own stain."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray
from sklearn.utils import Bunch, check_random_state, check_scalar

from pcam_sklearn._numbers import check_real
from pcam_sklearn.datasets._histology import CENTER, draw_patch, make_slide

_DESCR = """Synthetic H&E-like lymph-node patches
-------------------------------------
{n_samples} patches of {patch_size} x {patch_size} pixels, RGB, of {n_slides} slides;
{n_positive} of them have tumour nuclei in their center of 32 x 32 pixels (target 1).

The slides differ in their stains and in the size and shade of their nuclei. Tumour nuclei are
larger, paler and rougher than lymphocytes and have nucleoli. Tumour in the border alone does
not make a patch positive, nor do histiocytes, which look like tumour without nucleoli.
The pixels are drawn, not photographed. They serve examples, tests and timings. Scores on them
say nothing about real tissue.
"""


def make_patches(
    n_samples: int = 1000,
    n_slides: int = 20,
    random_state: int | RandomState | None = None,
    *,
    patch_size: int = 96,
    positive_fraction: float = 0.4,
    stain_variation: float = 1.0,
    return_X_y: bool = False,
) -> Any:
    """Make synthetic H&E-like patches from slides that each have their own stain.

    A patch is positive if, and only if, nuclei of tumour cells lie in its center of
    32 x 32 pixels, as in PatchCamelyon [1]_. The stains mix as light is absorbed
    (Beer and Lambert, [2]_). All randomness is drawn from `random_state`.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of patches, at least 1.
    n_slides : int, default=20
        Number of slides, from 1 to `n_samples`. The patches are dealt evenly.
    random_state : int, RandomState instance or None, default=None
        An int always makes the same patches. None makes new ones at every call.
    patch_size : int, default=96
        Height and width in pixels of about 1 um, at least 32. More pixels show more border, and
        the cells keep their size.
    positive_fraction : float, default=0.4
        Share of positive patches, in (0, 1). It is rounded on every slide, and every slide of
        two or more patches has both classes.
    stain_variation : float, default=1.0
        Variation of the stains between slides, in [0, 2]. 0 stains all slides alike.
    return_X_y : bool, default=False
        If True, return `(images, target)` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        images : ndarray of shape (n_samples, patch_size, patch_size, 3), uint8
            The patches, RGB, in random order.
        target : ndarray of shape (n_samples,), int64
            1 where there is tumour in the center, else 0.
        groups : ndarray of shape (n_samples,), str
            The slide of each patch.
        DESCR : str
            A description of the patches.

    (images, target) : tuple of ndarray
        Only if `return_X_y` is True.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or lies outside its range.

    References
    ----------
    .. [1] B. Veeling et al., "Rotation Equivariant CNNs for Digital Pathology", MICCAI 2018.
    .. [2] A. Ruifrok and D. Johnston, "Quantification of histochemical staining by color
       deconvolution", Anal. Quant. Cytol. Histol. 23(4), 2001.

    Examples
    --------
    >>> from pcam_sklearn.datasets import make_patches
    >>> patches = make_patches(n_samples=10, n_slides=2, random_state=0)
    >>> patches.images.shape
    (10, 96, 96, 3)
    >>> int(patches.target.sum()), sorted(set(patches.groups.tolist()))
    (4, ['slide_0', 'slide_1'])
    """
    _check_parameters(n_samples, n_slides, patch_size, positive_fraction, stain_variation)
    rng = _make_generator(random_state)
    slides, target = _deal(rng, n_samples, n_slides, positive_fraction)
    looks = [make_slide(rng, stain_variation) for _ in range(n_slides)]
    images = np.empty((n_samples, patch_size, patch_size, 3), np.uint8)
    for image, slide, label in zip(images, slides, target, strict=True):
        image[...], _ = draw_patch(rng, looks[slide], bool(label), patch_size)
    if return_X_y:
        return images, target
    # With leading zeros, names sort like their numbers.
    names = np.array([f"slide_{slide:0{len(str(n_slides - 1))}}" for slide in range(n_slides)])
    descr = _DESCR.format(
        n_samples=n_samples, n_slides=n_slides, patch_size=patch_size, n_positive=target.sum()
    )
    return Bunch(images=images, target=target, groups=names[slides], DESCR=descr)


def _check_parameters(
    n_samples: int, n_slides: int, patch_size: int, fraction: float, variation: float
) -> None:
    check_scalar(n_samples, "n_samples", Integral, min_val=1)
    check_scalar(n_slides, "n_slides", Integral, min_val=1)
    if n_slides > n_samples:
        raise ValueError(
            f"n_slides={n_slides} is more than n_samples={n_samples}: every slide needs a patch, "
            f"and two to have both classes. Pass n_slides={max(1, n_samples // 2)} or fewer."
        )
    check_scalar(patch_size, "patch_size", Integral, min_val=CENTER)
    check_real(fraction, "positive_fraction", min_val=0, max_val=1, include_boundaries="neither")
    check_real(variation, "stain_variation", min_val=0, max_val=2)


def _make_generator(random_state: int | RandomState | None) -> Generator:
    if random_state is None:  # `check_random_state` would draw from the global state.
        return np.random.default_rng()
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


def _deal(
    rng: Generator, n_samples: int, n_slides: int, fraction: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slide and label of every patch, in random order."""
    # Patches with the same remainder are on one slide, where their quotients count from 0.
    rank, slide = np.divmod(rng.permutation(n_samples), n_slides)
    size = np.bincount(slide)[slide]
    positives = np.clip(np.rint(fraction * size), 1, size - 1)
    # A slide of a single patch: every second one is positive.
    positives = np.where(size > 1, positives, slide % 2)
    return slide, (rank < positives).astype(np.int64)

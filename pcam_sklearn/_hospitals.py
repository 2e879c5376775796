"""The hospital of a Camelyon16 slide, which its name tells."""

import re

import numpy as np

_NAME = re.compile(r"(?:camelyon16_)?(?:train_)?(normal|tumor)_(\d+)\Z")
# Table 1 of Bejnordi et al. (2017): the slides are numbered hospital by hospital.
_LAST_RUMC = {"normal": 100, "tumor": 70}
_LAST_UMCU = {"normal": 160, "tumor": 111}


def hospital_of_slide(slide: str) -> str:
    """Return the hospital of a Camelyon16 slide, by its name.

    Parameters
    ----------
    slide : str
        The name, for example ``"camelyon16_train_tumor_071"``.

    Returns
    -------
    str
        ``"RUMC"`` (Radboud, Nijmegen) for the training slides normal 1 to 100 and tumor 1 to 70,
        ``"UMCU"`` (Utrecht) for normal 101 to 160 and tumor 71 to 111, and ``"unknown"`` for every
        other name. The names of test slides do not tell their hospital.

    References
    ----------
    .. [1] B. Ehteshami Bejnordi et al., "Diagnostic Assessment of Deep Learning Algorithms for
       Detection of Lymph Node Metastases in Women With Breast Cancer", JAMA 318(22), 2017.

    Examples
    --------
    >>> from pcam_sklearn.datasets import hospital_of_slide
    >>> hospital_of_slide("camelyon16_train_tumor_071")
    'UMCU'
    >>> hospital_of_slide("camelyon16_test_001")
    'unknown'
    """
    match = _NAME.match(slide)
    if match is None:
        return "unknown"
    kind, number = match[1], int(match[2])
    if 1 <= number <= _LAST_RUMC[kind]:
        return "RUMC"
    return "UMCU" if _LAST_RUMC[kind] < number <= _LAST_UMCU[kind] else "unknown"


def hospitals_of_slides(slides: np.ndarray) -> np.ndarray:
    """Return the hospital of each of many slide names, shape (n,)."""
    names, where = np.unique(slides, return_inverse=True)
    return np.array([hospital_of_slide(name) for name in names], dtype=str)[where]

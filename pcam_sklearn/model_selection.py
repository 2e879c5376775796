"""Splits that keep all patches of a slide, or of a hospital, on one side.

Patches of one slide resemble each other, so that a split by patch flatters an AUC by several
points. These are scikit-learn's splitters, with the checks that slides need.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold
from sklearn.utils import check_consistent_length, check_scalar

from pcam_sklearn._hospitals import hospital_of_slide

__all__ = [
    "LeaveOneHospitalOut",
    "SlideKFold",
    "SlideLeakageWarning",
    "slide_train_test_split",
    "warn_of_shared_slides",
]


class SlideLeakageWarning(UserWarning):
    """Patches of one slide were both trained on and tested on."""


class SlideKFold(StratifiedGroupKFold):
    """K folds of whole slides, each with both classes and as even a share of them as can be.

    scikit-learn's `StratifiedGroupKFold`, shuffled by default, which insists on groups and on two
    classes in each test fold: of one class there is no AUC.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=True
        Deal the slides at random.
    random_state : int, RandomState instance or None, default=None
        Fixes the folds.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.model_selection import SlideKFold
    >>> slides, y = np.repeat(["a", "b", "c", "d"], 5), np.arange(20) % 2
    >>> for train, test in SlideKFold(2, random_state=0).split(y, y, slides):
    ...     print(np.unique(slides[train]), np.unique(slides[test]))
    ['a' 'd'] ['b' 'c']
    ['b' 'c'] ['a' 'd']
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)

    def split(
        self, X: Any, y: ArrayLike, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the rows of each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            The patches, or anything of that length.
        y : array-like of shape (n_samples,)
            The labels.
        groups : array-like of shape (n_samples,)
            The slide of each patch.

        Yields
        ------
        train, test : ndarray of int
            Rows.

        Raises
        ------
        ValueError
            If there are no groups, fewer slides than folds, or a fold of one class alone.
        """
        groups = _check_slides(groups, self.n_splits)
        y = np.asarray(y)
        for train, test in super().split(X, y, groups):
            if len(np.unique(y[test])) < 2:
                raise ValueError(
                    f"A fold's slides, {_first(groups[test])}, hold one class alone, "
                    f"{y[test][0]!r}; pass a smaller n_splits than {self.n_splits}, or another "
                    "random_state."
                )
            yield train, test


class LeaveOneHospitalOut(LeaveOneGroupOut):
    """Test on the slides of each hospital in turn, trained on those of the others.

    The hospital comes from the name of a Camelyon16 slide. Where hospitals are known otherwise,
    pass them as groups to scikit-learn's `LeaveOneGroupOut`.

    See Also
    --------
    pcam_sklearn.datasets.hospital_of_slide : The rule.

    Examples
    --------
    >>> from pcam_sklearn.model_selection import LeaveOneHospitalOut
    >>> slides = ["camelyon16_train_tumor_001", "camelyon16_train_tumor_100"]
    >>> [test.tolist() for _, test in LeaveOneHospitalOut().split([0, 1], groups=slides)]
    [[0], [1]]
    """

    def split(
        self, X: Any, y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the rows of each hospital.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            The patches, or anything of that length.
        y : object
            Ignored, present by scikit-learn's convention.
        groups : array-like of shape (n_samples,)
            The slide of each patch.

        Yields
        ------
        train, test : ndarray of int
            Rows.

        Raises
        ------
        ValueError
            If there are no groups, a name tells no hospital, or there is only one hospital.
        """
        hospitals = _hospitals(groups)
        if len(np.unique(hospitals)) < 2:
            raise ValueError(f"All slides are of {hospitals[0]}; pass patches of both hospitals.")
        yield from super().split(X, y, hospitals)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: ArrayLike | None = None) -> int:
        """Return the number of hospitals.

        Parameters
        ----------
        X, y : object
            Ignored, present by scikit-learn's convention.
        groups : array-like of shape (n_samples,)
            The slide of each patch.

        Returns
        -------
        n_splits : int
            The number.
        """
        return super().get_n_splits(X, y, _hospitals(groups))


def slide_train_test_split(
    y: ArrayLike,
    groups: ArrayLike,
    *,
    test_size: float = 0.25,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows once, by whole slides, with both classes on both sides.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        The labels.
    groups : array-like of shape (n_samples,)
        The slide of each patch.
    test_size : float, default=0.25
        Share of the patches to test on, in (0, 1); slides being whole, it is met roughly.
    random_state : int, RandomState instance or None, default=None
        Fixes the split.

    Returns
    -------
    train, test : ndarray of int
        Rows.

    Raises
    ------
    ValueError
        If `test_size` is not in (0, 1), or the slides are too few to have both classes on both
        sides.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.model_selection import slide_train_test_split
    >>> slides, y = np.repeat(["a", "b", "c", "d"], 5), np.arange(20) % 2
    >>> train, test = slide_train_test_split(y, slides, random_state=0)
    >>> set(slides[train]) & set(slides[test]), len(test)
    (set(), 5)
    """
    check_scalar(test_size, "test_size", float, min_val=0, max_val=1, include_boundaries="neither")
    y, groups = np.asarray(y), _check_slides(groups, 2)
    check_consistent_length(y, groups)
    _check_two_slides_a_class(y, groups)
    smaller = min(test_size, 1 - test_size)
    most = min(len(np.unique(groups)), np.unique(y, return_counts=True)[1].max())
    for n_splits in sorted(range(2, most + 1), key=lambda n: abs(1 / n - smaller)):
        folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)
        with warnings.catch_warnings():  # Of a class rarer than the folds: that is looked at here.
            warnings.simplefilter("ignore", UserWarning)
            for train, test in folds.split(y, y, groups):
                if len(np.unique(y[train])) == len(np.unique(y[test])) == 2:
                    return (train, test) if test_size == smaller else (test, train)
    raise ValueError(
        f"The {len(np.unique(groups))} slides, {_first(groups)}, cannot be split so that both "
        "sides hold both classes; pass patches of more slides."
    )


def warn_of_shared_slides(train: ArrayLike | None, test: ArrayLike | None) -> None:
    """Warn if slides stand on both sides of a split.

    Parameters
    ----------
    train, test : array-like of slides, or None
        The slides trained on and tested on; nothing is known of None.

    Examples
    --------
    >>> import warnings
    >>> from pcam_sklearn.model_selection import warn_of_shared_slides
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_shared_slides(["a", "b"], ["b", "c"])
    >>> caught[0].category.__name__
    'SlideLeakageWarning'
    """
    if train is None or test is None:
        return
    shared = np.intersect1d(np.asarray(train), np.asarray(test))
    if len(shared):
        warnings.warn(
            f"{len(shared)} slide(s) were trained on and are tested on: {_first(shared)}. The "
            "result is flattered; split with SlideKFold or slide_train_test_split.",
            SlideLeakageWarning,
            stacklevel=3,
        )


def _check_slides(groups: ArrayLike | None, n_at_least: int) -> np.ndarray:
    if groups is None:
        raise ValueError("groups is None; pass the slide of each patch, such as data.groups.")
    slides = np.asarray(groups)
    n_slides = len(np.unique(slides))
    if n_slides < n_at_least:
        raise ValueError(
            f"There are {n_slides} slide(s), {_first(slides)}, and at least {n_at_least} are "
            "needed; pass patches of more slides."
        )
    return slides


def _check_two_slides_a_class(y: np.ndarray, slides: np.ndarray) -> None:
    """Raise if a class lies on one slide alone: it cannot be on both sides then."""
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(f"y must hold two classes, got {classes.tolist()}; pass patches of both.")
    for label in classes.tolist():
        of_class = slides[y == label]
        if len(np.unique(of_class)) < 2:
            raise ValueError(
                f"The patches of class {label!r} are all of one slide, {_first(of_class)}, which "
                "cannot be on both sides of a split; pass patches of more slides."
            )


def _hospitals(groups: ArrayLike | None) -> np.ndarray:
    slides, where = np.unique(_check_slides(groups, 2), return_inverse=True)
    hospitals = np.array([hospital_of_slide(str(slide)) for slide in slides])
    unknown = slides[hospitals == "unknown"]
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} of {len(slides)} slides tell no hospital by their name: "
            f"{_first(unknown)}. Names are such as 'camelyon16_train_tumor_071'; of other slides "
            "pass the hospitals as groups to sklearn.model_selection.LeaveOneGroupOut."
        )
    return hospitals[where]


def _first(slides: np.ndarray) -> str:
    names = np.unique(slides).tolist()
    return ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")

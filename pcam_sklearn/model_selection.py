"""Splits that keep all patches of a slide, or of a hospital, on one side.

Patches of one slide resemble each other, so a split by patch flatters an AUC by several points.
These are scikit-learn's splitters, with the checks that slides need.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import (
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)
from sklearn.utils import (
    check_consistent_length,
    check_random_state,
    column_or_1d,
)

from pcam_sklearn._groups import convert_groups
from pcam_sklearn._hospitals import hospitals_of_slides
from pcam_sklearn._masked import refuse_masked
from pcam_sklearn._messages import first_few
from pcam_sklearn._numbers import check_real

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
    """K folds of whole slides, each with both classes in shares as even as possible.

    scikit-learn's `StratifiedGroupKFold`, shuffled by default. It requires groups, and both classes
    in each test fold: one class alone has no AUC.

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
        """Yield the rows of each fold.

        Parameters
        ----------
        X, y, groups : array-like of shape (n_samples, ...)
            Patches, or anything else of that length, their labels and slides; all are required.

        Yields
        ------
        train, test : ndarray of int
            Rows.

        Raises
        ------
        ValueError
            If `groups` is None or lacks the slide of a patch, there are fewer slides than folds, or
            a fold holds one class alone.
        """
        groups = _check_slides(groups, self.n_splits)
        y = _check_target(y)
        dealt = _in_random_order(groups, self.random_state) if self.shuffle else groups
        for train, test in StratifiedGroupKFold(self.n_splits).split(X, y, dealt):
            if len(np.unique(y[test])) < 2:
                raise ValueError(
                    f"The slides of a fold, {_names(groups[test])}, hold one class alone, "
                    f"{y[test].tolist()[0]!r}; pass a smaller n_splits than {self.n_splits}, or "
                    "another random_state."
                )
            yield train, test


class LeaveOneHospitalOut(LeaveOneGroupOut):
    """One split per hospital: test on its slides, train on those of the others.

    The name of a Camelyon16 slide tells its hospital. If you know the hospitals from another
    source, pass them as groups to scikit-learn's `LeaveOneGroupOut`.

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
        """Yield the rows of each hospital.

        Parameters
        ----------
        X, y, groups : array-like of shape (n_samples, ...)
            Patches, or anything else of that length, their labels (ignored) and slides (required).

        Yields
        ------
        train, test : ndarray of int
            Rows.

        Raises
        ------
        ValueError
            If `groups` is None or lacks the slide of a patch, a name tells no hospital, or there is
            only one hospital.
        """
        hospitals = _hospitals(groups)
        if len(np.unique(hospitals)) < 2:
            raise ValueError(f"All slides are from {hospitals[0]}; pass patches of both hospitals.")
        yield from super().split(X, y, hospitals)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: ArrayLike | None = None) -> int:
        """Return the number of hospitals.

        Parameters
        ----------
        X, y, groups : array-like of shape (n_samples, ...)
            As in `split`; X and y are ignored.

        Returns
        -------
        n_splits : int
            The number of hospitals.
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
    y, groups : array-like of shape (n_samples,)
        The label and the slide of each patch.
    test_size : float, default=0.25
        Share of the patches to test on, in (0, 1). Slides stay whole, so it is met roughly.
    random_state : int, RandomState instance or None, default=None
        Fixes the split.

    Returns
    -------
    train, test : ndarray of int
        Rows.

    Raises
    ------
    ValueError
        If `test_size` is not in (0, 1), a patch has no slide, or the slides are too few to have
        both classes on both sides.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.model_selection import slide_train_test_split
    >>> slides, y = np.repeat(["a", "b", "c", "d"], 5), np.arange(20) % 2
    >>> train, test = slide_train_test_split(y, slides, random_state=0)
    >>> set(slides[train]) & set(slides[test]), len(test)
    (set(), 5)
    """
    check_real(test_size, "test_size", min_val=0, max_val=1, include_boundaries="neither")
    return _split_slides(_check_target(y), _check_slides(groups, 2), test_size, random_state)


def hold_out(
    y: np.ndarray,
    groups: np.ndarray | None,
    fraction: float,
    *,
    random_state: int,
    min_slides: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that stay and the rows held out, about `fraction` of all.

    This is the one rule of the package: by whole slides where they are known, with either class
    from at least `min_slides` slides on both sides; stratified by patch where they are not.
    """
    if groups is not None:
        slides = _check_slides(groups, 2)
        return _split_slides(np.asarray(y), slides, fraction, random_state, min_slides)
    splitter = StratifiedShuffleSplit(1, test_size=fraction, random_state=random_state)
    stay, held_out = next(splitter.split(y, y))
    return stay, held_out


def make_splitter(
    groups: np.ndarray | None, n_splits: int, random_state: int
) -> "SlideKFold | StratifiedKFold":
    """Return folds of whole slides where they are known, and of patches where they are not."""
    kind = StratifiedKFold if groups is None else SlideKFold
    return kind(n_splits, shuffle=True, random_state=random_state)


def warn_of_shared_slides(train: ArrayLike | None, test: ArrayLike | None) -> None:
    """Warn if a slide stands on both sides of a split.

    Parameters
    ----------
    train, test : array-like of slides, or None
        The slides trained on and tested on. None, for slides that are not known, never warns.

    Warns
    -----
    SlideLeakageWarning
        If a slide is in both.

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
    first, second = convert_groups(train), convert_groups(test)
    if object in (first.dtype, second.dtype):  # Objects of two types have no order.
        first, second = first.astype(str), second.astype(str)
    shared = np.intersect1d(first, second)
    if len(shared):
        warnings.warn(
            f"{len(shared)} slide(s) were trained on and are tested on: {_names(shared)}. The "
            "result is flattered; split with SlideKFold or slide_train_test_split.",
            SlideLeakageWarning,
            stacklevel=3,
        )


def _split_slides(
    y: np.ndarray,
    slides: np.ndarray,
    fraction: float,
    random_state: int | np.random.RandomState | None,
    min_slides: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first fold that has the right size and enough slides of either class.

    Numbers of folds are tried in the order in which their share comes close to `fraction`.
    """
    check_consistent_length(y, slides)
    _check_slides_of_classes(y, slides, 2 * min_slides)
    # A share above one half is the other side of one below it.
    smaller = min(fraction, 1 - fraction)
    most = min(len(np.unique(slides)), np.unique(y, return_counts=True)[1].max())
    for n_splits in sorted(range(2, most + 1), key=lambda n: abs(1 / n - smaller)):
        folds = StratifiedGroupKFold(n_splits)
        with warnings.catch_warnings():
            # It warns of a class rarer than the folds, which is checked for here.
            warnings.simplefilter("ignore", UserWarning)
            for train, test in folds.split(y, y, _in_random_order(slides, random_state)):
                if min(_fewest_slides(y, slides, rows) for rows in (train, test)) >= min_slides:
                    return (train, test) if fraction == smaller else (test, train)
    raise ValueError(
        f"The {len(np.unique(slides))} slides, {_names(slides)}, cannot be split so that either "
        f"class comes from {min_slides} slide(s) or more on both sides; pass patches of more "
        "slides."
    )


def _in_random_order(
    slides: np.ndarray, random_state: int | np.random.RandomState | None
) -> np.ndarray:
    """Return a number for each slide, in random order.

    `StratifiedGroupKFold` deals groups in their order. Where it shuffles them itself, scikit-learn
    before 1.8 mixes up their classes, so that folds are not stratified.
    """
    names, of_patch = np.unique(slides, return_inverse=True)
    order = np.arange(len(names))
    check_random_state(random_state).shuffle(order)
    return np.argsort(order)[of_patch]


def _fewest_slides(y: np.ndarray, slides: np.ndarray, rows: np.ndarray) -> int:
    """Return the number of slides among these rows of the class that has fewer."""
    classes = np.unique(y)
    return min(len(np.unique(slides[rows][y[rows] == label])) for label in classes)


def _check_target(y: ArrayLike) -> np.ndarray:
    refuse_masked(y, "labels")
    target: np.ndarray = column_or_1d(y)
    missing = int(pd.isna(target).sum())
    if missing:
        raise ValueError(f"y has no label for {missing} of {len(target)} patches; leave them out.")
    return target


def _check_slides(groups: ArrayLike | None, n_at_least: int) -> np.ndarray:
    if groups is None:
        raise ValueError(
            "groups is None; pass the slide of each patch, such as groups=data.groups. Where "
            "scikit-learn does not pass groups on, as in CalibratedClassifierCV, pass "
            "cv=list(SlideKFold(5).split(X, y, groups)). If data.groups is None, the data tell no "
            "slides: see load_kaggle(folder, slides=...)."
        )
    slides = convert_groups(groups)
    n_slides = len(np.unique(slides))
    if n_slides < n_at_least:
        raise ValueError(
            f"There are {n_slides} slide(s), {_names(slides)}, and at least {n_at_least} are "
            "needed; pass patches of more slides."
        )
    return slides


def _check_slides_of_classes(y: np.ndarray, slides: np.ndarray, n_at_least: int) -> None:
    """Raise ValueError unless both classes come from enough slides to be on both sides."""
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(f"y must hold two classes, got {classes.tolist()}; pass patches of both.")
    for label in classes.tolist():
        of_class = np.unique(slides[y == label])
        if len(of_class) < n_at_least:
            raise ValueError(
                f"The patches of class {label!r} come from {len(of_class)} slide(s), "
                f"{_names(of_class)}, and at least {n_at_least} are needed to have the class on "
                "both sides of a split; pass patches of more slides."
            )


def _hospitals(groups: ArrayLike | None) -> np.ndarray:
    """Return the hospital of each patch."""
    slides = _check_slides(groups, 2).astype(str)
    hospitals = hospitals_of_slides(slides)
    unknown = np.unique(slides[hospitals == "unknown"])
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} of {len(np.unique(slides))} slides tell no hospital by their name: "
            f"{_names(unknown)}. A name that does is 'camelyon16_train_tumor_071'; for other "
            "slides pass the hospitals as groups to sklearn.model_selection.LeaveOneGroupOut."
        )
    return hospitals


def _names(slides: np.ndarray) -> str:
    return first_few(np.unique(slides).tolist())

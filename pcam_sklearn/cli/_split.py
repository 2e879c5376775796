"""Three parts that share no slide: to learn from, to choose the threshold on, to report on."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from pcam_sklearn.cli._data import Patches

_BY_PATCH = (
    "At random by patch, since the slides are not known: patches of one slide are on both sides, "
    "which flatters the area under the ROC curve by .03 to .065."
)


@dataclass(frozen=True)
class Split:
    """Rows of the three parts.

    Parameters
    ----------
    training, threshold, test : ndarray of int
        Rows to learn from, to choose the threshold on, and to report on.
    text : str
        How they were parted.
    """

    training: np.ndarray
    threshold: np.ndarray
    test: np.ndarray
    text: str

    def part_of_each(self) -> np.ndarray:
        """Return "training", "threshold" or "test" for each row."""
        parts = np.empty(len(self.training) + len(self.threshold) + len(self.test), dtype="U9")
        for name in ("training", "threshold", "test"):
            parts[getattr(self, name)] = name
        return parts


def split_patches(
    patches: Patches, test_fraction: float, threshold_fraction: float, random_state: int
) -> Split:
    """Part patches in three, by slide where the slides are known.

    Parameters
    ----------
    patches : Patches
        With labels.
    test_fraction, threshold_fraction : float
        About which share of all patches to report on, and to choose the threshold on.
    random_state : int
        Fixes the split.

    Returns
    -------
    Split
        The rows of each part.

    Raises
    ------
    ValueError
        If there are too few slides or patches of either class.
    """
    rest, test = _hold_out(patches, np.arange(len(patches)), test_fraction, random_state, "test")
    share = threshold_fraction / (1 - test_fraction)
    training, threshold = _hold_out(patches, rest, share, random_state, "threshold")
    return Split(training, threshold, test, _describe(patches, training, threshold, test))


def make_folds(
    patches: Patches, n_splits: int, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows of cross-validation folds, by slide where the slides are known.

    Parameters
    ----------
    patches : Patches
        With labels.
    n_splits : int
        Number of folds.
    random_state : int
        Fixes them.

    Returns
    -------
    folds : list of (training rows, test rows)
        Both with both classes.

    Raises
    ------
    ValueError
        If a fold lacks a class.
    """
    folds = _folds(patches, n_splits, random_state)
    for rows in (rows for fold in folds for rows in fold):
        if not patches.take(rows).fewest_slides():
            raise ValueError(
                f"--cv {n_splits} leaves a fold without patches of both classes, out of "
                f"{patches.describe()}; pass a smaller number"
            )
    return folds


def _hold_out(
    patches: Patches, rows: np.ndarray, fraction: float, random_state: int, part: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that stay and those held out: of all folds, that of the most slides.

    What counts are slides of the class that comes from fewer: the more, the narrower intervals.
    """
    chosen = patches.take(rows)
    # An interval over slides needs two of either class, and so does what is parted once more.
    least = 2 if part == "test" else 1
    folds = _folds(chosen, max(2, round(1 / fraction)), random_state)
    counts = [[chosen.take(part).fewest_slides() for part in fold] for fold in folds]
    possible = [i for i, count in enumerate(counts) if min(count) >= least]
    if not possible:
        raise ValueError(
            f"{chosen.describe()} cannot be parted so that either class comes from {least} slides "
            f"or more on both sides; pass another --{part}-fraction, or more slides"
        )
    stay, leave = folds[max(possible, key=lambda i: counts[i][1])]
    return rows[stay], rows[leave]


def _folds(
    patches: Patches, n_splits: int, random_state: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    if patches.groups is None:
        folds = StratifiedKFold(n_splits, shuffle=True, random_state=random_state)
    else:
        n_splits = min(n_splits, len(np.unique(patches.groups)))
        folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)
    return list(folds.split(patches.ids, patches.target, patches.groups))


def _describe(patches: Patches, *parts: np.ndarray) -> str:
    if patches.groups is None:
        sizes = [f"{len(rows):,} patches" for rows in parts]
        how = _BY_PATCH
    else:
        sizes = [patches.take(rows).describe() for rows in parts]
        how = "By slide: no slide is in two parts."
    return (
        f"{how} {sizes[0]} to learn from, {sizes[1]} to choose the threshold on, {sizes[2]} held "
        "out to report on."
    )

"""The results of a hyper-parameter search: every candidate with its mean and its folds."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self, cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn.plotting._style import BLUE, VERMILION


class SearchResultsDisplay:
    """Candidates of a search, best first, with their mean score and the score of each fold.

    Folds that share no slides differ a lot. Where the folds of two candidates overlap, the order
    of these candidates may be chance.

    Parameters
    ----------
    cv_results : mapping of str to sequence
        `cv_results_` of `GridSearchCV` or another search of scikit-learn.
    metric : str, default="score"
        The metric to draw: "score" if the search had one metric, or else its name.
    max_candidates : int, default=20
        Largest number of candidates to draw, at least 1. The title gives the number of all.

    Attributes
    ----------
    labels_ : list of str
        The labels of the drawn candidates, best first, made of the parameters that vary.
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        The axes drawn on, and their figure.

    Examples
    --------
    >>> from pcam_sklearn.plotting import SearchResultsDisplay
    >>> results = {
    ...     "params": [{"clf__dropout": 0.3}, {"clf__dropout": 0.5}],
    ...     "mean_test_score": [0.8, 0.9],
    ... }
    >>> SearchResultsDisplay(results).plot().labels_
    ['dropout=0.5', 'dropout=0.3']
    """

    labels_: list[str]
    ax_: Axes
    figure_: Figure

    def __init__(
        self, cv_results: Mapping[str, Any], *, metric: str = "score", max_candidates: int = 20
    ) -> None:
        self.cv_results, self.metric = cv_results, metric
        self.max_candidates = max_candidates

    @classmethod
    def from_estimator(
        cls, search: Any, *, metric: str = "score", max_candidates: int = 20, ax: Any = None
    ) -> Self:
        """Draw the results of a fitted search.

        Parameters
        ----------
        search : GridSearchCV or another search of scikit-learn
            The fitted search.
        metric : str, default="score"
            As in the class.
        max_candidates : int, default=20
            As in the class.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on; None makes a new figure.

        Returns
        -------
        display : SearchResultsDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the search is not fitted.
        ValueError
            If there is no such metric, or `max_candidates` is below 1.
        """
        if not hasattr(search, "cv_results_") and not hasattr(search, "param_grid"):
            check_is_fitted(search)
            raise ValueError(
                f"{type(search).__name__} is no search; pass a fitted GridSearchCV or another one "
                "with cv_results_."
            )
        check_is_fitted(search, "cv_results_")
        display = cls(search.cv_results_, metric=metric, max_candidates=max_candidates)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw one row per candidate.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on; None makes a new figure, as high as its rows need.

        Returns
        -------
        self : SearchResultsDisplay
            The display.

        Raises
        ------
        ValueError
            If there is no such metric, or `max_candidates` is below 1.
        """
        means, folds = self._read_scores()
        # argsort puts nan, the mean of a candidate whose fit failed, last.
        order = np.argsort(-means, kind="stable")[: self.max_candidates]
        names = _name_candidates(self.cv_results)
        self.labels_ = [names[i] + ("" if np.isfinite(means[i]) else " (failed)") for i in order]
        if ax is None:
            size = (8.5, 1.2 + 0.35 * len(order))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, cast(Figure, ax.figure)
        self._draw(ax, means[order], folds[:, order])
        shown = f"best {len(order)} of {len(means)}" if len(order) < len(means) else len(means)
        ax.set(xlabel=f"Cross-validated {self.metric}", title=f"Search results: {shown} candidates")
        return self

    def _read_scores(self) -> tuple[np.ndarray, np.ndarray]:
        check_scalar(self.max_candidates, "max_candidates", Integral, min_val=1)
        start = "mean_test_"
        if start + self.metric not in self.cv_results:
            known = [key.removeprefix(start) for key in self.cv_results if key.startswith(start)]
            raise ValueError(f"metric={self.metric!r} is not in the results; type one of {known}.")
        folds = [
            np.asarray(values, dtype=float)
            for key, values in self.cv_results.items()
            if key.startswith("split") and key.endswith(f"_test_{self.metric}")
        ]
        means = np.asarray(self.cv_results[start + self.metric], dtype=float)
        # Results without the scores of folds become an array of no rows.
        return means, np.reshape(folds, (-1, len(means)))

    def _draw(self, ax: Axes, means: np.ndarray, folds: np.ndarray) -> None:
        rows = np.arange(len(means))
        # matplotlib keeps labels that begin with "_" out of the legend: one entry serves all folds.
        ax.plot(
            folds.T, rows, "o", color=BLUE, markersize=5, fillstyle="none", alpha=0.8,
            label=["a fold", *["_"] * (len(folds) - 1)],
        )  # fmt: skip
        ax.plot(means[1:], rows[1:], "|", color="black", markersize=14, label="mean")
        best = f"best mean, {means[0]:.3f}"
        ax.plot(means[:1], rows[:1], "D", color=VERMILION, markeredgecolor="white", label=best)
        ax.set_yticks(rows, self.labels_)
        # The axis runs downwards, so that the best candidate stands on top.
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")


def _name_candidates(results: Mapping[str, Any]) -> list[str]:
    """Return one label per candidate, from the parameters that vary between candidates."""
    candidates = [dict(params) for params in results["params"]]
    # A halving search lists a candidate once per round, with the same parameters.
    if "n_resources" in results:
        for candidate, n_resources in zip(candidates, results["n_resources"], strict=True):
            candidate["n_resources"] = n_resources
    # dict.fromkeys drops repetitions like a set, but keeps the order.
    keys = list(dict.fromkeys(key for candidate in candidates for key in candidate))
    # repr compares values of any type, such as layers or tuples that hold arrays.
    varying = [key for key in keys if len({repr(c.get(key)) for c in candidates}) > 1]
    short = _shorten(varying or keys)
    return [
        ", ".join(f"{short[key]}={_format_value(c[key])}" for key in short if key in c)
        for c in candidates
    ]


def _shorten(keys: list[str]) -> dict[str, str]:
    """Map each parameter to its name without the steps, where no other has the same name."""
    ends = [key.rsplit("__", 1)[-1] for key in keys]
    return {key: key if ends.count(end) > 1 else end for key, end in zip(keys, ends, strict=True)}


def _format_value(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.3g}"
    # The repr of a function or a class, such as a network, is too long for a label.
    return getattr(value, "__name__", str(value))

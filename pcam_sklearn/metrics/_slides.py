"""Tables of metrics by slide, and by what slides have in common: the hospital, the stain."""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from pcam_sklearn.metrics._bootstrap import auc_cluster_bootstrap
from pcam_sklearn.metrics._inputs import check_fraction, check_groups, check_scores
from pcam_sklearn.metrics._types import BoolArray, FloatArray, RandomState


def slide_table(
    y_true: ArrayLike,
    y_score: ArrayLike,
    groups: ArrayLike,
    *,
    hospital: ArrayLike | None = None,
    threshold: float | None = None,
    pos_label: Any = None,
) -> pd.DataFrame:
    """Measure every slide by itself.

    Parameters
    ----------
    y_true, y_score, groups : array-like of shape (n_samples,)
        Two classes, as numbers, booleans or strings; scores that grow with the positive one; the
        slide of each patch, which may hold one class only.
    hospital : array-like of shape (n_samples,), default=None
        The hospital of each patch, one per slide. It becomes the column ``hospital``.
    threshold : float, default=None
        Lowest score called positive, from other slides; adds ``sensitivity``, ``specificity``.
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    DataFrame
        One row per slide, its name as the index, with ``n_patches``, ``n_positive``, ``classes``
        ("both", "only positive" or "only negative"), ``mean_score`` and ``auc``. A metric that
        needs a class without patches on the slide is nan.

    Raises
    ------
    ValueError
        If a value is missing, lengths differ, there are more than two labels, or a slide has two
        hospitals.

    Examples
    --------
    >>> from pcam_sklearn.metrics import slide_table
    >>> table = slide_table([0, 1, 1, 0, 0], [0.2, 0.9, 0.1, 0.3, 0.4], list("aaabb"))
    >>> print(table)  # doctest: +NORMALIZE_WHITESPACE
           n_patches  n_positive        classes  mean_score  auc
    slide
    a              3           2           both        0.40  0.5
    b              2           0  only negative        0.35  NaN
    """
    positive, score = check_scores(y_true, y_score, pos_label, both_classes=False)
    check_groups(groups, len(score))
    table = _measure(positive, score, pd.Series(np.asarray(groups), name="slide"), threshold)
    if hospital is not None:
        of_slide = _value_of_slide("hospital", hospital, groups)
        table.insert(0, "hospital", of_slide.reindex(table.index))
    return table


def hospital_table(
    y_true: ArrayLike,
    y_score: ArrayLike,
    hospital: ArrayLike,
    groups: ArrayLike,
    *,
    threshold: float | None = None,
    n_rounds: int = 2000,
    confidence: float = 0.95,
    random_state: RandomState = None,
    pos_label: Any = None,
) -> pd.DataFrame:
    """Measure every hospital, with an interval for the area that respects slides.

    Parameters
    ----------
    y_true, y_score, hospital, groups : array-like of shape (n_samples,)
        As in :func:`slide_table`.
    threshold : float, default=None
        As in :func:`slide_table`.
    n_rounds : int, default=2000
        Number of bootstrap rounds per hospital, at least 100.
    confidence : float, default=0.95
        Confidence level, in (0, 1).
    random_state : int, Generator, RandomState or None, default=None
        As in :func:`auc_cluster_bootstrap`.
    pos_label : object, default=None
        The positive label; None takes the larger of the two sorted labels.

    Returns
    -------
    DataFrame
        One row per hospital, its name as the index, with ``n_slides``, the columns of
        :func:`slide_table`, and ``auc_low`` and ``auc_high`` after ``auc``. These two are nan if
        either class comes from fewer than two slides.

    Raises
    ------
    ValueError
        As in :func:`slide_table`.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.metrics import hospital_table
    >>> rng = np.random.default_rng(0)
    >>> y, slide = rng.random(600) < 0.4, np.repeat(np.arange(20), 30)
    >>> hospital = np.where(slide < 12, "Radboud", "Utrecht")
    >>> table = hospital_table(y, y + rng.normal(size=600), hospital, slide, random_state=0)
    >>> print(table.filter(like="auc").round(2))  # doctest: +NORMALIZE_WHITESPACE
               auc  auc_low  auc_high
    hospital
    Radboud   0.78     0.72      0.83
    Utrecht   0.76     0.71      0.80
    """
    return table_by(
        "hospital", hospital, y_true, y_score, groups, threshold=threshold, n_rounds=n_rounds,
        confidence=confidence, random_state=random_state, pos_label=pos_label,
    )  # fmt: skip


def table_by(
    name: str, values: ArrayLike, y_true: ArrayLike, y_score: ArrayLike, groups: ArrayLike, *,
    threshold: float | None, confidence: float, pos_label: Any, **settings: Any,
) -> pd.DataFrame:  # fmt: skip
    """Measure all slides of one value together, for each value of the property `name`.

    The table is that of :func:`hospital_table`, which measures the property "hospital".
    """
    check_fraction(confidence, "confidence", open_interval=True)
    positive, score = check_scores(y_true, y_score, pos_label, both_classes=False)
    codes, _ = check_groups(groups, len(score))
    slides = _value_of_slide(name, values, groups)
    key = pd.Series(np.asarray(values), name=name)
    table = _measure(positive, score, key, threshold)
    table.insert(0, "n_slides", slides.value_counts().reindex(table.index))
    settings["confidence"] = confidence
    masks = [(key == value).to_numpy() for value in table.index]
    ends = [_auc_interval(positive[m], score[m], codes[m], **settings) for m in masks]
    # A reader expects the interval right after its estimate.
    after_auc = list(table.columns).index("auc") + 1
    table.insert(after_auc, "auc_low", [low for low, _ in ends])
    table.insert(after_auc + 1, "auc_high", [high for _, high in ends])
    return table


def _measure(
    positive: BoolArray, score: FloatArray, key: "pd.Series[Any]", threshold: float | None
) -> pd.DataFrame:
    """Return a table of one row per value of the key, such as the slide."""
    frame = pd.DataFrame({"positive": positive, "negative": ~positive, "score": score})
    frame["rank_of_positive"] = frame.groupby(key)["score"].rank().where(positive, 0.0)
    sums = frame.groupby(key).sum()
    n_positive, n_negative = sums["positive"], sums["negative"]
    one_class = [n_negative == 0, n_positive == 0]
    # Mann and Whitney: the rank sum less its lowest possible value counts the pairs won. Thus one
    # pass over the patches measures all slides, where roc_auc_score would sort each by itself.
    won = sums["rank_of_positive"] - n_positive * (n_positive + 1) / 2
    columns = {
        "n_patches": n_positive + n_negative,
        "n_positive": n_positive,
        "classes": np.select(one_class, ["only positive", "only negative"], "both"),
        "mean_score": frame.groupby(key)["score"].mean(),
        "auc": won / (n_positive * n_negative).where(lambda pairs: pairs > 0),
    }
    if threshold is not None:
        check_scalar(threshold, "threshold", Real)
    if threshold is not None and np.isnan(threshold):
        raise ValueError("threshold=nan separates nothing; type for example threshold=0.5")
    if threshold is not None:
        columns["sensitivity"] = _share_by_key(score >= threshold, positive, key)
        columns["specificity"] = _share_by_key(score < threshold, ~positive, key)
    return pd.DataFrame(columns, index=sums.index)


def _share_by_key(correct: BoolArray, mask: BoolArray, key: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the share of correct patches among the masked ones, per value of the key."""
    return pd.Series(correct)[mask].groupby(key[mask]).mean()


def _value_of_slide(name: str, values: ArrayLike, groups: ArrayLike) -> "pd.Series[Any]":
    """Return the value of each slide, such as its hospital; several are a ValueError."""
    slides = np.asarray(groups)
    check_groups(values, len(slides), name)
    pairs = pd.DataFrame({"slide": slides, name: np.asarray(values)}).drop_duplicates()
    twice = pairs.loc[pairs["slide"].duplicated(), "slide"]
    if len(twice):
        raise ValueError(
            f"slide {twice.tolist()[0]!r} has patches of several {name}s, and a slide has one; "
            f"pass {name} and groups in the same order"
        )
    return pairs.set_index("slide")[name]


def _auc_interval(
    positive: BoolArray, score: FloatArray, codes: Any, **settings: Any
) -> tuple[float, float]:
    """Return the ends of the area's interval, or nan if too few slides hold a class."""
    # A hospital of few slides must not cost the user the whole table, so this is no error here.
    fewest = min(len(np.unique(codes[mask])) for mask in (positive, ~positive))
    if fewest < 2:
        return np.nan, np.nan
    interval = auc_cluster_bootstrap(positive, score, codes, **settings)
    return interval.low, interval.high

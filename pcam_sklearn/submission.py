"""The file that Kaggle takes: one probability for each id, in the order that it asks for."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pcam_sklearn._files import atomic_path

__all__ = ["write_submission"]

_EXAMPLES = 3


def write_submission(
    path: str | os.PathLike[str],
    ids: Any,
    probabilities: Any,
    sample: str | os.PathLike[str] | pd.DataFrame | None = None,
) -> Path:
    """Write probabilities as a submission to Kaggle's competition.

    Rows are joined on the id, never on the position: an order that is lost between the
    predictions and the file costs everything and is seen by nobody.

    Parameters
    ----------
    path : path-like
        The CSV file to write; one that is there is replaced. It is whole or not there.
    ids : array-like of str, shape (n_samples,)
        The id of each patch, without folder and ending.
    probabilities : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, 2)
        The probability of tumour tissue for each id, in [0, 1]. Of two columns, which must sum to
        one, the second is taken: that of the positive class, as ``predict_proba`` returns them.
    sample : path-like or pandas.DataFrame, default=None
        Kaggle's ``sample_submission.csv``, or a frame with the column ``id``: every id in it must
        be given, no other may be, and its order is that of the file. None keeps the order of
        `ids`.

    Returns
    -------
    pathlib.Path
        `path`. The file has the columns ``id`` and ``label``, the probabilities with all their
        digits.

    Raises
    ------
    FileNotFoundError
        If `sample` or the folder of `path` does not exist.
    ValueError
        If a probability is NaN or outside of [0, 1], or all of them are 0 or 1, which are labels:
        the score is the area under the ROC curve and labels lose .05 to .1 of it. If an id is
        empty, occurs twice, is missing or is not in `sample`, or the lengths differ.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from pcam_sklearn.submission import write_submission
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_submission(Path(folder, "submission.csv"), ["b", "a"], [0.25, 0.75])
    ...     print(path.read_text(), end="")
    id,label
    b,0.25
    a,0.75
    """
    names = _check_ids(ids, "ids")
    scores = _check_probabilities(probabilities)
    if len(names) != len(scores):
        raise ValueError(f"there are {len(names)} ids for {len(scores)} probabilities")
    table = pd.Series(scores, index=pd.Index(names, name="id"), name="label")
    if sample is not None:
        order = _sample_ids(sample)
        _compare(names, order)
        table = table.reindex(order)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, lineterminator="\n")
    return Path(path)


def _check_probabilities(probabilities: Any) -> np.ndarray:
    values = np.asarray(probabilities)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"probabilities must be numbers in [0, 1]; got the dtype {values.dtype}")
    values = _positive_column(values.astype(np.float64))
    if not len(values):
        raise ValueError("there is not one probability")
    bad = ~((values >= 0) & (values <= 1))  # NaN too
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{int(bad.sum())} of {len(values)} probabilities are NaN or outside of [0, 1]; the"
            f" first is {values[where]} at position {where}; pass predict_proba(X)[:, 1]"
        )
    if np.isin(values, [0, 1]).all():
        raise ValueError(
            "all probabilities are 0 or 1, so they are labels, which cost .05 to .1 of the area"
            " under the ROC curve; pass predict_proba(X)[:, 1] instead of predict(X)"
        )
    return values


def _positive_column(values: np.ndarray) -> np.ndarray:
    if values.ndim == 1:
        return values
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(
            "probabilities must have the shape (n_samples,), or (n_samples, 2) as predict_proba"
            f" returns them; got {values.shape}"
        )
    off = np.abs(values.sum(axis=1) - 1) > 1e-3
    if off.any():
        raise ValueError(
            f"{int(off.sum())} of {len(values)} rows of probabilities do not sum to 1, the first"
            f" is {values[off][0]}; pass what predict_proba returns, or the positive column alone"
        )
    return values[:, 1]


def _check_ids(ids: Any, what: str) -> list[str]:
    values = np.asarray(ids, dtype=object)
    if values.ndim != 1:
        raise ValueError(f"{what} must have the shape (n_samples,); got {values.shape}")
    wrong = [value for value in values if not isinstance(value, str) or not value.strip()]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(values)} {what} are empty or no text; the first is {wrong[0]!r}"
        )
    names = [str(value) for value in values]
    repeated = pd.Index(names)[pd.Index(names).duplicated()].unique()
    if len(repeated):
        raise ValueError(f"{what} occur more than once: {_some(list(repeated))}")
    return names


def _sample_ids(sample: str | os.PathLike[str] | pd.DataFrame) -> list[str]:
    if not isinstance(sample, pd.DataFrame):
        try:
            sample = pd.read_csv(sample, dtype=str, keep_default_na=False)
        except ValueError as error:
            raise ValueError(f"{sample} cannot be read as a CSV file: {error}") from error
    if "id" not in sample:
        raise ValueError(f"sample has the columns {list(sample)}; it must have 'id'")
    return _check_ids(sample["id"], "ids of sample")


def _compare(names: list[str], order: list[str]) -> None:
    missing = pd.Index(order).difference(names)
    unknown = pd.Index(names).difference(order)
    if len(missing):
        raise ValueError(f"ids lack {len(missing)} of those in sample: {_some(list(missing))}")
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} ids are not in sample: {_some(list(unknown))}; an id has neither a"
            " folder nor an ending, and patches of the training set are not submitted"
        )


def _some(values: list[str]) -> str:
    more = f" and {len(values) - _EXAMPLES:,} more" if len(values) > _EXAMPLES else ""
    return ", ".join(map(repr, values[:_EXAMPLES])) + more

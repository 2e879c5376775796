"""The file that Kaggle takes: one probability per id, in the order of its sample."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pcam_sklearn._files import atomic_path, expand_home
from pcam_sklearn._masked import refuse_masked
from pcam_sklearn._messages import first_few
from pcam_sklearn._tables import read_table, select_columns

__all__ = ["write_submission"]


def write_submission(
    path: str | os.PathLike[str],
    ids: Any,
    probabilities: Any,
    sample: str | os.PathLike[str] | pd.DataFrame | None = None,
) -> Path:
    """Write probabilities as a submission to Kaggle's competition.

    Rows are joined on the id, never on the position: a wrong order ruins the score unseen.

    Parameters
    ----------
    path : path-like
        The CSV file to write. An existing file is replaced, but only by a complete one.
    ids : array-like of str, shape (n_samples,)
        The id of each patch, without folder and ending.
    probabilities : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, 2)
        The probability of tumour tissue for each id, in [0, 1]. Two columns, as ``predict_proba``
        returns them, must sum to one; the second column, the positive class, is written. A Series
        or DataFrame with ids in its index is joined on them. One that was sorted or selected by
        another index is refused, unless `ids` is a Series with the same index.
    sample : path-like or pandas.DataFrame, default=None
        Kaggle's ``sample_submission.csv``, or a frame with the column ``id``. `ids` must be the
        same in any order, and the file gets the sample's order. None keeps the order of `ids`.

    Returns
    -------
    pathlib.Path
        The path. The file has the columns ``id`` and ``label``, which has all digits.

    Raises
    ------
    FileNotFoundError
        If `sample` or the folder of `path` does not exist.
    ValueError
        If a probability is NaN, masked or outside [0, 1], or all are 0 or 1, hence labels. If an id
        is empty, masked, occurs twice, is missing or is not in `sample`, or the lengths differ. If
        the index of `probabilities` leaves their order open.

    Examples
    --------
    >>> import tempfile
    >>> from pcam_sklearn.submission import write_submission
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_submission(f"{folder}/a.csv", ["b", "a"], [0.25, 0.75]).read_text().split())
    ['id,label', 'b,0.25', 'a,0.75']
    """
    names, order = check_submission_ids(ids, sample)
    scores = _check_probabilities(_in_order_of_ids(probabilities, ids, names))
    if len(names) != len(scores):
        raise ValueError(
            f"there are {len(names)} ids for {len(scores)} probabilities; pass one id per patch,"
            " in the order of the predictions"
        )
    table = pd.Series(scores, index=pd.Index(names, name="id"), name="label").reindex(order)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, lineterminator="\n")
    return expand_home(path)


def check_submission_ids(
    ids: Any, sample: str | os.PathLike[str] | pd.DataFrame | None
) -> tuple[list[str], list[str]]:
    """Return the ids as text, and in the order of the sample, or raise as `write_submission`."""
    names = _check_ids(ids, "ids")
    if sample is None:
        return names, names
    order = _read_sample_ids(sample)
    _check_same_ids(names, order)
    return names, order


def _in_order_of_ids(probabilities: Any, ids: Any, names: list[str]) -> Any:
    """Return probabilities in the order of the ids, or raise ValueError if their index is neither.

    Without an index of their own they are in that order.
    """
    if not isinstance(probabilities, pd.Series | pd.DataFrame):
        return probabilities
    _check_columns(probabilities)
    index = probabilities.index
    if isinstance(ids, pd.Series) and index.equals(ids.index):
        return probabilities
    if len(index) and all(isinstance(label, str) for label in index):
        _check_index(_check_ids(index, "ids in the index of probabilities"), names)
        return probabilities.loc[names]
    # A frame that was sorted or split keeps the numbers of its rows.
    if isinstance(ids, pd.Series) or not index.equals(pd.RangeIndex(len(index))):
        raise ValueError(
            "probabilities have an index that is neither the ids nor that of ids, so their order"
            " is not known; pass pandas.Series(probabilities, index=ids), or .to_numpy() of both"
            " if they are in the same order"
        )
    return probabilities


def _check_columns(probabilities: pd.Series | pd.DataFrame) -> None:
    if isinstance(probabilities, pd.DataFrame):
        columns = [str(column) for column in probabilities]
        if columns in (["1", "0"], ["1.0", "0.0"], ["True", "False"]):
            raise ValueError(
                f"the columns of probabilities are {columns}, but the positive class comes second;"
                " pass the positive column alone"
            )


def _check_index(labels: list[str], names: list[str]) -> None:
    missing = pd.Index(names).difference(labels)
    unknown = pd.Index(labels).difference(names)
    if len(missing) or len(unknown):
        shown = first_few(map(repr, missing if len(missing) else unknown))
        where = "not in the index of probabilities" if len(missing) else "there, but not in ids"
        raise ValueError(
            f"{len(missing) or len(unknown)} ids are {where}: {shown}; pass the probabilities of"
            " these ids, or .to_numpy() of them if they are in the order of the ids"
        )


def _check_probabilities(probabilities: Any) -> np.ndarray:
    """Return the positive class's probabilities, or raise ValueError for anything else."""
    refuse_masked(probabilities, "probabilities")
    values = np.asarray(probabilities)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"probabilities must be numbers in [0, 1]; got the dtype {values.dtype}")
    values = _positive_column(values.astype(np.float64))
    if not len(values):
        raise ValueError("there is not one probability; pass predict_proba(X)[:, 1]")
    # The comparisons are negated because NaN fails every comparison.
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{int(bad.sum())} of {len(values)} probabilities are NaN or outside [0, 1]; the"
            f" first is {values[first]} at position {first}; pass predict_proba(X)[:, 1]"
        )
    # A model that is always certain is far less likely than predict in place of predict_proba.
    if np.isin(values, [0, 1]).all():
        raise ValueError(
            "all probabilities are 0 or 1, so they are labels, which cost .05 to .1 of the area"
            " under the ROC curve; pass predict_proba(X)[:, 1] instead of predict(X)"
        )
    return values


def _positive_column(values: np.ndarray) -> np.ndarray:
    """Return the column of the positive class, out of the shapes that classifiers return."""
    if values.ndim == 1 or values.shape[1:] == (1,):
        return values.reshape(-1)
    if values.shape[1:] != (2,):
        raise ValueError(
            "probabilities must have the shape (n_samples,), or (n_samples, 2) as predict_proba"
            f" returns them; got {values.shape}"
        )
    # Two probabilities of half precision can miss a sum of 1 by .0005.
    off = np.abs(values.sum(axis=1) - 1) > 1e-3
    if off.any():
        raise ValueError(
            f"{int(off.sum())} of {len(values)} rows of probabilities do not sum to 1, the first"
            f" is {values[off][0]}; pass predict_proba(X), or only its column [:, 1]"
        )
    return values[:, 1]


def _check_ids(ids: Any, name: str) -> list[str]:
    """Return ids as strings, or raise ValueError unless each is text and occurs once."""
    refuse_masked(ids, name)
    values = np.asarray(ids, dtype=object)
    if values.ndim != 1:
        raise ValueError(f"{name} must have the shape (n_samples,); got {values.shape}")
    wrong = [value for value in values if not isinstance(value, str) or not value.strip()]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(values)} {name} are empty or no text; the first is {wrong[0]!r}"
        )
    # Python reads the bytes of a name that are no UTF-8 as halves of characters.
    foreign = [value for value in values if value.encode(errors="ignore").decode() != value]
    if foreign:
        raise ValueError(
            f"{len(foreign)} of {len(values)} {name} cannot be written as UTF-8; the first is "
            f"{foreign[0]!a}; rename its file"
        )
    ids_as_text = pd.Index([str(value) for value in values])
    repeated = ids_as_text[ids_as_text.duplicated()].unique()
    if len(repeated):
        shown = first_few(map(repr, repeated))
        raise ValueError(f"{len(repeated)} {name} occur more than once: {shown}")
    return list(ids_as_text)


def _read_sample_ids(sample: str | os.PathLike[str] | pd.DataFrame) -> list[str]:
    """Return the ids of Kaggle's sample, in its order."""
    if isinstance(sample, pd.DataFrame):
        table = select_columns(sample, "sample", ["id"])
    else:
        table = read_table(expand_home(sample), ["id"])
    return _check_ids(table["id"], "ids of sample")


def _check_same_ids(names: list[str], order: list[str]) -> None:
    """Raise ValueError unless both lists hold the same ids."""
    missing = pd.Index(order).difference(names)
    unknown = pd.Index(names).difference(order)
    lack = f"ids lack {len(missing)} of those in sample: {first_few(map(repr, missing))}"
    surplus = f"{len(unknown)} ids are not in sample: {first_few(map(repr, unknown))}"
    form = "an id has neither a folder nor an ending"
    if len(missing) and len(unknown):
        raise ValueError(f"{lack}; {surplus}; {form}")
    if len(missing):
        raise ValueError(f"{lack}; predict all test patches, or leave out the sample")
    if len(unknown):
        raise ValueError(f"{surplus}; {form}, and no other than those of sample may be passed")

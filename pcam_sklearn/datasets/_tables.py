"""Reading the columns of a CSV file that its user may have written by hand."""

from pathlib import Path

import pandas as pd


def read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read columns of a CSV file as text, so that every id and label is judged as it was written.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    columns : list of str
        What it must have.

    Returns
    -------
    table : pandas.DataFrame
        These columns; an empty field is "".

    Raises
    ------
    ValueError
        If the file is no CSV file, or lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a CSV file: {error}") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what is left over for an index
        raise ValueError(f"{path} has rows with more fields than its header names")
    return select_columns(table, str(path), columns).fillna("")


def select_columns(table: pd.DataFrame, name: str, columns: list[str]) -> pd.DataFrame:
    """Return columns of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        The table.
    name : str
        What to call it in an error.
    columns : list of str
        What it must have.

    Returns
    -------
    table : pandas.DataFrame
        These columns.

    Raises
    ------
    ValueError
        If it lacks a column.
    """
    if not set(columns) <= set(table):
        raise ValueError(f"{name} has the columns {list(table)}; it must have {columns}")
    return table[columns]

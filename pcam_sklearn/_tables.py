"""Columns of a CSV file that somebody may have written by hand."""

import lzma
import os
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

_PACKED = {".gz", ".bz2", ".zip", ".xz", ".zst", ".tar"}  # pandas unpacks these.
_DAMAGE = (
    ValueError, EOFError, ImportError, RuntimeError, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
# A table keeps every field as text, so what is missing has to be known by its spelling.
_MISSING = {"", "nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none"}


def read_table(path: Path, columns: list[str], optional: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read columns of a CSV file as text, so that every id and label stays as it was written.

    An empty field is "", and so is each field of an optional column that the file lacks. A file
    that is no CSV file, or lacks another column, raises ValueError.
    """
    # pandas ends a field at a zero byte, and drops what follows.
    if path.suffix.lower() not in _PACKED and b"\0" in path.read_bytes():
        raise ValueError(f"{path} cannot be read as a CSV file: it holds zero bytes")
    table = read_csv(path, dtype=object, keep_default_na=False)
    present = [name for name in optional if name in table]
    if any(f"{name}.1" in table for name in (*columns, *present)):
        _refuse_columns_twice(path, [*columns, *present])
    table = select_columns(table, str(path), [*columns, *present]).fillna("")
    return table.reindex(columns=[*columns, *optional], fill_value="")


def _refuse_columns_twice(path: Path, columns: list[str]) -> None:
    """Raise ValueError if one of these columns is there twice: pandas numbers the second one."""
    header = read_csv(path, dtype=object, keep_default_na=False, header=None, nrows=1)
    names = header.iloc[0].tolist()
    for name in columns:
        if names.count(name) > 1:
            raise ValueError(f"{path} has several columns {name}; keep one of them")


def read_csv(path: str | os.PathLike[str], **options: Any) -> pd.DataFrame:
    """Read a CSV file, packed or not, as pandas does; one that is damaged raises ValueError."""
    fault = f"{path} cannot be read as a CSV file"
    try:
        # Spreadsheets begin a CSV file with a byte order mark, which utf-8-sig skips.
        table = pd.read_csv(path, encoding="utf-8-sig", **options)
    except _DAMAGE as error:
        raise ValueError(f"{fault}: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{fault}: {error}") from error  # Of data that are not packed so.
    # pandas takes surplus fields for an index, and every value would be off by a column.
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f"{path} has rows with more fields than its header names; correct it")
    return table


def is_missing(column: pd.Series) -> pd.Series:
    """Return where a value is missing: empty, NaN, None, or a word that programs write for it."""
    return column.isna() | column.astype(str).str.strip().str.lower().isin(_MISSING)


def select_columns(table: pd.DataFrame, name: str, columns: list[str]) -> pd.DataFrame:
    """Return these columns, or raise ValueError in which the table is called `name`."""
    if not set(columns) <= set(table):
        raise ValueError(f"{name} has the columns {list(table)}; it must have {columns}")
    if table.columns[table.columns.isin(columns)].has_duplicates:
        raise ValueError(f"{name} has the columns {list(table)}; keep one of each of {columns}")
    return table[columns]

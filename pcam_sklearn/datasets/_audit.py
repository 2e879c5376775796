"""The audit of a Kaggle-layout folder: every row of its tables, every file, every pixel."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from pcam_sklearn._files import expand_home
from pcam_sklearn._messages import first_few
from pcam_sklearn._tables import is_missing, read_table
from pcam_sklearn.datasets._audit_pixels import check_pixels
from pcam_sklearn.datasets._audit_report import AuditReport, Finding
from pcam_sklearn.datasets._ids import is_id, name_of
from pcam_sklearn.datasets._patch_names import count_kinds, is_patch_name, list_names


def audit_patches(folder: str | os.PathLike[str], *, progress: bool = True) -> AuditReport:
    r"""Check every row and every file of a folder in Kaggle's layout.

    Each file is read once. A Kaggle id is the SHA-1 of the patch's raw RGB bytes, so a single
    changed pixel is found, and so are reversed channels. No path is ever made from an id: the
    folders are listed, and names are compared with ids as text. What passes here passes in
    `load_kaggle` without a warning if it has a ``slides.csv``: both take the same files for
    patches.

    Parameters
    ----------
    folder : path-like
        The folder that holds ``train/`` and ``train_labels.csv``. Patches are named ``<id>.tif`` or
        ``<id>.png``. ``test/``,
        ``sample_submission.csv`` and ``slides.csv`` are checked if they are there. A sample
        submission may list more ids than ``test/`` has files: part of the data is no damage.
    progress : bool, default=True
        Whether to show a progress bar on the standard error stream.

    Returns
    -------
    AuditReport
        The counts and findings: `AuditReport.summary` as text, `AuditReport.to_frame` with one
        row per finding, `AuditReport.ok`. Its documentation lists the kinds of finding.

    Raises
    ------
    FileNotFoundError
        If the folder, its ``train/`` or its ``train_labels.csv`` is missing.
    ValueError
        If a table is no CSV file, or lacks a column that it must have.

    See Also
    --------
    pcam_sklearn.datasets.load_kaggle : Load the folder once it is whole.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from pcam_sklearn.datasets import audit_patches
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "train").mkdir()
    ...     _ = Path(folder, "train_labels.csv").write_text("id,label\n../secret,1\n")
    ...     report = audit_patches(folder, progress=False)
    >>> report.ok
    False
    >>> report.to_frame()[["kind", "id"]].to_dict("records")
    [{'kind': 'malformed id', 'id': '../secret'}]
    """
    root = expand_home(folder)
    labels = _read_labels(root)
    counts: dict[str, int] = {"rows": len(labels)}
    for value in (0, 1):
        counts[f"label {value}"] = int((_to_numbers(labels["label"]) == value).sum())
    findings = [*_check_labels(labels), *_check_ids(labels["id"], "train_labels.csv")]

    train, others_in_train = _list_patches(root / "train")
    test, others_in_test = _list_patches(root / "test")
    counts |= {"train files": len(train), "test files": len(test)}
    if unverified := sum(not is_id(name_of(path)) for path in [*train, *test]):
        counts["names that are no SHA-1"] = unverified
    findings += [*others_in_train, *others_in_test]
    findings += _compare(labels["id"], train)
    findings += _check_submission(root, test, counts)
    findings += _check_slides(root, labels["id"], counts)
    with tqdm(total=len(train) + len(test), unit="patch", disable=not progress) as bar:
        findings += check_pixels(root, [*train, *test], bar.update)
    return AuditReport(folder=root, counts=counts, findings=tuple(findings))


def _read_labels(root: Path) -> pd.DataFrame:
    for name, exists in (("train_labels.csv", Path.is_file), ("train", Path.is_dir)):
        if not exists(root / name):
            raise FileNotFoundError(
                f"{root} has no {name}; an audit needs Kaggle's layout: train/<id>.tif and"
                " train_labels.csv (and test/<id>.tif, sample_submission.csv, slides.csv, if any)"
            )
    return read_table(root / "train_labels.csv", ["id", "label"])


def _to_numbers(labels: pd.Series) -> pd.Series:
    # pandas may have written the labels as 0.0 and 1.0.
    return pd.to_numeric(labels, errors="coerce")


def _check_labels(table: pd.DataFrame) -> Iterator[Finding]:
    if table.empty:
        yield Finding("no rows", "", "train_labels.csv", "the table has a header only")
    missing = is_missing(table["label"])
    invalid = ~missing & ~_to_numbers(table["label"]).isin([0, 1])
    for bad, kind in ((missing, "missing label"), (invalid, "invalid label")):
        for row in bad.to_numpy().nonzero()[0]:
            identifier, label = table.iloc[row]
            # People count rows from 1, without the header.
            yield Finding(kind, identifier, "train_labels.csv", f"row {row + 1}: {label!r}")


def _check_ids(ids: pd.Series, table: str) -> Iterator[Finding]:
    valid = ids.map(is_patch_name).astype(bool)
    for row, identifier in zip((~valid).to_numpy().nonzero()[0], ids[~valid], strict=True):
        yield Finding("malformed id", identifier, table, f"row {row + 1}: {identifier!r}")
    repeated = ids[valid & ids.duplicated(keep=False)]
    for identifier, rows in repeated.groupby(repeated).groups.items():
        numbers = first_few(row + 1 for row in rows)
        yield Finding("duplicate id", str(identifier), table, f"rows {numbers}")


def _list_patches(folder: Path) -> tuple[list[str], list[Finding]]:
    """Return the patches of a folder, as ``train/<id>.tif``, and findings on its names."""
    if not folder.is_dir():  # The folder test/ may be absent.
        return [], []
    names, findings = list_names(folder), []
    if len(names.patches) > 1:
        findings.append(
            Finding("two kinds", "", folder.name, f"{count_kinds(names.patches)} files")
        )
    for name in names.misnamed:
        path = f"{folder.name}/{name}"
        findings.append(Finding("malformed id", name_of(path), path, "the file's name is no id"))
    for name in names.others:
        findings.append(Finding("other file", "", f"{folder.name}/{name}", "no image, or hidden"))
    patches = [
        f"{folder.name}/{name}{ending}" for ending, ids in names.patches.items() for name in ids
    ]
    return patches, findings


def _compare(ids: pd.Series, train: list[str]) -> Iterator[Finding]:
    # A malformed id has a finding of its own already.
    labelled = set(filter(is_patch_name, ids))
    present = {name_of(path): path for path in train}
    for identifier in sorted(labelled - present.keys()):
        yield Finding("no file", identifier, "train_labels.csv", "labelled, but not in train/")
    for identifier in sorted(present.keys() - labelled):
        yield Finding("no label", identifier, present[identifier], "not in train_labels.csv")


def _check_submission(root: Path, test: list[str], counts: dict[str, int]) -> list[Finding]:
    name = "sample_submission.csv"
    if not (root / name).is_file():
        return []
    ids = read_table(root / name, ["id"])["id"]
    listed, present = set(ids), {name_of(path): path for path in test}
    counts["listed for submission"] = len(ids)
    # Part of the test set is no damage, so these ids are counted and are no findings.
    counts["listed without a file"] = len(listed - present.keys())
    return [
        *_check_ids(ids, name),
        *(
            Finding("not listed", identifier, present[identifier], f"not in {name}")
            for identifier in sorted(present.keys() - listed)
        ),
    ]


def _check_slides(root: Path, labelled: pd.Series, counts: dict[str, int]) -> list[Finding]:
    name = "slides.csv"
    if not (root / name).is_file():
        return []
    table = read_table(root / name, ["id", "slide"])
    named = table[~is_missing(table["slide"])]
    known = set(named["id"])
    counts["slides"] = named["slide"].nunique()
    return [
        *_check_ids(table["id"], name),
        *(
            Finding("no slide", identifier, name, "labelled, but on no slide")
            for identifier in sorted(set(filter(is_patch_name, labelled)) - known)
        ),
    ]

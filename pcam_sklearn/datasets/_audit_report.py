"""The report of an audit: counts, findings, and three ways to look at them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

DAMAGE = {
    "no rows": "train_labels.csv lists no patch",
    "two kinds": "a folder holds .tif and .png files; only one kind can be loaded",
    "missing label": "the row's label is empty",
    "invalid label": "the row's label is neither 0 nor 1",
    "malformed id": "other characters than letters, digits, _ and -, or another ending: left out",
    "duplicate id": "the table lists the id more than once",
    "no file": "labelled, but there is no such file in train/",
    "no label": "a file of train/ that train_labels.csv does not list",
    "not listed": "a file of test/ that sample_submission.csv does not list",
    "no slide": "labelled, but slides.csv does not name its slide",
    "unreadable": "no file, or not an image that can be decoded",
    "truncated": "the file ends before its pixels do",
    "wrong size": "not 96 x 96 pixels",
    "wrong pixels": "the SHA-1 of the pixels is not the id",
    "duplicate pixels": "the same pixels as another file",
}
NOTES = {
    "blank": "black (maximum < 10) or white (minimum > 245): true data, but useless to learn from",
    "other file": "in train/ or test/, but no image, or hidden, as ._x.tif: not read",
}
_EXAMPLES = 3  # One line each, so that fifteen kinds of finding still fit on a screen or two.


class Finding(NamedTuple):
    """One finding; `path` is the file or table, relative to the folder."""

    kind: str
    id: str
    path: str
    detail: str


@dataclass(frozen=True)
class AuditReport:
    """The result of `audit_patches`.

    Attributes
    ----------
    folder : pathlib.Path
        The folder that was audited.
    counts : dict of str to int
        Rows, rows per label, files, listed test ids, slides.
    findings : tuple of Finding
        Everything found, as (kind, id, path, detail).

    Notes
    -----
    These kinds make `ok` false: *no rows*, *two kinds* (.tif and .png files), *missing label*,
    *invalid label*, *malformed id* (in a table, or an image that is not named ``<id>.tif`` or
    ``<id>.png``), *duplicate id*, *no file*, *no label*, *not listed* (test file not in the sample
    submission), *no slide*, *unreadable*, *truncated*, *wrong size*, *wrong pixels* (SHA-1 is not
    the id; "channels reversed" where the reversed order matches), *duplicate pixels*. These are
    notes: *blank* (maximum < 10 or minimum > 245) and *other file*. Pixels are compared with names
    that are a SHA-1; the other names are counted.

    Examples
    --------
    >>> from pcam_sklearn.datasets import AuditReport
    >>> report = AuditReport(Path("data"), {"rows": 0}, ())
    >>> report.ok
    True
    >>> print(report.summary())
    Audit of data
      rows                            0
    Found nothing wrong.
    """

    folder: Path
    counts: dict[str, int]
    findings: tuple[Finding, ...] = field(repr=False)

    @property
    def ok(self) -> bool:
        """True if all findings are notes."""
        return not any(finding.kind in DAMAGE for finding in self.findings)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per finding.

        Returns
        -------
        pandas.DataFrame of shape (n_findings, 5)
            The columns ``kind``, ``damage`` (bool: false for a note), ``id``, ``path`` (relative
            to the folder: a file or a table) and ``detail``.
        """
        frame = pd.DataFrame(self.findings, columns=list(Finding._fields))
        frame.insert(1, "damage", frame["kind"].isin(list(DAMAGE)))
        return frame

    def summary(self) -> str:
        """Return the counts, and each kind of finding with its first examples, as text.

        Returns
        -------
        text : str
            Several lines, for people.
        """
        lines = [f"Audit of {self.folder}"]
        lines += [f"  {name:24s}{count:>9,}" for name, count in self.counts.items()]
        kinds = Counter(finding.kind for finding in self.findings)
        for title, meanings in (("Damage", DAMAGE), ("Notes", NOTES)):
            if any(kind in meanings for kind in kinds):
                lines.append(f"{title}:")
            for kind, meaning in meanings.items():
                if kinds[kind]:
                    lines.append(f"  {kind:24s}{kinds[kind]:>9,}  {meaning}")
                    lines += self._list_examples(kind)
        return "\n".join([*lines, "Found nothing wrong." if self.ok else "Found damage."])

    def __str__(self) -> str:
        return self.summary()

    def _list_examples(self, kind: str) -> list[str]:
        found = [finding for finding in self.findings if finding.kind == kind]
        lines = [f"    {finding.path}: {finding.detail}" for finding in found[:_EXAMPLES]]
        if len(found) > _EXAMPLES:
            lines.append(f"    and {len(found) - _EXAMPLES:,} more")
        return lines

"""Damaged tables of labels and slides, against a plain reading by the standard library."""

import csv
import io
import math
from functools import cache
from pathlib import Path

from damage import damage_bytes
from outcomes import ELSE, ERROR, RIGHT, outcome_of_error

from pcam_sklearn.datasets import audit_patches, load_kaggle

COUNT = 4_200
DATA = Path(__file__).parents[2] / "tests" / "data"
N = 12
NO_SLIDE = {"", "nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none"}


def run(case, rng, folder):
    """Damage one of two tables, load the folder, compare, and ask the audit what it thinks."""
    ids, tables = make_tables(rng)
    (folder / "train").mkdir()
    for id_, source in zip(ids, patches(), strict=True):
        (folder / "train" / f"{id_}.tif").symlink_to(source)
    damaged = str(rng.choice(["train_labels.csv", "slides.csv"]))
    sort = "whole"
    if case % 8:
        sort, tables[damaged] = DAMAGES[case % len(DAMAGES)](tables[damaged], rng)
    for name, content in tables.items():
        (folder / name).write_bytes(content)
    outcome, detail = load(folder, tables, damaged)
    if outcome != RIGHT and not case % 8:
        return f"{damaged}, {sort}", ELSE, f"a whole table: {detail}"
    if outcome == ERROR and passes_audit(folder):
        return f"{damaged}, {sort}", ELSE, f"the audit finds nothing: {detail}"
    return f"{damaged}, {sort}", outcome, detail


def load(folder, tables, damaged):
    try:
        data = load_kaggle(folder)
    except Exception as error:
        outcome, detail = outcome_of_error(error, folder / damaged)
        # Patches without a file are missed in their folder.
        if outcome == ELSE and f"{folder / 'train'}" in str(error):
            outcome = ERROR
        return outcome, detail
    found = list(zip(data.ids.tolist(), data.target.tolist(), data.groups.tolist(), strict=True))
    try:
        expected = read_plainly(tables)
    except (KeyError, ValueError, AttributeError, csv.Error) as error:
        expected = f"not read plainly: {error!r}"
    return (RIGHT, "") if found == expected else (ELSE, f"{found[:2]} {str(expected)[:80]}")


def passes_audit(folder):
    try:
        return audit_patches(folder, progress=False).ok
    except (ValueError, OSError):
        return False


def read_plainly(tables):
    """Return (id, label, slide) of each row of the labels, by Python's csv module."""
    labels, slides = (read_rows(tables[name]) for name in ("train_labels.csv", "slides.csv"))
    named = [(row["id"], (row["slide"] or "").strip()) for row in slides]
    slide_of = {id_: slide for id_, slide in named if slide.lower() not in NO_SLIDE}
    return [(row["id"], to_label(row["label"]), slide_of[row["id"]]) for row in labels]


def read_rows(content):
    text = io.StringIO(content.decode("utf-8-sig").lstrip("\r\n"), newline="")
    return [row for row in csv.DictReader(text) if any(row.values())]


def to_label(text):
    value = float(text)
    return int(value) if value in (0, 1) and not math.isnan(value) else text


def make_tables(rng):
    """Return ids and the content of both tables, as several programs write them."""
    if rng.random() < 0.5:
        ids = [path.stem for path in patches()]
    else:
        ids = [f"{rng.choice(['p', '00', 'NA', '1e', 'x-'])}{i}" for i in range(N)]
    labels = ["id,label", *(f"{id_},{rng.integers(2)}" for id_ in ids)]
    slides = ["id,slide", *(f"{id_},slide {rng.integers(4)}" for id_ in rng.permutation(ids))]
    end = str(rng.choice(["\n", "\r\n"]))
    mark = b"\xef\xbb\xbf" if rng.random() < 0.2 else b""
    content = [mark + (end.join(lines) + end).encode() for lines in (labels, slides)]
    return ids, dict(zip(("train_labels.csv", "slides.csv"), content, strict=True))


@cache
def patches():
    return sorted(DATA.glob("train/*.tif"))[:N]


# Damage: each takes the content and returns a name and the damaged content.


def damage_as_bytes(content, rng):
    return damage_bytes(content, rng)


def change_lines(content, rng):
    lines = content.split(b"\n")
    at, to = (int(rng.integers(len(lines))) for _ in range(2))
    kind = str(rng.choice(["a line lost", "a line twice", "lines swapped", "a blank line"]))
    if kind == "a line lost":
        del lines[at]
    elif kind == "a line twice":
        lines.insert(to, lines[at])
    elif kind == "lines swapped":
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines.insert(at, b"")
    return kind, b"\n".join(lines)


def change_field(content, rng):
    lines = content.split(b"\n")
    at = int(rng.integers(max(1, len(lines) - 1)))
    fields = lines[at].split(b",")
    field = int(rng.integers(len(fields)))
    value = rng.choice(VALUES)
    fields[field] = value.encode("utf-8", "surrogatepass")
    lines[at] = b",".join(fields)
    return "a field changed", b"\n".join(lines)


def change_shape(content, rng):
    kind = str(rng.choice(["a separator changed", "a column more", "columns swapped", "encoding"]))
    if kind == "a separator changed":
        return kind, content.replace(b",", str(rng.choice([";", "\t", " ", ", ", ",,"])).encode())
    if kind == "a column more":
        lines = content.split(b"\n")
        n = int(rng.integers(len(lines)))
        return kind, b"\n".join([line + b",7" for line in lines[:n]] + lines[n:])
    if kind == "columns swapped":
        lines = [b",".join(line.strip(b"\r").split(b",")[::-1]) for line in content.split(b"\n")]
        return kind, b"\n".join(lines)
    return kind, content.decode("utf-8-sig").encode(str(rng.choice(["utf-16", "utf-32", "cp037"])))


VALUES = [
    "", " ", "NA", "nan", "None", "null", "<NA>", "0", "1", "2", "-1", "0.5", "1.0", "1e0", "01",
    " 1", "1 ", "+1", "True", "yes", "tumor", "inf", "-0", "0x1", "1_0", "\u0661", "\uff11", "1,0",
    '"1"', '"1', "''", "../../secret", "/etc/passwd", "a b", "p1", "p2", "\x00", "\x1b[31m", "#",
    "=1+1", "a" * 300, "1" * 400, "\ufeff", "\u00a0", "p1\r", '"p\n1"',
]  # fmt: skip

DAMAGES = (damage_as_bytes, change_lines, change_field, change_field, change_shape)

"""Feed damaged files to the package: each must be right, or an error that names the file.

    python benchmarks/fuzz --kinds images tables --seed 0 --output benchmarks/results/fuzz.csv

It needs tifffile and imagecodecs, which decode images independently. Case number i of a kind is the
same for a seed in any run. A kind is a module next to this one, named in KINDS, with

- `COUNT`, the number of cases, and
- `run(case, rng, folder)`, which makes a case in an empty folder and returns what it was and an
  outcome of `outcomes.py`.

The table has a row for each kind, sort of case, and outcome, with an example. The command ends with
1 if anything else happened than what is allowed.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from outcomes import ELSE, ORDER
from tqdm import tqdm

KINDS = ("images", "tables")


def main():
    """Run the kinds, write the table of outcomes, and fail if anything else happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--cases", type=int, help="number of cases per kind; default: the kind's")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--minutes", type=float, default=20, help="most time per kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="the CSV file to write")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    getattr(cv2.utils, "logging", cv2).setLogLevel(0)
    silence_libraries()
    rows = [row for kind in arguments.kinds for row in run_kind(kind, arguments)]
    table = summarize(pd.DataFrame(rows))
    print(table.groupby(["kind", "outcome"], sort=False)["cases"].sum().to_string())
    if arguments.output:
        table.to_csv(arguments.output, index=False)
    bad = table[table["outcome"] == ELSE]
    if len(bad):
        sys.exit(f"anything else:\n{bad.to_string()}")


def run_kind(kind, arguments):
    """Yield a row for each case of a kind, until they or the time are used up."""
    module, start = importlib.import_module(kind), time.perf_counter()
    cases = range(arguments.first, arguments.first + (arguments.cases or module.COUNT))
    with tempfile.TemporaryDirectory(prefix="fuzz") as root:
        for case in tqdm(cases, desc=kind, file=sys.stderr, mininterval=10):
            if time.perf_counter() - start > 60 * arguments.minutes:
                print(f"{kind}: stopped by the time after {case - cases[0]:,} cases")
                return
            folder = Path(root, "case")
            folder.mkdir()
            rng = np.random.default_rng([arguments.seed, sum(kind.encode()), case])
            sort, outcome, detail = module.run(case, rng, folder)
            detail = detail.replace(root, "")
            yield {"kind": kind, "sort": sort, "outcome": outcome, "case": case, "example": detail}
            shutil.rmtree(folder)


def silence_libraries():
    """Keep libjpeg's and libtiff's own lines about damage off the screen."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def summarize(rows):
    """Return a row for each kind, sort and outcome."""
    groups = rows.groupby(["kind", "sort", "outcome"], sort=False)
    table = groups.agg(cases=("case", "size"), first_case=("case", "first"))
    table["example"] = groups["example"].first().str.slice(0, 160)
    table = table.reset_index()
    rank = table["outcome"].map(ORDER.index)
    return table.assign(rank=rank).sort_values(["kind", "sort", "rank"]).drop(columns="rank")


if __name__ == "__main__":
    main()

"""Measure the peak memory of a fit and a prediction on 220,025 patches.

    python benchmarks/memory.py FOLDER

The patches come from a memory map and from paths. FOLDER is in Kaggle's layout; its files are
repeated until there are enough. Each case runs in its own process, because a process cannot reset
its peak. The peak counts only the memory on top of the imported libraries. The script prints a
table and writes benchmarks/results/memory.csv.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parent / "results" / "memory.csv"
# The network is small, so that the peak shows the patches and not the training.
CASE = """
import resource, sys, time
from pathlib import Path
import numpy as np, tensorflow
from pcam_sklearn import make_pcam_pipeline
source, work, folder, crop_size = sys.argv[1:]
n = 220_025
if source == "memory map":
    # A sparse file takes no space on the disk, and reads as zeros.
    open(f"{work}/sparse.bin", "wb").truncate(n * 96 * 96 * 3)
    X = np.memmap(f"{work}/sparse.bin", dtype=np.uint8, mode="r", shape=(n, 96, 96, 3))
else:
    files = sorted(map(str, Path(folder, "train").glob("*.tif")))
    X = np.resize(files, n)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
before = peak()
pipeline = make_pcam_pipeline(
    int(crop_size), network="notebook", filters=(4, 4, 4), dense_units=4, epochs=1, batch_size=256,
    augment=None, random_state=0,
)
start = time.perf_counter()
pipeline.fit(X, np.arange(n) % 2)
fitted, after_fit = time.perf_counter() - start, peak()
start = time.perf_counter()
pipeline.predict_proba(X[:57_458])
predicted = time.perf_counter() - start
print(after_fit - before, peak() - before, fitted, predicted, sep=",")
"""
COLUMNS = ["peak_fit_mb", "peak_mb", "fit_s", "predict_57458_s"]


def measure(source: str, crop_size: int, folder: Path) -> dict[str, float]:
    """Return the figures of one case, run in its own process."""
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-c", CASE, source, work, str(folder), str(crop_size)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures = [round(float(figure), 1) for figure in done.stdout.split(",")]
    return dict(zip(COLUMNS, figures, strict=True))


def main() -> None:
    """Run the cases, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder in Kaggle's layout")
    folder = parser.parse_args().folder.resolve()
    rows = []
    for source in ("memory map", "paths"):
        for crop_size in (32, 96):
            figures = measure(source, crop_size, folder)
            rows.append({"source": source, "crop_size": crop_size, **figures})
            print(rows[-1], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows).assign(machine=platform.machine()).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()

"""Measure what predictions over more views of each patch cost, beside what they bring.

    python benchmarks/views.py [--rounds 5]

It predicts with the model that comes with the package, from patches in memory, and takes the AUC of
the same recipe on slides never seen from what accuracy.py wrote. The settings take turns in rounds.
The script prints the medians, and writes them to benchmarks/results/views.csv.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

# TensorFlow reads this when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

from pcam_sklearn import load_pretrained
from pcam_sklearn.datasets import make_patches

RESULTS = Path(__file__).parent / "results"
# The views, their number, and the column of accuracy.csv.
SETTINGS = [(None, 1, "auc_of_patches"), ("c4", 4, "auc"), ("d4", 8, "auc_of_views")]
REPEATS = {1: 50, 1000: 1}


def measure(pipeline: Any, views: str | None, patches: np.ndarray) -> dict[int, float]:
    """Return the seconds of a prediction by its number of patches: the median of some repeats."""
    pipeline.set_params(cnnclassifier__test_time_augmentation=views)
    seconds = {}
    for n, repeats in REPEATS.items():
        pipeline.predict_proba(patches[:n])  # The first call includes the tracing.
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            pipeline.predict_proba(patches[:n])
            times.append(time.perf_counter() - start)
        seconds[n] = statistics.median(times)
    return seconds


def main() -> None:
    """Measure all settings in turns, print and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = range(parser.parse_args().rounds)
    pipeline = load_pretrained()
    patches = make_patches(1000, random_state=0).images
    found = {views: [] for views, _, _ in SETTINGS}
    for _ in rounds:
        for views, _, _ in SETTINGS:
            found[views].append(measure(pipeline, views, patches))
    fits = pd.read_csv(RESULTS / "accuracy.csv").query("recipe == 'default'")
    rows = [
        {
            "test_time_augmentation": views,
            "views": n_views,
            "auc": round(fits[column].mean(), 4),
            "fits": len(fits),
            "ms_of_1": round(1e3 * statistics.median(s[1] for s in found[views]), 1),
            "patches_per_s": round(1000 / statistics.median(s[1000] for s in found[views])),
        }
        for views, n_views, column in SETTINGS
    ]
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "views.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()

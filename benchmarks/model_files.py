"""Measure model files against joblib and skops: size, time to save, time to load, and scans.

    python benchmarks/model_files.py

Each way saves and loads a pipeline of `residual` in turn, with the network alone built between, so
that all see the same load of the machine. Times are medians. Each figure has the middle half of
its repetitions behind it. joblib and skops keep the optimizer's state, which takes two thirds of
their files; ".pcam with optimizer" does so too. Scanners are those found among picklescan and
modelscan. The script prints a table and writes benchmarks/results/model_files.csv and
model_files_scans.csv.
"""

import argparse
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from pcam_sklearn import CNNClassifier, make_pcam_pipeline
from pcam_sklearn.persistence import TRUSTED_TYPES, load_model, save_model

RESULTS = Path(__file__).parent / "results"


def ways(folder, pipeline):
    """Return path, save and load of each way."""
    plain, whole = folder / "model.pcam", folder / "optimizer.pcam"
    pickled, skopsed = folder / "model.joblib", folder / "model.skops"
    found = {
        ".pcam": (plain, lambda: save_model(pipeline, plain), lambda: load_model(plain)),
        ".pcam with optimizer": (
            whole,
            lambda: save_model(pipeline, whole, include_optimizer=True),
            lambda: load_model(whole),
        ),
        "joblib": (
            pickled,
            lambda: joblib.dump(pipeline, pickled),
            lambda: joblib.load(pickled),
        ),
    }
    if importlib.util.find_spec("skops"):
        import skops.io

        found["skops"] = (
            skopsed,
            lambda: skops.io.dump(pipeline, skopsed),
            lambda: skops.io.load(skopsed, trusted=TRUSTED_TYPES),
        )
    return found


def timed(call):
    """Return the milliseconds of a call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def measure(pipeline, folder, repeat):
    """Return a row for each way, with times over `repeat` rounds."""
    found = ways(folder, pipeline)
    blueprint = pipeline[-1].trainer_.blueprint
    weights = sum(np.asarray(v).nbytes for v in pipeline[-1].model_.variables)
    saves, loads = {name: [] for name in found}, {name: [] for name in found}
    builds = []
    for number in range(repeat + 1):
        builds.append(timed(lambda: blueprint.build_network(CNNClassifier)))
        for name, (_, save, load) in found.items():
            saves[name].append(timed(save))
            loads[name].append(timed(load))
        if number == 0:  # The first round imports and compiles.
            builds.clear()
            for times in (*saves.values(), *loads.values()):
                times.clear()
    build = statistics.median(builds)
    return [
        {
            "way": name,
            "bytes": os.path.getsize(path),
            "size_by_weights": round(os.path.getsize(path) / weights, 3),
            **spread("save", saves[name]),
            **spread("load", loads[name]),
            **spread("build", builds),
            "load_by_build": round(statistics.median(loads[name]) / build, 2),
        }
        for name, (path, _, _) in found.items()
    ]


def spread(name, times):
    """Return the median of some times, and the quarters around it."""
    low, middle, high = statistics.quantiles(times, n=4)
    return {f"{name}_ms": middle, f"{name}_low_ms": low, f"{name}_high_ms": high}


class Hostile:
    """An object that runs a command when it is unpickled: scanners must find this one."""

    def __reduce__(self):
        return os.system, ("true",)


def scan(folder):
    """Return the verdict of each scanner on a model file, its members, and a hostile pickle."""
    joblib.dump(Hostile(), folder / "hostile.pkl")
    # Scanners go by the ending, so they get the file under that of any zip, and unpacked, too.
    shutil.copy(folder / "model.pcam", folder / "model.zip")
    shutil.unpack_archive(folder / "model.zip", folder / "unpacked")
    rows = []
    for scanner in filter(shutil.which, ("picklescan", "modelscan")):
        for name in ("model.pcam", "model.zip", "unpacked", "model.skops", "hostile.pkl"):
            command = [scanner, "-p", str(folder / name)]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = [line.strip(" -") for line in done.stdout.splitlines()]
            said = "; ".join(line for line in lines if line.startswith(SAID))
            rows.append({"scanner": scanner, "file": name, "exit": done.returncode, "says": said})
    return rows


SAID = (
    "Scanned files",
    "Infected files",
    "Dangerous globals",
    "No issues",
    "Total Issues",
    "Total Sk",
)


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15)
    repeat = parser.parse_args().repeat
    X = np.random.default_rng(0).integers(0, 256, (64, 96, 96, 3), dtype=np.uint8)
    pipeline = make_pcam_pipeline(network="residual", epochs=1, random_state=0)
    pipeline.fit(X, np.arange(64) % 2)
    with tempfile.TemporaryDirectory() as name:
        rows = measure(pipeline, Path(name), repeat)
        scans = scan(Path(name))
    table = pd.DataFrame(rows).round(1).assign(machine=platform.machine())
    print(table.T.to_string())
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "model_files.csv", index=False)
    if scans:
        print(pd.DataFrame(scans).to_string())
        pd.DataFrame(scans).to_csv(RESULTS / "model_files_scans.csv", index=False)


if __name__ == "__main__":
    main()

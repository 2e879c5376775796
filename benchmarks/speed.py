"""How fast the classifier fits and predicts, beside its peers and the arithmetic floor.

    python benchmarks/speed.py [--rounds 5] [--large 200000] [--parts fit import ...] [--output CSV]

Needs ``pip install -e ".[bench]"``. Everything is the notebook's network on 32 x 32 pixels. What is
compared takes turns in one run, each library in a process of its own; the medians over the rounds,
and those of the ratios within a round with the least and the most, are printed, and written to
benchmarks/results/speed.csv, or another file, part by part. The floor is the network's arithmetic
at the rate of a large matrix product measured in the same round. What is not measured again stays
in the file.
"""

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import joblib
import numpy as np
import pandas as pd
import psutil
from keras.callbacks import LambdaCallback
from peers import PEERS, TRAIN, Process, make_data, make_pipeline
from sklearn.model_selection import GridSearchCV

from pcam_sklearn import CenterCropNormalizer, PatchReader

RESULTS = Path(__file__).parent / "results" / "speed.csv"
FORWARD, TRAINING = 10.7e6, 30.4e6  # operations of the notebook's network for one patch
FITS = (3, 10)  # epochs
PREDICTIONS = {1: 101, 100: 15, 20_000: 1, 60_000: 1}  # patches: how often a round
ROWS: list[dict] = []


def matrix_rate() -> float:
    """Return the operations a second of a float32 matrix product on all cores."""
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    return 2 * 2048**3 / min(seconds(lambda: a @ a) for _ in range(5))


def seconds(job: Callable[[], object]) -> float:
    """Return the seconds that a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def compare(
    what: str, timers: dict[str, Callable[[], float]], n: int, rounds: int, flops: float = 0
) -> None:
    """Let all take turns, and note each one beside the first and beside the floor.

    Each round begins with another one.
    """
    for timer in timers.values():
        timer()
    names = list(timers)
    times: dict[str, list[float]] = {name: [] for name in names}
    floors: list[float] = []
    for _ in range(rounds):
        if flops:
            floors.append(flops * n / matrix_rate())
            time.sleep(1)  # NumPy's threads go on turning for a while.
        for name in names:
            times[name].append(timers[name]())
        names = [*names[1:], names[0]]
    ours = next(iter(times.values()))
    for name, taken in times.items():
        note(what, name, n, taken, ours, floors)


def note(
    what: str,
    who: str,
    n: int,
    times: Sequence[float],
    ours: Sequence[float],
    floors: Sequence[float] = (),
) -> None:
    """Add a row to the table and print it; times, ours and floors are seconds, one a round."""
    median = statistics.median(times)
    ratios = [time / our for time, our in zip(times, ours, strict=True)]
    row = {
        "what": what,
        "who": who,
        "n": n,
        "seconds": float(f"{median:.4g}"),
        "us_per_patch": float(f"{1e6 * median / n:.4g}"),
        "times_ours": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
        "rounds": len(times),
    }
    if floors:
        over = statistics.median(time / floor for time, floor in zip(times, floors, strict=True))
        row["times_floor"] = round(over, 2)
    ROWS.append(row)
    span = f"{row['times_ours']:>9} ({row['least']} to {row['most']})"
    print(f"{what:36s}{who:36s}{n:>7d}{median:>11.4g} s{span}", flush=True)


def fits(rounds: int) -> None:
    """Compare fits at the notebook's batch size, short ones and of the notebook's 10 epochs."""
    peers = {name: Process(name) for name in PEERS if name != "OnnxRuntime"}
    for epochs in FITS:
        timers = {
            name: (lambda peer=peer, epochs=epochs: peer.seconds("fit", epochs))
            for name, peer in peers.items()
        }
        timers["PlainKeras, 16 steps a call"] = lambda epochs=epochs: peers["PlainKeras"].seconds(
            "fit", epochs, 16
        )
        compare(f"fit, batch 32, {epochs} epochs", timers, epochs * TRAIN, rounds, TRAINING)
    for peer in peers.values():
        peer.close()


def predictions(rounds: int) -> None:
    """Compare predictions, from a single patch to many."""
    peers = {name: Process(name) for name in PEERS}
    for peer in peers.values():
        peer.seconds("fit", 1)
    for n, times in PREDICTIONS.items():

        def timer(name: str, *command: Any, n: int = n, times: int = times) -> Callable:
            method, *batch = command or ("predict",)
            return lambda: statistics.median(
                peers[name].seconds(method, n, *batch) for _ in range(times)
            )

        timers = {name: timer(name) for name in PEERS}
        for method in ("predict", "predict_on_batch"):
            for batch in (256, 1024):
                timers[f"PlainKeras, {method}, {batch}"] = timer("PlainKeras", method, batch)
        compare("predict", timers, n, rounds, FORWARD)
    for peer in peers.values():
        peer.close()


def imports(rounds: int) -> None:
    """Compare the import with that of what any scikit-learn program imports anyway."""

    def run(code: str) -> Callable[[], float]:
        return lambda: seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    codes = ("pcam_sklearn, sklearn, numpy", "sklearn, numpy", "scikeras.wrappers")
    compare("import", {code: run(f"import {code}") for code in codes}, 1, rounds)


def steps_before(rounds: int) -> None:
    """Compare reading and normalizing with OpenCV and NumPy.

    The files are not laid out as Kaggle's are: `PatchReader` leaves them to OpenCV. data.py reads
    those.
    """
    X = np.random.default_rng(0).integers(0, 256, (1000, 96, 96, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{i}.tif" for i in range(len(X))]
        for path, patch in zip(paths, X, strict=True):
            cv2.imwrite(path, patch, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        jobs = {
            "PatchReader": lambda: PatchReader().transform(paths),
            "cv2.imread, to RGB": lambda: [
                cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in paths
            ],
        }
        timed = {who: (lambda job=job: seconds(job)) for who, job in jobs.items()}
        compare("read", timed, len(X), rounds)
    jobs = {
        "CenterCropNormalizer, float32": lambda: CenterCropNormalizer().transform(X),
        "NumPy, float32": lambda: X[:, 32:64, 32:64] / np.float32(255),
        "CenterCropNormalizer, uint8": lambda: CenterCropNormalizer(dtype="uint8").transform(X),
    }
    timed = {who: (lambda job=job: seconds(job)) for who, job in jobs.items()}
    compare("transform", timed, len(X), rounds)


def saving(rounds: int) -> None:
    """Time the way to a file and back, beside Keras' own."""
    import keras

    X, y = make_data(640)
    pipeline = make_pipeline(epochs=1).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = f"{folder}/model.joblib", f"{folder}/model.keras"
        jobs = {
            "save": (
                lambda: joblib.dump(pipeline, ours),
                lambda: pipeline[-1].model_.save(theirs),
            ),
            "load": (lambda: joblib.load(ours), lambda: keras.models.load_model(theirs)),
        }
        for what, (job, other) in jobs.items():
            timers = {
                "joblib, the pipeline": lambda job=job: seconds(job),
                "Keras, the network": lambda other=other: seconds(other),
            }
            compare(what, timers, 1, rounds)


def searches() -> None:
    """Follow memory and time over 20 fits and predictions; set a search beside its parts."""
    X, y = make_data(3200)
    process, memory, taken = psutil.Process(), [], []
    for _ in range(25):
        pipeline = make_pipeline(epochs=1)
        taken.append(seconds(lambda pipeline=pipeline: pipeline.fit(X, y)))
        pipeline.predict_proba(X)
        del pipeline
        gc.collect()
        memory.append(process.memory_info().rss / 2**20)
    slope = np.polyfit(np.arange(20), memory[5:], 1)[0]
    print(f"memory grows by {slope:.2f} MB a fit and prediction, over 20 of them")
    ROWS.append({"what": "memory a fit and prediction, in MB", "who": "slope over 20", "n": 20})
    ROWS[-1] |= {"seconds": round(slope, 3)}
    first, last = taken[5:10], taken[-5:]
    base = [statistics.median(first)] * 5
    note("fits 6 to 10 of 25", "PcamSklearn", 3200, first, base)
    note("fits 21 to 25 of 25", "PcamSklearn", 3200, last, base)
    for jobs in (1, 2):
        search = GridSearchCV(
            make_pipeline(epochs=3), {"cnnclassifier__dropout": [0.2, 0.5, 0.7]},
            scoring="roc_auc", cv=3, refit=False, n_jobs=jobs,
        )  # fmt: skip
        wall = seconds(lambda search=search: search.fit(X, y))
        results = search.cv_results_
        parts = 3 * (results["mean_fit_time"] + results["mean_score_time"]).sum()
        note(f"GridSearchCV of 9 fits, n_jobs={jobs}", "wall time", 9, [wall], [wall])
        note(f"GridSearchCV of 9 fits, n_jobs={jobs}", "sum of its parts", 9, [parts], [wall])


def searching_files(rounds: int) -> None:
    """Compare the ways to keep a search from reading its files for each candidate."""
    X, y = make_data(2000)
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{i}.png" for i in range(len(X))]
        for path, patch in zip(paths, X, strict=True):
            cv2.imwrite(path, cv2.resize(patch, (96, 96)))

        def search(X: object, memory: str | None = None) -> None:
            pipeline = make_pipeline(epochs=1, memory=memory)
            grid = {"cnnclassifier__dropout": [0.2, 0.4, 0.6, 0.8]}
            settings = {"scoring": "roc_auc", "cv": 3, "refit": False}
            GridSearchCV(pipeline, grid, **settings).fit(X, y)

        def with_memory() -> None:
            with tempfile.TemporaryDirectory() as cache:
                search(paths, cache)

        jobs = {
            "files, for each candidate": lambda: search(paths),
            "files, memory=": with_memory,
            "files, read first": lambda: search(PatchReader(in_memory=True).transform(paths)),
        }
        timers = {who: (lambda job=job: seconds(job)) for who, job in jobs.items()}
        compare("GridSearchCV of 12 fits", timers, 12, rounds)


def growth(rounds: int, n_large: int) -> None:
    """Show what a patch costs to fit and to predict as there are more of them."""
    X, y = make_data(n_large)
    pipeline = make_pipeline(epochs=1).fit(X[:640], y[:640])
    sizes = (1000, 10_000, 50_000, n_large)
    fit: dict[int, list[float]] = {n: [] for n in sizes}
    epoch: dict[int, list[float]] = {n: [] for n in sizes}
    predict: dict[int, list[float]] = {n: [] for n in sizes}
    for _ in range(rounds):
        for n in sizes:
            ends: list[float] = []
            clock = LambdaCallback(on_epoch_end=lambda *_, e=ends: e.append(time.perf_counter()))
            two_epochs = make_pipeline(epochs=2, callbacks=[clock])
            fit[n].append(seconds(lambda n=n, p=two_epochs: p.fit(X[:n], y[:n])))
            epoch[n].append(ends[1] - ends[0])
            predict[n].append(seconds(lambda n=n: pipeline.predict_proba(X[:n])))
    parts = {"fit of 2 epochs": fit, "an epoch after the first": epoch, "predict": predict}
    for what, times in parts.items():
        for n, taken in times.items():
            as_many = [n / 10_000 * seconds for seconds in times[10_000]]
            note(f"growth: {what}", "a patch, to that of 10,000", n, taken, as_many)


def write(path: Path) -> None:
    """Write what was measured so far, in the place of what was known of it."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    machine = f"{os.cpu_count()} cores, {cpu_model()}, {backend}"
    path.parent.mkdir(exist_ok=True)
    table = pd.DataFrame(ROWS).assign(machine=machine)
    if path.exists():
        known = pd.read_csv(path)
        table = pd.concat([known[~known["what"].isin(table["what"])], table])
    table.astype({"rounds": "Int64"}).to_csv(path, index=False)


def cpu_model() -> str:
    """Return the processor's name where the system tells, its architecture elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=200_000)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for name in arguments.parts:
        PARTS[name](arguments.rounds, arguments.large)
        write(arguments.output)


# By rounds, and by how many patches there are at most.
PARTS: dict[str, Callable[[int, int], None]] = {
    "import": lambda rounds, large: imports(rounds),
    "fit": lambda rounds, large: fits(rounds),
    "predict": lambda rounds, large: predictions(rounds),
    "read": lambda rounds, large: steps_before(rounds),
    "save": lambda rounds, large: saving(rounds),
    "search": lambda rounds, large: searches(),
    "search-files": lambda rounds, large: searching_files(max(1, rounds // 2)),
    "growth": growth,
}


if __name__ == "__main__":
    main()

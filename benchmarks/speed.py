"""Measure how fast the classifier fits and predicts, compared with other libraries.

    python benchmarks/speed.py [--rounds 5] [--large 200000] [--parts fit import ...] [--output CSV]

Install the other libraries first: ``pip install -e ".[bench]"``. All of them run the notebook's
network on 32 x 32 pixels, each in its own process, and take turns in rounds. The floor is the time
of the network's arithmetic at the rate of a large matrix product, measured in the same round.

After each part the script prints the medians over the rounds, and the median, smallest and largest
ratio within a round. It writes them to benchmarks/results/speed.csv, or to the file that you name.
Results that are not measured again stay in that file.
"""

import argparse
import functools
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

# TensorFlow reads this when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import joblib
import numpy as np
import pandas as pd
from keras.callbacks import LambdaCallback
from peers import PEERS, TRAIN, Process, make_data, make_pipeline
from sklearn.model_selection import GridSearchCV

from pcam_sklearn import CenterCropNormalizer, PatchReader

RESULTS = Path(__file__).parent / "results" / "speed.csv"
# Operations of the notebook's network per patch: a forward pass, and a training step.
FORWARD, TRAINING = 10.7e6, 30.4e6
FIT_EPOCHS = (3, 10)
# How often a round predicts each number of patches: short predictions vary more.
PREDICTIONS = {1: 101, 100: 15, 20_000: 1, 60_000: 1}
ROWS: list[dict] = []
Job = Callable[[], object]
Timer = Callable[[], float]


def matrix_rate() -> float:
    """Return the operations per second of a float32 matrix product on all cores."""
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    return 2 * 2048**3 / min(seconds(lambda: a @ a) for _ in range(5))


def seconds(job: Job) -> float:
    """Return the seconds that a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def time_jobs(jobs: dict[str, Job]) -> dict[str, Timer]:
    """Return a function per job that runs it and returns its seconds."""
    return {name: functools.partial(seconds, job) for name, job in jobs.items()}


def compare(what: str, timers: dict[str, Timer], n: int, rounds: int, flops: float = 0) -> None:
    """Run all timers in turns, and note each one's ratio to the first one and to the floor."""
    for timer in timers.values():
        timer()  # The first call compiles and warms caches.
    names = list(timers)
    times: dict[str, list[float]] = {name: [] for name in names}
    floors: list[float] = []
    for _ in range(rounds):
        if flops:
            floors.append(flops * n / matrix_rate())
            time.sleep(1)  # NumPy's threads stay busy for a while.
        for name in names:
            times[name].append(timers[name]())
        names = [*names[1:], names[0]]  # Each round starts with another one.
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
    """Add a row to the table and print it; all times are in seconds, one per round."""
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
        over_floor = [time / floor for time, floor in zip(times, floors, strict=True)]
        row["times_floor"] = round(statistics.median(over_floor), 2)
    ROWS.append(row)
    span = f"{row['times_ours']:>9} ({row['least']} to {row['most']})"
    print(f"{what:36s}{who:36s}{n:>7d}{median:>11.4g} s{span}", flush=True)


def compare_fits(rounds: int) -> None:
    """Compare short fits and fits of the notebook's 10 epochs, at its batch size."""
    peers = {name: Process(name) for name in PEERS if name != "OnnxRuntime"}
    for epochs in FIT_EPOCHS:
        timers: dict[str, Timer] = {
            name: functools.partial(peer.seconds, "fit", epochs) for name, peer in peers.items()
        }
        keras_in_steps = functools.partial(peers["PlainKeras"].seconds, "fit", epochs, 16)
        timers["PlainKeras, 16 steps a call"] = keras_in_steps
        compare(f"fit, batch 32, {epochs} epochs", timers, epochs * TRAIN, rounds, TRAINING)
    for peer in peers.values():
        peer.close()


def compare_predictions(rounds: int) -> None:
    """Compare predictions of a single patch, and of many."""
    peers = {name: Process(name) for name in PEERS}
    for peer in peers.values():
        peer.seconds("fit", 1)

    def timer(repeats: int, name: str, method: str, *numbers: int) -> Timer:
        peer = peers[name]
        return lambda: statistics.median(peer.seconds(method, *numbers) for _ in range(repeats))

    for n, repeats in PREDICTIONS.items():
        timers = {name: timer(repeats, name, "predict", n) for name in PEERS}
        for method in ("predict", "predict_on_batch"):
            for batch in (256, 1024):
                label = f"PlainKeras, {method}, {batch}"
                timers[label] = timer(repeats, "PlainKeras", method, n, batch)
        compare("predict", timers, n, rounds, FORWARD)
    for peer in peers.values():
        peer.close()


def compare_imports(rounds: int) -> None:
    """Compare the import with the imports of any scikit-learn program."""
    modules = ("pcam_sklearn, sklearn, numpy", "sklearn, numpy", "scikeras.wrappers")
    commands = {names: [sys.executable, "-c", f"import {names}"] for names in modules}
    jobs = {
        names: functools.partial(subprocess.run, command, check=True)
        for names, command in commands.items()
    }
    compare("import", time_jobs(jobs), 1, rounds)


def compare_preprocessing(rounds: int) -> None:
    """Compare reading and normalizing with OpenCV and NumPy.

    OpenCV writes another layout than Kaggle's, so `PatchReader` reads these files with OpenCV.
    `data.py` measures Kaggle's layout.
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
        compare("read", time_jobs(jobs), len(X), rounds)
    jobs = {
        "CenterCropNormalizer, float32": lambda: CenterCropNormalizer().transform(X),
        "NumPy, float32": lambda: X[:, 32:64, 32:64] / np.float32(255),
        "CenterCropNormalizer, uint8": lambda: CenterCropNormalizer(dtype="uint8").transform(X),
    }
    compare("transform", time_jobs(jobs), len(X), rounds)


def compare_saving(rounds: int) -> None:
    """Compare saving and loading the pipeline with Keras' saving and loading of the network."""
    import keras

    X, y = make_data(640)
    pipeline = make_pipeline(epochs=1).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = f"{folder}/model.joblib", f"{folder}/model.keras"
        save = {
            "joblib, the pipeline": lambda: joblib.dump(pipeline, ours),
            "Keras, the network": lambda: pipeline[-1].model_.save(theirs),
        }
        load = {
            "joblib, the pipeline": lambda: joblib.load(ours),
            "Keras, the network": lambda: keras.models.load_model(theirs),
        }
        compare("save", time_jobs(save), 1, rounds)
        compare("load", time_jobs(load), 1, rounds)


def measure_searches() -> None:
    """Follow memory and time over many fits, and compare a search with its parts."""
    X, y = make_data(3200)
    follow_fits(X, y)
    for n_jobs in (1, 2):
        search = GridSearchCV(
            make_pipeline(epochs=3), {"cnnclassifier__dropout": [0.2, 0.5, 0.7]},
            scoring="roc_auc", cv=3, refit=False, n_jobs=n_jobs,
        )  # fmt: skip
        wall = seconds(functools.partial(search.fit, X, y))
        results = search.cv_results_
        parts = 3 * (results["mean_fit_time"] + results["mean_score_time"]).sum()
        note(f"GridSearchCV of 9 fits, n_jobs={n_jobs}", "wall time", 9, [wall], [wall])
        note(f"GridSearchCV of 9 fits, n_jobs={n_jobs}", "sum of its parts", 9, [parts], [wall])


def follow_fits(X: np.ndarray, y: np.ndarray) -> None:
    """Measure how memory and time change over 25 fits and predictions, without the first 5."""
    import psutil  # No other part needs it.

    process, memory, times = psutil.Process(), [], []
    for _ in range(25):
        pipeline = make_pipeline(epochs=1)
        times.append(seconds(functools.partial(pipeline.fit, X, y)))
        pipeline.predict_proba(X)
        del pipeline
        gc.collect()
        memory.append(process.memory_info().rss / 2**20)
    slope = np.polyfit(np.arange(20), memory[5:], 1)[0]
    print(f"memory grows by {slope:.2f} MB per fit and prediction, over 20 of them")
    ROWS.append({"what": "memory a fit and prediction, in MB", "who": "slope over 20", "n": 20})
    ROWS[-1] |= {"seconds": round(slope, 3)}
    first, last = times[5:10], times[-5:]
    baseline = [statistics.median(first)] * 5
    note("fits 6 to 10 of 25", "PcamSklearn", 3200, first, baseline)
    note("fits 21 to 25 of 25", "PcamSklearn", 3200, last, baseline)


def compare_searches_of_files(rounds: int) -> None:
    """Compare the ways to keep a search from reading all files for each candidate."""
    X, y = make_data(2000)
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{i}.png" for i in range(len(X))]
        for path, patch in zip(paths, X, strict=True):
            cv2.imwrite(path, cv2.resize(patch, (96, 96)))

        def search(X: object, memory: str | None = None) -> None:
            pipeline = make_pipeline(epochs=1, memory=memory)
            grid = {"cnnclassifier__dropout": [0.2, 0.4, 0.6, 0.8]}
            GridSearchCV(pipeline, grid, scoring="roc_auc", cv=3, refit=False).fit(X, y)

        def search_with_memory() -> None:
            with tempfile.TemporaryDirectory() as cache:
                search(paths, cache)

        jobs = {
            "files, for each candidate": lambda: search(paths),
            "files, memory=": search_with_memory,
            "files, read first": lambda: search(PatchReader(in_memory=True).transform(paths)),
        }
        compare("GridSearchCV of 12 fits", time_jobs(jobs), 12, rounds)


def measure_growth(rounds: int, n_large: int) -> None:
    """Measure how the time per patch of a fit and a prediction changes with their number."""
    X, y = make_data(n_large)
    pipeline = make_pipeline(epochs=1).fit(X[:640], y[:640])
    sizes = (1000, 10_000, 50_000, n_large)
    parts = ("fit of 2 epochs", "an epoch after the first", "predict")
    times: dict[str, dict[int, list[float]]] = {part: {n: [] for n in sizes} for part in parts}
    for _ in range(rounds):
        for n in sizes:
            taken = (
                *time_two_epochs(X[:n], y[:n]),
                seconds(lambda n=n: pipeline.predict_proba(X[:n])),
            )
            for part, part_seconds in zip(parts, taken, strict=True):
                times[part][n].append(part_seconds)
    for part, times_of_part in times.items():
        for n, taken in times_of_part.items():
            # The time that n patches would take if each took as long as one of 10,000.
            in_proportion = [n / 10_000 * time for time in times_of_part[10_000]]
            note(f"growth: {part}", "a patch, to that of 10,000", n, taken, in_proportion)


def time_two_epochs(X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the seconds of a fit of two epochs, and of its second epoch."""
    ends: list[float] = []
    clock = LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    pipeline = make_pipeline(epochs=2, callbacks=[clock])
    fit_seconds = seconds(lambda: pipeline.fit(X, y))
    return fit_seconds, ends[1] - ends[0]


def write(path: Path) -> None:
    """Write all results so far; they replace older ones of the same name in the file."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    machine = f"{os.cpu_count()} cores, {cpu_model()}, {backend}"
    path.parent.mkdir(exist_ok=True)
    table = pd.DataFrame(ROWS).assign(machine=machine)
    if path.exists():
        older = pd.read_csv(path)
        table = pd.concat([older[~older["what"].isin(table["what"])], table])
    table.astype({"rounds": "Int64"}).to_csv(path, index=False)


def cpu_model() -> str:
    """Return the name of the processor if the system tells it, otherwise its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


# Each part takes the number of rounds and the largest number of patches.
PARTS: dict[str, Callable[[int, int], None]] = {
    "import": lambda rounds, large: compare_imports(rounds),
    "fit": lambda rounds, large: compare_fits(rounds),
    "predict": lambda rounds, large: compare_predictions(rounds),
    "read": lambda rounds, large: compare_preprocessing(rounds),
    "save": lambda rounds, large: compare_saving(rounds),
    "search": lambda rounds, large: measure_searches(),
    "search-files": lambda rounds, large: compare_searches_of_files(max(1, rounds // 2)),
    "growth": measure_growth,
}


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds per part (default: 5)")
    parser.add_argument(
        "--large", type=int, default=200_000, help="patches of the largest fit (default: 200000)"
    )
    parser.add_argument(
        "--parts", nargs="*", choices=PARTS, default=list(PARTS), help="parts (default: all)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS,
        help="CSV file to write (default: results/speed.csv)",
    )
    arguments = parser.parse_args()
    for name in arguments.parts:
        PARTS[name](arguments.rounds, arguments.large)
        write(arguments.output)


if __name__ == "__main__":
    main()

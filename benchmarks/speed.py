"""How fast the classifier fits and predicts, beside its peers and the arithmetic floor.

    python benchmarks/speed.py [--rounds 5] [--large 200000]

Needs ``pip install -e ".[bench]"``. Everything is the notebook's network on 32 x 32 pixels. Each
row is measured in turn with what it is compared with; medians over the rounds are printed and
written to benchmarks/results/speed.csv. The floor is the network's arithmetic at the rate of a
large matrix product measured in the same run.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import joblib
import keras
import numpy as np
import onnxruntime
import pandas as pd
import psutil
import scikeras.wrappers
import skorch
import torch
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from pcam_sklearn import CNNClassifier, make_pcam_pipeline
from pcam_sklearn.networks import notebook

RESULTS = Path(__file__).parent / "results" / "speed.csv"
FORWARD_FLOPS = 10.7e6  # of the notebook's network for one patch; with the backward pass 30.4e6
TRAINING_FLOPS = 30.4e6
BATCH, EPOCHS = 32, 3
ROWS: list[dict] = []


def make_data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return patches of noise whose label is the brightness of the center."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    X = rng.integers(0, 200, (n, 32, 32, 3), dtype=np.uint8)
    X[:, 8:24, 8:24] += (y * 20).astype(np.uint8)[:, None, None, None]
    return X, y


def matrix_rate() -> float:
    """Return the operations a second of a float32 matrix product on all cores."""
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    return 2 * 2048**3 / min(seconds(lambda: a @ a) for _ in range(5))


def seconds(job: Callable[[], object]) -> float:
    """Return the seconds that a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def compare(what: str, jobs: dict[str, Callable], n: int, rounds: int, flops: float = 0) -> None:
    """Run the jobs in turn and note each one's median, and the ratio of the others to the first."""
    for job in jobs.values():
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            times[name].append(seconds(job))
    ours = next(iter(times.values()))
    floor = flops * n / matrix_rate() if flops else float("nan")
    for name, taken in times.items():
        median = statistics.median(taken)
        ratio = statistics.median(b / a for a, b in zip(ours, taken, strict=True))
        note(what, name, n, median, ratio, median / floor)


def note(
    what: str, who: str, n: int, median: float, ratio: float, to_floor: float = np.nan
) -> None:
    """Add a row to the table and print it."""
    row = {
        "what": what,
        "who": who,
        "n": n,
        "seconds": round(median, 5),
        "per_second": round(n / median, 1),
        "times_ours": round(ratio, 3),
        "times_floor": round(to_floor, 2),
    }
    ROWS.append(row)
    print(" ".join(f"{value!s:>18s}" for value in row.values()), flush=True)


def plain_keras() -> keras.Model:
    """Return the network compiled as the notebook did."""
    model = notebook((32, 32, 3))
    metrics = ["accuracy", keras.metrics.AUC(name="auc")]
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=metrics)
    return model


def ours(**parameters: object) -> object:
    """Return the pipeline with the notebook's network and no other help."""
    defaults = {"augment": None, "early_stopping": False, "validation_fraction": 0.0}
    settings = {"batch_size": BATCH, "epochs": EPOCHS, "random_state": 0, **defaults}
    return make_pcam_pipeline(network="notebook", **{**settings, **parameters}).set_params(
        centercropnormalizer__input_size=32
    )


def plain_scikeras() -> scikeras.wrappers.KerasClassifier:
    """Return SciKeras with its defaults."""
    return scikeras.wrappers.KerasClassifier(
        model=plain_keras, batch_size=BATCH, epochs=EPOCHS, verbose=0
    )


class TorchNotebook(torch.nn.Module):
    """The notebook's network in PyTorch, ending in a logit."""

    def __init__(self) -> None:
        super().__init__()
        n = torch.nn
        self.layers = n.Sequential(
            n.Conv2d(3, 32, 3), n.ReLU(), n.MaxPool2d(2),
            n.Conv2d(32, 64, 3), n.ReLU(), n.MaxPool2d(2),
            n.Conv2d(64, 128, 3), n.ReLU(),
            n.Flatten(), n.Linear(2048, 128), n.ReLU(), n.Dropout(0.5), n.Linear(128, 1),
        )  # fmt: skip

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return one logit a patch."""
        return self.layers(X)[:, 0]


def plain_skorch() -> skorch.NeuralNetBinaryClassifier:
    """Return skorch on the same network."""
    return skorch.NeuralNetBinaryClassifier(
        TorchNotebook, optimizer=torch.optim.Adam, lr=1e-3, batch_size=BATCH, max_epochs=EPOCHS,
        train_split=None, verbose=0,
    )  # fmt: skip


def onnx_session(model: keras.Model, folder: str) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime on an exported network."""
    path = f"{folder}/notebook.onnx"
    model.export(path, format="onnx", verbose=False)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def fits(rounds: int) -> None:
    """Compare fits at the notebook's batch size."""
    X, y = make_data(6400)
    floats = X.astype(np.float32) / 255
    channels_first = np.ascontiguousarray(floats.transpose(0, 3, 1, 2))
    target = y.astype(np.float32)
    jobs = {
        "pcam_sklearn, whole pipeline": lambda: ours().fit(X, y),
        "plain Keras": lambda: plain_keras().fit(
            floats, target[:, None], batch_size=BATCH, epochs=EPOCHS, verbose=0
        ),
        "SciKeras": lambda: plain_scikeras().fit(floats, y),
        "skorch": lambda: plain_skorch().fit(channels_first, target),
    }
    compare("fit, batch 32, 3 epochs", jobs, EPOCHS * len(X), rounds, TRAINING_FLOPS)


def predictions(rounds: int, n_large: int) -> None:
    """Compare predictions of one patch, a hundred, and many."""
    X, y = make_data(n_large)
    floats = X.astype(np.float32) / 255
    channels_first = np.ascontiguousarray(floats.transpose(0, 3, 1, 2))
    pipeline = ours(epochs=1).fit(X[:640], y[:640])
    network = pipeline[-1].model_
    wrapper = plain_scikeras().set_params(epochs=1).fit(floats[:640], y[:640])
    net = plain_skorch().set_params(max_epochs=1).fit(channels_first[:640], y[:640].astype("f4"))
    with tempfile.TemporaryDirectory() as folder:
        session = onnx_session(network, folder)
        feed = session.get_inputs()[0].name
        for n, repeats in ((1, 50), (100, 20), (20_000, 1), (n_large, 1)):

            def times(job: Callable, repeats: int = repeats) -> Callable:
                return lambda: [job() for _ in range(repeats)]

            jobs = {
                "pcam_sklearn, whole pipeline": times(lambda n=n: pipeline.predict_proba(X[:n])),
                "Keras predict, batch 32": times(
                    lambda n=n: network.predict(floats[:n], verbose=0)
                ),
                "Keras predict, batch 256": times(
                    lambda n=n: network.predict(floats[:n], batch_size=256, verbose=0)
                ),
                "Keras predict, batch 1024": times(
                    lambda n=n: network.predict(floats[:n], batch_size=1024, verbose=0)
                ),
                "SciKeras": times(lambda n=n: wrapper.predict_proba(floats[:n], verbose=0)),
                "skorch": times(lambda n=n: net.predict_proba(channels_first[:n])),
                "ONNX Runtime": times(lambda n=n: session.run(None, {feed: floats[:n]})),
            }
            compare(f"predict {n}", jobs, n * repeats, rounds, FORWARD_FLOPS)


def imports(rounds: int) -> None:
    """Compare the import with that of what any scikit-learn program imports anyway."""

    def run(code: str) -> Callable:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    jobs = {
        "import pcam_sklearn, sklearn, numpy": run("import pcam_sklearn, sklearn, numpy"),
        "import sklearn, numpy": run("import sklearn, numpy"),
        "import scikeras.wrappers": run("import scikeras.wrappers"),
    }
    compare("import", jobs, 1, rounds)


def saving(rounds: int) -> None:
    """Time the way to a file and back."""
    X, y = make_data(640)
    pipeline = ours(epochs=1).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.joblib"
        compare("save", {"joblib.dump": lambda: joblib.dump(pipeline, path)}, 1, rounds)
        compare("load", {"joblib.load": lambda: joblib.load(path)}, 1, rounds)


def searches() -> None:
    """Follow memory and time over 20 fits, and a search's time beside the sum of its parts."""
    X, y = make_data(3200)
    process, memory, taken = psutil.Process(), [], []
    for _ in range(24):
        taken.append(
            seconds(
                lambda: CNNClassifier(
                    network="notebook", augment=None, epochs=1, random_state=0
                ).fit(X, y)
            )
        )
        memory.append(process.memory_info().rss / 2**20)
    slope = np.polyfit(np.arange(20), memory[4:], 1)[0]
    print(
        f"memory grows by {slope:.2f} MB a fit; the first fit took {taken[4]:.2f} s, "
        f"the last one {taken[-1]:.2f} s"
    )
    ROWS.append(
        {"what": "memory a fit, MB", "who": "pcam_sklearn", "n": 20, "seconds": round(slope, 3)}
    )
    search = GridSearchCV(
        ours(epochs=1),
        {"cnnclassifier__dropout": [0.2, 0.5, 0.7]},
        scoring="roc_auc",
        cv=3,
        refit=False,
    )
    wall = seconds(lambda: search.fit(X, y))
    results = search.cv_results_
    parts = 3 * (results["mean_fit_time"] + results["mean_score_time"]).sum()
    note("GridSearchCV of 9 fits", "wall time", 9, wall, 1.0)
    note("GridSearchCV of 9 fits", "sum of its fits and scores", 9, parts, parts / wall)


def growth(rounds: int, n_large: int) -> None:
    """Show what a patch costs as there are more of them."""
    X, y = make_data(n_large)
    for n in (1000, 10_000, 50_000, n_large):
        fit = statistics.median(
            seconds(lambda n=n: ours(epochs=1, batch_size=256).fit(X[:n], y[:n]))
            for _ in range(max(1, rounds // 2))
        )
        pipeline = ours(epochs=1).fit(X[:640], y[:640])
        predict = statistics.median(
            seconds(lambda n=n, p=pipeline: p.predict_proba(X[:n])) for _ in range(rounds)
        )
        note("growth: fit, 1 epoch, batch 256", "pcam_sklearn", n, fit, 1.0)
        note("growth: predict", "pcam_sklearn", n, predict, 1.0)


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=200_000)
    arguments = parser.parse_args()
    with threadpool_limits(os.cpu_count()):
        imports(arguments.rounds)
        fits(arguments.rounds)
        predictions(arguments.rounds, 60_000)
        saving(arguments.rounds)
        searches()
        growth(arguments.rounds, arguments.large)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {keras.backend.backend()}"
    RESULTS.parent.mkdir(exist_ok=True)
    pd.DataFrame(ROWS).assign(machine=machine).to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()

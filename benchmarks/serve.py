"""Measure what it takes to serve a model: the first patch of a fresh process, and many patches.

    python benchmarks/serve.py [--networks notebook residual default] [--rounds 3] [--most 20000]

Install the other libraries first: ``pip install -e ".[bench]"``. Each engine serves the same
network, with random weights, from a file and in a fresh process:

- pcam_sklearn: the pipeline, loaded by `load_model`;
- Keras: `keras.Model.predict`, for the network alone and without views;
- skorch: the notebook's network in PyTorch;
- ONNX, ONNX int8: `make_onnx_pipeline`.

A process notes the seconds until its first prediction, imports included, and its largest memory.
Then it times predictions of 1, 100 and `--most` patches. Engines take turns in rounds, with one
thread and with two. Ratios to pcam_sklearn are taken within a round, because the speed of a machine
changes. The script prints medians, and writes them to benchmarks/results/serve.csv. Networks that
are not measured again stay in that file.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# TensorFlow reads this when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

RESULTS = Path(__file__).parent / "results" / "serve.csv"
NETWORKS = {
    "notebook": {"crop_size": 32, "network": "notebook", "test_time_augmentation": None},
    "residual": {"network": "residual", "test_time_augmentation": None},
    "default": {},
}
ENGINES = ["pcam_sklearn", "Keras", "skorch", "ONNX", "ONNX int8"]
REPEATS = {1: 51, 100: 9}  # Short predictions vary more.


def make_patches(n: int) -> np.ndarray:
    """Return patches of noise around different colours."""
    generator = np.random.default_rng(0)
    even = generator.integers(0, 200, (n, 1, 1, 3), dtype=np.uint8)
    return even + generator.integers(0, 56, (n, 96, 96, 3), dtype=np.uint8)


def write_models(network: str, folder: Path) -> None:
    """Write the files of all engines for a network."""
    from pcam_sklearn import make_pcam_pipeline
    from pcam_sklearn.export import export_onnx
    from pcam_sklearn.persistence import save_model

    patches = make_patches(128)
    pipeline = make_pcam_pipeline(random_state=0, **NETWORKS[network])
    pipeline[-1].initialize(pipeline[:-1].transform(patches[:2]), [0, 1])
    save_model(pipeline, folder / "pcam_sklearn.pcam")
    pipeline[-1].model_.save(folder / "Keras.keras")
    export_onnx(pipeline, folder / "ONNX.onnx")
    export_onnx(pipeline, folder / "ONNX int8.onnx", quantize="int8", calibration=patches)
    if network == "notebook":
        import joblib
        from peers import Skorch

        peer = Skorch()
        peer.fit(0)
        joblib.dump(peer.model, folder / "skorch.joblib")


def load(engine: str, network: str, folder: Path, threads: int) -> Any:
    """Return a function from bytes of patches to probabilities."""
    if engine.startswith("ONNX"):
        from pcam_sklearn.export import make_onnx_pipeline

        return make_onnx_pipeline(folder / f"{engine}.onnx", n_threads=threads).predict_proba
    if engine == "pcam_sklearn":
        from pcam_sklearn.persistence import load_model

        return load_model(folder / "pcam_sklearn.pcam").predict_proba
    crop = slice(32, 64) if network == "notebook" else slice(None)
    if engine == "Keras":
        import keras

        import pcam_sklearn.networks  # noqa: F401 -- registers the layers of the networks.

        model = keras.models.load_model(folder / "Keras.keras")
        return lambda X: model.predict(X[:, crop, crop] / np.float32(255), verbose=0)
    import joblib
    import torch

    torch.set_num_threads(threads)
    net = joblib.load(folder / "skorch.joblib")
    return lambda X: net.predict_proba(
        np.ascontiguousarray((X[:, crop, crop] / np.float32(255)).transpose(0, 3, 1, 2))
    )


def serve(engine: str, network: str, folder: Path, threads: int, most: int, start: float) -> None:
    """Measure one engine in this process, which began at `start`, and print the results."""
    predict = load(engine, network, folder, threads)
    patches = make_patches(100)
    predict(patches[:1])
    found = {"first_patch_s": time.time() - start, "memory_mb": memory()}
    for n, repeats in (REPEATS | {most: 1}).items():
        X = np.resize(patches, (n, 96, 96, 3))
        predict(X[: min(n, 1000)])  # The first batch of a size may compile.
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            predict(X)
            times.append(time.perf_counter() - began)
        found[f"ms_of_{n}"] = 1000 * statistics.median(times)
    print(json.dumps(found))


def memory() -> float:
    """Return the largest memory of this process so far, in MB."""
    try:
        # What getrusage says includes the process that started this one, before it was replaced.
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    except OSError:
        pass  # No Linux.
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(engine: str, network: str, folder: Path, threads: int, most: int) -> dict[str, float]:
    """Measure one engine in a fresh process with some threads."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    command = [sys.executable, __file__, "--serve", engine, network, str(folder), str(threads)]
    result = subprocess.run(
        [*command, str(most), str(time.time())],
        env=os.environ | dict.fromkeys(names, str(threads)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def rounds_of(network: str, n_rounds: int, most: int) -> list[dict[str, Any]]:
    """Return a row per engine and number of threads: medians over the rounds."""
    engines = [e for e in ENGINES if e != "skorch" or network == "notebook"]
    keys = [(engine, threads) for threads in (1, 2) for engine in engines]
    found: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in keys}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(network, folder)
        sizes = {
            engine: file.stat().st_size for engine in engines for file in folder.glob(f"{engine}.*")
        }
        for _ in range(n_rounds):
            for engine, threads in keys:
                found[engine, threads].append(measure(engine, network, folder, threads, most))
    return [
        {"network": network, "engine": engine, "threads": threads, "bytes": sizes[engine]}
        | medians(found[engine, threads], found["pcam_sklearn", threads])
        for engine, threads in keys
    ]


def medians(rounds: list[dict[str, float]], baseline: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure, and of its ratio to the baseline in the same round."""
    row = {}
    for name in rounds[0]:
        ratios = [a[name] / b[name] for a, b in zip(rounds, baseline, strict=True)]
        row[name] = round(statistics.median(r[name] for r in rounds), 2)
        row[f"{name}_ratio"] = round(statistics.median(ratios), 3)
    return row


def write(rows: list[dict[str, Any]]) -> None:
    """Put rows into the results, in the place of those of the same networks."""
    import pandas as pd

    new = pd.DataFrame(rows).assign(processor=processor())
    if RESULTS.exists():
        old = pd.read_csv(RESULTS)
        new = pd.concat([old[~old["network"].isin(new["network"])], new])
    new.to_csv(RESULTS, index=False)
    print(new.to_string(index=False))


def processor() -> str:
    """Return the processor's flags that 8-bit arithmetic needs, as Linux names them."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return platform.machine()
    wanted = ("avx512_vnni", "avx_vnni", "amx_int8")
    return " ".join([platform.machine(), *(flag for flag in wanted if flag in flags)])


def main() -> None:
    """Measure the networks that were asked for."""
    if sys.argv[1:2] == ["--serve"]:
        engine, network, folder, threads, most, start = sys.argv[2:]
        serve(engine, network, Path(folder), int(threads), int(most), float(start))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=20_000, help="patches of the long prediction")
    arguments = parser.parse_args()
    for network in arguments.networks:
        write(rounds_of(network, arguments.rounds, arguments.most))


if __name__ == "__main__":
    main()

"""Fit and predict with the notebook's network in several libraries, for `speed.py`.

    python benchmarks/peers.py NAME

This starts one library. It then reads commands from standard input: each line is the name of a
method and its whole numbers, as in `fit 3`. It answers with the seconds that the method took.
Each library runs in its own process, because their thread pools would disturb each other.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

# TensorFlow reads this when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

BATCH, TRAIN = 32, 6400


def make_data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return patches of noise with a brighter center where the label is 1, and the labels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    X = rng.integers(0, 200, (n, 32, 32, 3), dtype=np.uint8)
    X[:, 8:24, 8:24] += (y * 20).astype(np.uint8)[:, None, None, None]
    return X, y


def make_pipeline(**parameters: Any) -> Any:
    """Return this package's pipeline with the notebook's network and recipe."""
    from pcam_sklearn import make_pcam_pipeline

    settings = {
        "augment": None, "optimizer": "adam", "learning_rate": None, "schedule": "constant",
        "label_smoothing": 0.0, "batch_size": BATCH, "random_state": 0,
    }  # fmt: skip
    pipeline = make_pcam_pipeline(32, network="notebook", **settings | parameters)
    # The default would resize these patches of 32 pixels to 96.
    return pipeline.set_params(centercropnormalizer__input_size=32)


def compile_notebook(steps_per_execution: int = 1) -> Any:
    """Return the network, compiled as in the notebook."""
    import keras

    from pcam_sklearn.networks import notebook

    model = notebook((32, 32, 3))
    metrics = ["accuracy", keras.metrics.AUC(name="auc")]
    model.compile(
        optimizer="adam",
        loss="binary_crossentropy",
        metrics=metrics,
        steps_per_execution=steps_per_execution,
    )
    return model


class Peer:
    """A library that fits and predicts. A subclass per library adds `fit` and `predict`."""

    def __init__(self) -> None:
        self.X, self.y = make_data(TRAIN)
        self._inputs: dict[int, np.ndarray] = {}
        self.model: Any = None

    def inputs(self, n: int) -> np.ndarray:
        """Return n patches in the form that the library takes, made before the clock runs."""
        if n not in self._inputs:
            # Only one size is kept: 60,000 patches of floats take 700 MB.
            self._inputs = {n: self.convert(np.resize(self.X, (n, *self.X.shape[1:])))}
        return self._inputs[n]

    def convert(self, X: np.ndarray) -> np.ndarray:
        """Scale patches to [0, 1], channels last."""
        return X.astype(np.float32) / 255


class PcamSklearn(Peer):
    """The whole pipeline of this package, from bytes."""

    def convert(self, X: np.ndarray) -> np.ndarray:
        """Keep the bytes: the pipeline scales them itself."""
        return X

    def fit(self, epochs: int) -> None:
        """Fit for some epochs."""
        self.model = make_pipeline(epochs=epochs).fit(self.X, self.y)

    def predict(self, n: int) -> None:
        """Predict n patches."""
        self.model.predict_proba(self.inputs(n))


class PlainKeras(Peer):
    """Keras, from floats and for the network alone."""

    def __init__(self) -> None:
        super().__init__()
        self.floats = self.convert(self.X)
        self.target = self.y.astype(np.float32)[:, None]

    def fit(self, epochs: int, steps_per_execution: int = 1) -> None:
        """Fit for some epochs."""
        self.model = compile_notebook(steps_per_execution)
        self.model.fit(self.floats, self.target, batch_size=BATCH, epochs=epochs, verbose=0)

    def predict(self, n: int, batch_size: int = 32) -> None:
        """Predict n patches."""
        self.model.predict(self.inputs(n), batch_size=batch_size, verbose=0)

    def predict_on_batch(self, n: int, batch_size: int) -> None:
        """Predict n patches without the data pipeline of Keras' `predict`."""
        X = self.inputs(n)
        batches = [X[start : start + batch_size] for start in range(0, n, batch_size)]
        np.concatenate([self.model.predict_on_batch(batch) for batch in batches])


class SciKeras(PlainKeras):
    """SciKeras, with its defaults."""

    def fit(self, epochs: int) -> None:
        """Fit for some epochs."""
        from scikeras.wrappers import KerasClassifier

        wrapper = KerasClassifier(compile_notebook, batch_size=BATCH, epochs=epochs, verbose=0)
        self.model = wrapper.fit(self.floats, self.y)

    def predict(self, n: int) -> None:
        """Predict n patches."""
        self.model.predict_proba(self.inputs(n))


class Skorch(Peer):
    """PyTorch, trained by skorch."""

    def __init__(self) -> None:
        super().__init__()
        self.floats = self.convert(self.X)
        self.target = self.y.astype(np.float32)

    def convert(self, X: np.ndarray) -> np.ndarray:
        """Scale patches to [0, 1], channels first."""
        return np.ascontiguousarray((X.astype(np.float32) / 255).transpose(0, 3, 1, 2))

    def fit(self, epochs: int) -> None:
        """Fit for some epochs."""
        import skorch
        import torch

        n = torch.nn
        layers = n.Sequential(
            n.Conv2d(3, 32, 3), n.ReLU(), n.MaxPool2d(2),
            n.Conv2d(32, 64, 3), n.ReLU(), n.MaxPool2d(2),
            n.Conv2d(64, 128, 3), n.ReLU(),
            n.Flatten(), n.Linear(2048, 128), n.ReLU(), n.Dropout(0.5), n.Linear(128, 1),
            n.Flatten(0),
        )  # fmt: skip
        self.model = skorch.NeuralNetBinaryClassifier(
            layers, optimizer=torch.optim.Adam, lr=1e-3, batch_size=BATCH, max_epochs=epochs,
            train_split=None, verbose=0,
        ).fit(self.floats, self.target)  # fmt: skip

    def predict(self, n: int) -> None:
        """Predict n patches."""
        self.model.predict_proba(self.inputs(n))


class OnnxRuntime(Peer):
    """ONNX Runtime, which can only predict."""

    def fit(self, epochs: int) -> None:
        """Export the untrained network: its speed does not depend on its weights."""
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/notebook.onnx"
            network = compile_notebook()
            # Keras exports only a network that was called.
            network.predict(self.inputs(1), verbose=0)
            network.export(path, format="onnx", verbose=False)
            providers = ["CPUExecutionProvider"]
            self.model = onnxruntime.InferenceSession(path, providers=providers)

    def predict(self, n: int) -> None:
        """Predict n patches, 1,024 at a time, because all at once do not fit into memory."""
        X, name = self.inputs(n), self.model.get_inputs()[0].name
        for start in range(0, n, 1024):
            self.model.run(None, {name: X[start : start + 1024]})


PEERS = {peer.__name__: peer for peer in (PcamSklearn, PlainKeras, SciKeras, Skorch, OnnxRuntime)}


class Process:
    """A library that runs in another process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, __file__, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def seconds(self, *command: Any) -> float:
        """Return the seconds that a command takes."""
        print(*command, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self.name} stopped at {' '.join(map(str, command))!r}. To see why, run "
                f"`python benchmarks/peers.py {self.name}` and type the command."
            )
        return float(answer)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def obey(peer: Peer) -> None:
    """Run the commands of standard input, and print the seconds of each."""
    for line in sys.stdin:
        method, *numbers = line.split()
        arguments = list(map(int, numbers))
        if method.startswith("predict"):  # Making the patches is not timed.
            peer.inputs(arguments[0])
        start = time.perf_counter()
        getattr(peer, method)(*arguments)
        print(time.perf_counter() - start, flush=True)


def main() -> None:
    """Start the library that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=PEERS, help="library to run")
    obey(PEERS[parser.parse_args().name]())


if __name__ == "__main__":
    main()

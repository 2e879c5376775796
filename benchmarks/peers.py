"""The notebook's network in the hands of each library, one process a library.

``python benchmarks/peers.py NAME`` sets one up and then obeys its standard input: a line is the
name of a method and whole numbers for it; the answer is the seconds it took. Apart from each other,
the libraries' thread pools do not get into each other's way.
"""

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

BATCH, TRAIN = 32, 6400


def make_data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return patches of noise whose label is the brightness of the center."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    X = rng.integers(0, 200, (n, 32, 32, 3), dtype=np.uint8)
    X[:, 8:24, 8:24] += (y * 20).astype(np.uint8)[:, None, None, None]
    return X, y


def make_pipeline(**parameters: Any) -> Any:
    """Return the package's pipeline with the notebook's network and recipe."""
    from pcam_sklearn import make_pcam_pipeline

    plain = {"augment": None, "optimizer": "adam", "learning_rate": None, "schedule": "constant"}
    plain["label_smoothing"] = 0.0
    settings = {"batch_size": BATCH, "random_state": 0, **plain, **parameters}
    pipeline = make_pcam_pipeline(32, network="notebook", **settings)
    return pipeline.set_params(centercropnormalizer__input_size=32)


def plain_keras(steps_per_execution: int = 1) -> Any:
    """Return the network compiled as the notebook did."""
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
    """What can be asked of a library; a subclass says how."""

    def __init__(self) -> None:
        self.X, self.y = make_data(TRAIN)
        self._inputs: dict[int, np.ndarray] = {}
        self.model: Any = None

    def inputs(self, n: int) -> np.ndarray:
        """Return n patches as the library wants them, made before the clock runs."""
        if n not in self._inputs:
            self._inputs = {n: self.converted(np.resize(self.X, (n, *self.X.shape[1:])))}
        return self._inputs[n]

    def converted(self, X: np.ndarray) -> np.ndarray:
        """Return patches in [0, 1], channels last."""
        return X.astype(np.float32) / 255


class PcamSklearn(Peer):
    """The package: the whole pipeline, from bytes."""

    def converted(self, X: np.ndarray) -> np.ndarray:
        """Return the bytes."""
        return X

    def fit(self, epochs: int) -> None:
        """Fit."""
        self.model = make_pipeline(epochs=epochs).fit(self.X, self.y)

    def predict(self, n: int) -> None:
        """Predict n patches."""
        self.model.predict_proba(self.inputs(n))


class PlainKeras(Peer):
    """Keras, from floats."""

    def __init__(self) -> None:
        super().__init__()
        self.floats = self.converted(self.X)
        self.target = self.y.astype(np.float32)[:, None]

    def fit(self, epochs: int, steps_per_execution: int = 1) -> None:
        """Fit."""
        self.model = plain_keras(steps_per_execution)
        self.model.fit(self.floats, self.target, batch_size=BATCH, epochs=epochs, verbose=0)

    def predict(self, n: int, batch_size: int = 32) -> None:
        """Predict n patches."""
        self.model.predict(self.inputs(n), batch_size=batch_size, verbose=0)

    def predict_on_batch(self, n: int, batch_size: int) -> None:
        """Predict n patches, without what Keras does around batches."""
        X = self.inputs(n)
        batches = [X[start : start + batch_size] for start in range(0, n, batch_size)]
        np.concatenate([self.model.predict_on_batch(batch) for batch in batches])


class SciKeras(PlainKeras):
    """SciKeras, with its defaults."""

    def fit(self, epochs: int) -> None:
        """Fit."""
        from scikeras.wrappers import KerasClassifier

        wrapper = KerasClassifier(plain_keras, batch_size=BATCH, epochs=epochs, verbose=0)
        self.model = wrapper.fit(self.floats, self.y)

    def predict(self, n: int) -> None:
        """Predict n patches."""
        self.model.predict_proba(self.inputs(n))


class Skorch(Peer):
    """PyTorch in skorch's hands."""

    def __init__(self) -> None:
        super().__init__()
        self.floats = self.converted(self.X)
        self.target = self.y.astype(np.float32)

    def converted(self, X: np.ndarray) -> np.ndarray:
        """Return patches in [0, 1], channels first."""
        return np.ascontiguousarray((X.astype(np.float32) / 255).transpose(0, 3, 1, 2))

    def fit(self, epochs: int) -> None:
        """Fit."""
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
    """ONNX Runtime, which only predicts."""

    def fit(self, epochs: int) -> None:
        """Export the network as it is before any epoch."""
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/notebook.onnx"
            network = plain_keras()
            network.predict(self.inputs(1), verbose=0)  # Keras exports what has been called.
            network.export(path, format="onnx", verbose=False)
            providers = ["CPUExecutionProvider"]
            self.model = onnxruntime.InferenceSession(path, providers=providers)

    def predict(self, n: int) -> None:
        """Predict n patches, 1,024 at a time: all at once need more memory than there is."""
        X, name = self.inputs(n), self.model.get_inputs()[0].name
        for start in range(0, n, 1024):
            self.model.run(None, {name: X[start : start + 1024]})


PEERS = {peer.__name__: peer for peer in (PcamSklearn, PlainKeras, SciKeras, Skorch, OnnxRuntime)}


class Process:
    """A library in a process of its own."""

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
        """Return the seconds that a command took."""
        print(*command, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended at {command}; run it by hand to see why.")
        return float(answer)

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()


def obey(peer: Peer) -> None:
    """Do what standard input says."""
    for line in sys.stdin:
        method, *numbers = line.split()
        arguments = list(map(int, numbers))
        if method.startswith("predict"):
            peer.inputs(arguments[0])
        start = time.perf_counter()
        getattr(peer, method)(*arguments)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    obey(PEERS[sys.argv[1]]())

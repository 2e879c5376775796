"""Time the notebook's training at its full size, on the device that Keras finds.

    [KERAS_BACKEND=jax] python benchmarks/device.py FOLDER [--patches 198022] [--batch-size 1024]

FOLDER is in Kaggle's layout, with a slides.csv. The script draws patches of three quarters of the
slides, with repetition, until there are as many as `--patches`. It measures the AUC on the patches
of the other slides.

By default it trains with batches of 1,024 and then with the notebook's batches of 32. Larger
batches are only worth their speed if they do not lower the AUC. The first fit of each batch size
compiles, so the second one counts. Each fit appends a row to benchmarks/results/device.csv.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from pcam_sklearn import CenterCropNormalizer, CNNClassifier, PatchReader
from pcam_sklearn.datasets import load_kaggle
from pcam_sklearn.model_selection import slide_train_test_split

RESULTS = Path(__file__).parent / "results" / "device.csv"


def load(folder: Path, n_patches: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return X, y, the drawn training rows and the test rows."""
    data = load_kaggle(folder)
    patches = PatchReader(in_memory=True).transform(data.paths)
    X = CenterCropNormalizer(dtype="uint8").transform(patches)
    train, test = slide_train_test_split(data.target, data.groups, random_state=0)
    return X, data.target, np.random.default_rng(0).choice(train, n_patches), test


def make_classifier(epochs: int, batch_size: int, dtype_policy: str | None) -> CNNClassifier:
    """Return the notebook's network with its recipe."""
    return CNNClassifier(
        "notebook", augment=None, optimizer="adam", schedule="constant",
        # Larger batches take larger steps, by the square root, as is usual with Adam.
        learning_rate=0.001 * (batch_size / 32) ** 0.5, label_smoothing=0.0,
        epochs=epochs, batch_size=batch_size, validation_fraction=0,
        early_stopping=False, dtype_policy=dtype_policy, random_state=0,
    )  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder in Kaggle's layout, with a slides.csv")
    parser.add_argument("--patches", type=int, default=198_022, help="training patches per epoch")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, nargs="*", default=[1024, 32])
    parser.add_argument("--dtype-policy", default=None, help="for example mixed_float16")
    return parser.parse_args()


def main() -> None:
    """Fit twice with each batch size, and print a line per fit."""
    arguments = parse_arguments()
    X, y, train, test = load(arguments.folder, arguments.patches)
    for batch_size in arguments.batch_size:
        for fit in (1, 2):
            classifier = make_classifier(arguments.epochs, batch_size, arguments.dtype_policy)
            start = time.perf_counter()
            classifier.fit(X[train], y[train])
            row = {
                "device": f"{keras.backend.backend()}, {keras.ops.ones(1).device}",
                "policy": arguments.dtype_policy or "float32",
                "patches": arguments.patches,
                "epochs": arguments.epochs,
                "batch_size": batch_size,
                "fit": fit,
                "seconds": round(time.perf_counter() - start, 2),
            }
            probability = classifier.predict_proba(X[test])[:, 1]
            row["auc"] = round(roc_auc_score(y[test], probability), 4)
            pd.DataFrame([row]).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)
            print(row, flush=True)


if __name__ == "__main__":
    main()

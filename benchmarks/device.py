"""The notebook's training, at the size it had, on whatever device Keras finds.

    [KERAS_BACKEND=jax] python benchmarks/device.py FOLDER [--patches 198022] [--batch-size 1024]

FOLDER is in Kaggle's layout, with a slides.csv. Its patches of three quarters of the slides are
drawn again and again until there are as many as asked for; those of the other slides tell the AUC.
The notebook's own batch size of 32 follows, whose AUC the larger one must not fall below. Of each
two fits the second counts, as the first compiles. Appends to benchmarks/results/device.csv.
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


def main() -> None:
    """Fit twice by each recipe and print a line for each fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patches", type=int, default=198_022)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, nargs="*", default=[1024, 32])
    parser.add_argument("--dtype-policy", default=None)
    arguments = parser.parse_args()
    data = load_kaggle(arguments.folder)
    read = PatchReader(in_memory=True).transform(data.paths)
    X = CenterCropNormalizer(dtype="uint8").transform(read)
    train, test = slide_train_test_split(data.target, data.groups, random_state=0)
    drawn = np.random.default_rng(0).choice(train, arguments.patches)
    for batch_size in arguments.batch_size:
        for fit in (1, 2):
            classifier = CNNClassifier(
                "notebook", augment=None, optimizer="adam", schedule="constant",
                # Larger steps for larger batches, by the square root, as is usual with Adam.
                learning_rate=0.001 * (batch_size / 32) ** 0.5, label_smoothing=0.0,
                epochs=arguments.epochs, batch_size=batch_size, validation_fraction=0,
                early_stopping=False, dtype_policy=arguments.dtype_policy, random_state=0,
            )  # fmt: skip
            start = time.perf_counter()
            classifier.fit(X[drawn], data.target[drawn])
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
            row["auc"] = round(roc_auc_score(data.target[test], probability), 4)
            pd.DataFrame([row]).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)
            print(row, flush=True)


if __name__ == "__main__":
    main()

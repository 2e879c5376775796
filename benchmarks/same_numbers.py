"""Check that a change of the code keeps its numbers, with small fits of all networks and backends.

Run it before and after the change, on one machine, with each version installed in turn:

    python benchmarks/same_numbers.py save before.npz
    python benchmarks/same_numbers.py compare before.npz

Another processor rounds differently, so the repository holds no numbers to compare with.
"""

import argparse
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
SMALL_NETWORKS = {
    "notebook": {"filters": (4, 4, 8), "dense_units": 16},
    "residual": {"filters": (4, 8)},
    "d4": {},
    "two-stream": {},
    "transfer": {"model__weights": None},
}
TOLERANCE = 1e-6


def main():
    """Save the numbers of this version, or compare them with saved ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # The script calls itself with "backend" in a process per backend, as Keras reads its backend
    # only once.
    parser.add_argument("command", choices=("save", "compare", "backend"))
    parser.add_argument("file", help="the .npz file with the numbers")
    arguments = parser.parse_args()
    if arguments.command == "backend":
        np.savez(arguments.file, **numbers())
    elif arguments.command == "save":
        found = all_numbers()
        np.savez(arguments.file, **found)
        print(f"saved {len(found)} arrays to {arguments.file}")
    else:
        sys.exit(compare(dict(np.load(arguments.file)), all_numbers()))


def all_numbers():
    """Return the arrays of each installed backend, by backend and name."""
    found = {}
    for backend in BACKENDS:
        if importlib.util.find_spec(backend) is None:
            print(f"{backend} is not installed: left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "numbers.npz")
            subprocess.run(
                [sys.executable, __file__, "backend", str(path)],
                env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
                check=True,
            )
            found |= {f"{backend}: {name}": array for name, array in np.load(path).items()}
    return found


def compare(before, after):
    """Print the largest difference of each array; return 1 if one exceeds the tolerance."""
    if before.keys() != after.keys():
        print(f"arrays of only one version: {sorted(before.keys() ^ after.keys())}")
        return 1
    worst = 0.0
    for name, array in before.items():
        difference = float(np.abs(array - after[name]).max())
        worst = max(worst, difference)
        print(f"{difference:.1e}  {name}")
    print(f"largest difference of {len(before)} arrays: {worst:.1e}; allowed: {TOLERANCE:g}")
    return int(worst > TOLERANCE)


def numbers():
    """Return the probabilities and histories of small fits under the current backend."""
    from pcam_sklearn import CNNClassifier

    X, y, slides = patches()
    found = {}
    for network, parameters in SMALL_NETWORKS.items():
        classifier = CNNClassifier(
            network=network, epochs=2, batch_size=16, random_state=0, **parameters
        )
        found[network] = classifier.fit(X, y).predict_proba(X)
    held_out = CNNClassifier(
        network="notebook", validation_fraction=0.25, early_stopping=True, n_iter_no_change=1,
        class_weight="balanced", weight_averaging=0.9, epochs=4, batch_size=16, random_state=1,
        augment=("d4", "stain", "sharpness", "zoom", "shift"), **SMALL_NETWORKS["notebook"],
    )  # fmt: skip
    found["early stopping"] = held_out.fit(X, y, groups=slides).predict_proba(X)
    found["its history"] = np.array(list(itertools.chain(*held_out.history_.values())))
    held_out.set_params(warm_start=True).fit(X, y, groups=slides)
    found["warm start"] = held_out.predict_proba(X)
    held_out.set_params(class_weight=None)
    found["partial fit"] = held_out.partial_fit(X / 255, y).predict_proba(X)
    found["views"] = held_out.predict_spread(X)
    return found


def patches(n=48, side=32):
    """Return random patches that are darker in the center for class 1, their labels and slides."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    y = np.arange(n) % 2
    X[y == 1, 8:-8, 8:-8] //= 2
    return X, y, np.repeat(np.arange(n // 4), 4).astype(str)


if __name__ == "__main__":
    main()

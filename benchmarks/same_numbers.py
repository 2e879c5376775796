"""Tell whether a change of the code changed its numbers: small fits of every network and backend.

Run it before a change and after it, on one machine, with the other commit on the path:

    python benchmarks/same_numbers.py save before.npz
    python benchmarks/same_numbers.py compare before.npz

Another processor rounds differently, so no numbers are committed.
"""

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
    """Save the numbers of this code, or compare them with saved ones."""
    command, *rest = sys.argv[1:]
    if command == "backend":
        np.savez(rest[0], **numbers())
        return
    found = all_numbers()
    if command == "save":
        np.savez(rest[0], **found)
        print(f"{len(found)} arrays saved to {rest[0]}")
        return
    sys.exit(compare(dict(np.load(rest[0])), found))


def all_numbers():
    """Return the arrays of every backend that is installed, by backend and name."""
    found = {}
    for backend in BACKENDS:
        if importlib.util.find_spec(backend) is None:
            print(f"{backend} is not installed and was left out")
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
    """Print the largest difference of each array; return 1 if one is above the tolerance."""
    if before.keys() != after.keys():
        print(f"different arrays: {sorted(before.keys() ^ after.keys())}")
        return 1
    worst = 0.0
    for name, array in before.items():
        difference = float(np.abs(array - after[name]).max())
        worst = max(worst, difference)
        print(f"{difference:.1e}  {name}")
    print(f"largest difference of {len(before)} arrays: {worst:.1e}; allowed: {TOLERANCE:g}")
    return int(worst > TOLERANCE)


def numbers():
    """Return probabilities and histories of small fits under the backend that is set."""
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
    """Return random patches whose class 1 is darker in the center, labels and slides."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    y = np.arange(n) % 2
    X[y == 1, 8:-8, 8:-8] //= 2
    return X, y, np.repeat(np.arange(n // 4), 4).astype(str)


if __name__ == "__main__":
    main()

"""A saved pipeline in a fresh process, under each backend of Keras.

As a script, ``KERAS_BACKEND=jax python -m support.backend_probe FOLDER jax`` reads
``pipeline.joblib`` and ``X.npy`` in a folder, and writes its findings there.
"""

import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest

from support.other_process import STRICT, run_python

BACKENDS = ("tensorflow", "jax", "torch")
DATA = Path(__file__).parents[1] / "data"
# JAX spends most of its time on compiling. With these it compiles equal fits only once.
CACHE_OF_JAX = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def saved_pipeline(folder):
    """Save a fitted pipeline and its data, and return the folder, the patches and the pipeline."""
    from support.tiny import PATCH_SIDE, make_data, small_pipeline

    X, y = make_data(side=PATCH_SIDE)
    # JAX compiles a step for each size of a batch; 4 of the 40 patches are held out.
    pipeline = small_pipeline(batch_size=20).fit(X, y)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    joblib.dump(pipeline, folder / "pipeline.joblib")
    return str(folder), X, pipeline


def probe(backend, folder):
    """Return the findings of this script under a backend, or skip the test if that is absent."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}, which is not installed")
    command = (*STRICT, "-m", "support.backend_probe", folder, backend)
    cache = {"JAX_COMPILATION_CACHE_DIR": str(Path(folder, "jax")), **CACHE_OF_JAX}
    run_python(*command, KERAS_BACKEND=backend, **cache)
    found = json.loads(Path(folder, f"{backend}.json").read_text())
    return found | {"arrays": np.load(Path(folder, f"{backend}.npz"))}


def main(folder, backend):
    """Load, predict and train on; then fit twice, in 16 bits, and with averaged weights."""
    X, y = np.load(Path(folder, "X.npy")), np.load(Path(folder, "y.npy"))
    pipeline = joblib.load(Path(folder, "pipeline.joblib"))

    import keras

    from pcam_sklearn import load_pretrained
    from pcam_sklearn._reading import _batches
    from pcam_sklearn.augmentation import AUGMENTATIONS
    from pcam_sklearn.datasets import load_kaggle
    from support.tiny import quick, small

    assert keras.backend.backend() == backend
    arrays = {"loaded": pipeline.predict_proba(X)}
    history = dict(pipeline[-1].history_)
    pipeline[-1].partial_fit(pipeline[:-1].transform(X), y)
    arrays["one more epoch"] = pipeline.predict_proba(X)
    patches = pipeline[:-1].transform(X)
    state = random_state(backend)
    for name in ("first", "second"):
        fitted = small(batch_size=18).fit(patches, y)
        arrays[name] = fitted.predict_proba(patches)
    kept, _batches._TRAIN_IN_MEMORY = _batches._TRAIN_IN_MEMORY, 0
    arrays["handed over batch by batch"] = (
        small(batch_size=18).fit(patches, y).predict_proba(patches)
    )
    _batches._TRAIN_IN_MEMORY = kept
    arrays["the whole recipe in 16 bits"] = quick(
        batch_size=20, network="residual", filters=(2,), schedule="cosine", optimizer="adamw",
        augment=tuple(AUGMENTATIONS), dtype_policy="mixed_bfloat16",
    ).fit(patches, y).predict_proba(patches)  # fmt: skip
    plain = quick(batch_size=20, epochs=2)
    arrays["not averaged"] = plain.fit(patches, y).predict_proba(patches)
    averaged = plain.set_params(weight_averaging=0.9)
    arrays["averaged"] = averaged.fit(patches, y).predict_proba(patches)
    arrays["averaged and watched"] = watched(averaged).fit(patches, y).predict_proba(patches)
    joblib.dump(averaged.set_params(warm_start=True).fit(patches, y), Path(folder, "again.joblib"))
    arrays["one by one"], arrays["in threads"] = in_threads(patches, y)
    arrays["pretrained"] = load_pretrained().predict_proba(load_kaggle(DATA).paths[:4])
    found = {
        "history": history,
        "n_iter": pipeline[-1].n_iter_,
        "random state as before": random_state(backend) == state,
        "history keys": sorted(fitted.history_),
        "small batches": float(abs(batchwise(fitted, patches) - arrays["second"]).max()),
        "floats": float(abs(fitted.predict_proba(patches / 255) - arrays["second"]).max()),
    }
    np.savez(Path(folder, f"{backend}.npz"), **arrays)
    Path(folder, f"{backend}.json").write_text(json.dumps(found))


def in_threads(patches, y):
    """Return probabilities of fits and predictions one by one, and of the same in threads."""
    from support.tiny import quick, with_dropout

    def fit(seed):
        classifier = quick(batch_size=20, network=with_dropout, random_state=seed)
        return classifier.fit(patches, y)

    fits = [fit(seed) for seed in range(3)]
    alone = [c.predict_proba(patches[:n]) for c in fits for n in (7, 20, 40)]
    with ThreadPoolExecutor(4) as pool:
        fits = list(pool.map(fit, range(3)))
        # Several threads predict with one classifier at a time.
        asked = [pool.submit(c.predict_proba, patches[:n]) for c in fits for n in (7, 20, 40) * 4]
        together = [future.result() for future in asked]
    chosen = [p for start in range(0, len(together), 12) for p in together[start : start + 3]]
    return np.concatenate(alone), np.concatenate(chosen)


def watched(classifier):
    """Set a callback that asks for predictions after each epoch, where there are callbacks."""
    if importlib.util.find_spec("sklearn.callback") is None:
        return classifier
    from sklearn.callback import ScoringMonitor

    return classifier.set_callbacks(ScoringMonitor(scoring="roc_auc"))


def random_state(backend):
    """Return the state of the generators that belong to the whole process."""
    import random

    states = [random.getstate(), str(np.random.get_state())]  # noqa: NPY002
    if backend == "torch":
        import torch

        states.append(torch.get_rng_state().tolist())
    return states


def batchwise(fitted, patches):
    """Return the probabilities from batches of 7."""
    fitted.set_params(predict__batch_size=7)
    probabilities = fitted.predict_proba(patches)
    fitted.set_params(predict__batch_size=256)
    return probabilities


if __name__ == "__main__":
    main(*sys.argv[1:])

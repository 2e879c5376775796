"""A model file in a fresh process, under each backend of Keras: saved by one, loaded by another."""

import importlib.util

import keras
import numpy as np
import pytest
from support.model_files import KINDS, X
from support.other_process import STRICT, run_python

from pcam_sklearn.persistence import load_model, save_model

pytestmark = pytest.mark.slow
BACKENDS = ("tensorflow", "jax", "torch")
LOAD_AND_SAVE = """
import sys
from pathlib import Path
import numpy as np
from pcam_sklearn.persistence import load_model, save_model

folder, backend = Path(sys.argv[1]), sys.argv[2]
X, found = np.load(folder / "X.npy"), {}
for path in sorted(folder.glob("*.pcam")):
    model = load_model(path)
    found[path.stem] = model.predict_proba(X)
    (folder / backend).mkdir(exist_ok=True)
    save_model(model, folder / backend / path.name)
np.savez(folder / f"{backend}.npz", **found)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder of models, and the probabilities of each."""
    folder = tmp_path_factory.mktemp("models")
    np.save(folder / "X.npy", X)
    models = {kind: KINDS[kind]() for kind in ("pipeline", "sigmoid", "tuned")}
    for kind, model in models.items():
        save_model(model, folder / f"{kind}.pcam")
    return folder, {kind: model.predict_proba(X) for kind, model in models.items()}


@pytest.fixture(scope="module", params=BACKENDS)
def found(request, saved):
    """Return a backend, and what the models give in a fresh process under it."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"needs {request.param}, which is not installed")
    folder = str(saved[0])
    run_python(*STRICT, "-c", LOAD_AND_SAVE, folder, request.param, KERAS_BACKEND=request.param)
    return request.param, np.load(saved[0] / f"{request.param}.npz")


def test_every_backend_gives_the_probabilities_of_the_saved_model(found, saved):
    backend, probabilities = found
    tolerance = 0 if backend == keras.backend.backend() else 1e-5
    for kind, expected in saved[1].items():
        np.testing.assert_allclose(probabilities[kind], expected, rtol=0, atol=tolerance)


def test_what_another_backend_saved_gives_the_same_here(found, saved):
    for kind, expected in saved[1].items():
        back = load_model(saved[0] / found[0] / f"{kind}.pcam")
        np.testing.assert_array_equal(back.predict_proba(X), expected)

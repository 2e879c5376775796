"""Importing the package is quick: a deep-learning framework comes with the first use that needs it.

Each test looks into a fresh process, because this one has imported everything.
"""

import json
import textwrap

import joblib
import keras
import pytest
from support.other_process import run_python
from support.tiny import PATCH_SIDE, make_data, quick_pipeline

import pcam_sklearn

FRAMEWORKS = ("tensorflow", "jax", "torch", "keras", "scikeras")


def output_of(code, *options):
    """Return the output of code in a fresh process."""
    output, _ = run_python(*options, "-c", textwrap.dedent(code))
    return output


def loaded_by(statement):
    code = f"import sys; {statement}; print(*[m for m in {FRAMEWORKS} if m in sys.modules])"
    return output_of(code, "-W", "error").split()


def test_importing_the_package_and_looking_around_loads_no_framework():
    assert loaded_by("import pcam_sklearn; dir(pcam_sklearn); pcam_sklearn.__version__") == []


@pytest.mark.slow
def test_reading_and_cutting_patches_loads_no_framework():
    assert loaded_by("from pcam_sklearn import CenterCropNormalizer, PatchReader") == []


def test_every_public_name_is_there_and_listed():
    for name in pcam_sklearn.__all__:
        assert getattr(pcam_sklearn, name).__name__ == name
        assert name in dir(pcam_sklearn)


@pytest.mark.parametrize("name", ["augmentation", "networks"])
def test_modules_are_imported_on_first_use(name):
    assert getattr(pcam_sklearn, name).__name__ == f"pcam_sklearn.{name}"


def test_an_unknown_name_is_an_attribute_error_like_any_other_module_s():
    with pytest.raises(AttributeError, match="module 'pcam_sklearn' has no attribute 'CNNClass'"):
        _ = pcam_sklearn.CNNClass
    with pytest.raises(ImportError, match="cannot import name 'CNNClass'"):
        from pcam_sklearn import CNNClass  # noqa: F401


on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="asks TensorFlow"
)
# A card that TensorFlow is told of. To let its memory grow is refused once a device was touched,
# and so is the number of threads.
FRESH_CLASSIFIER = """
import json, sys
import joblib
import numpy as np
import tensorflow as tf
from support.other_process import print_from_fork

asked, gpu = [], tf.config.PhysicalDevice("a GPU", "GPU")

def let_grow(gpu, on):
    tf.config.threading.set_intra_op_parallelism_threads(1)
    asked.append((gpu.name, on))

def asked_by(call):
    call()
    return asked[:2]

tf.config.list_physical_devices = lambda kind=None: asked.append(kind) or [gpu]
tf.config.experimental.set_memory_growth = let_grow
from pcam_sklearn import CNNClassifier
rooms = ("datasets", "plotting", "report", "metrics", "cli")
print(json.dumps([room for room in rooms if f"pcam_sklearn.{room}" in sys.modules]))
print(json.dumps(asked))
X = np.zeros((4, 18, 18, 3), dtype=np.uint8)
classifier = CNNClassifier("residual", filters=(2,), augment=None)
print_from_fork(lambda: asked_by(lambda: classifier.initialize(X, [0, 1, 0, 1])))
print_from_fork(lambda: asked_by(lambda: joblib.load(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return the modules and questions of a process: on import, for a fit, for loading."""
    path = str(tmp_path_factory.mktemp("saved") / "pipeline.joblib")
    X, y = make_data(n=8, side=PATCH_SIDE)
    joblib.dump(quick_pipeline(optimizer=keras.optimizers.Adam()).fit(X, y), path)
    output, _ = run_python("-c", FRESH_CLASSIFIER, path)
    rooms, imported, fit, load = map(json.loads, output.splitlines())
    return {"rooms": rooms, "import": imported, "fit": fit, "load": load}


@pytest.mark.slow
def test_importing_the_classifier_loads_no_room_that_it_does_not_need(fresh):
    assert fresh["rooms"] == []


@pytest.mark.slow
@on_tensorflow
def test_importing_the_classifier_leaves_the_devices_alone(fresh):
    assert fresh["import"] == []


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("first_use", ["fit", "load"])
def test_a_fit_and_loading_let_gpus_grow_before_they_make_variables(fresh, first_use):
    assert fresh[first_use] == ["GPU", ["a GPU", True]]

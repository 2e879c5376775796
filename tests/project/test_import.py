"""Importing the package is quick: a deep-learning framework comes with the first use that needs it.

Each test looks into a fresh process, because this one has imported everything.
"""

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


ROOMS_NOT_NEEDED = ("datasets", "plotting", "report", "metrics", "cli")


@pytest.mark.slow
def test_importing_the_classifier_loads_no_room_that_it_does_not_need():
    code = f"""
        import sys
        from pcam_sklearn import CNNClassifier
        print(*[room for room in {ROOMS_NOT_NEEDED} if f"pcam_sklearn.{{room}}" in sys.modules])
    """
    assert output_of(code).split() == []


on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="asks TensorFlow"
)
# A card that TensorFlow is told of. To let its memory grow is refused once a device was touched,
# and so is the number of threads.
FAKE_GPU = """
import numpy as np
import tensorflow as tf

asked, gpu = [], tf.config.PhysicalDevice("a GPU", "GPU")

def let_grow(gpu, on):
    tf.config.threading.set_intra_op_parallelism_threads(1)
    asked.append((gpu.name, on))

tf.config.list_physical_devices = lambda kind=None: asked.append(kind) or [gpu]
tf.config.experimental.set_memory_growth = let_grow
from pcam_sklearn import CNNClassifier
print(asked)
"""


@pytest.mark.slow
@on_tensorflow
def test_importing_the_classifier_leaves_the_devices_alone_and_a_fit_lets_gpus_grow():
    fit = """
X = np.zeros((4, 18, 18, 3), dtype=np.uint8)
CNNClassifier(filters=(2,), augment=None).initialize(X, [0, 1, 0, 1])
print(asked[:2])
"""
    assert output_of(FAKE_GPU + fit).splitlines() == ["[]", "['GPU', ('a GPU', True)]"]


@pytest.mark.slow
@on_tensorflow
def test_loading_a_classifier_lets_gpus_grow_before_it_makes_variables(tmp_path):
    path = str(tmp_path / "pipeline.joblib")
    X, y = make_data(n=8, side=PATCH_SIDE)
    joblib.dump(quick_pipeline(optimizer=keras.optimizers.Adam()).fit(X, y), path)
    load = f"""
import joblib

joblib.load({path!r})
print(asked[:2])
"""
    assert output_of(FAKE_GPU + load).splitlines() == ["[]", "['GPU', ('a GPU', True)]"]

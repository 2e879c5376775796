"""Importing the package is quick: deep-learning frameworks come with the first use that needs one.

Each look is taken in a process of its own, as this one has imported everything.
"""

import subprocess
import sys

import pytest

import pcam_sklearn

FRAMEWORKS = ("tensorflow", "jax", "torch", "keras", "scikeras")


def loaded_by(statement):
    code = f"import sys; {statement}; print(*[m for m in {FRAMEWORKS} if m in sys.modules])"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_and_looking_around_loads_no_framework():
    assert loaded_by("import pcam_sklearn; dir(pcam_sklearn); pcam_sklearn.__version__") == []


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

"""Collection of docstrings and pages, and a list of those that are slow."""

import importlib.util
from pathlib import Path

import pytest

# A page and a docstring cannot carry a marker.
SLOW_DOCTESTS = {
    "docs/classifier.md::classifier.md",
    "docs/evaluation.md::evaluation.md",
    "docs/from_scikeras.md::from_scikeras.md",
    "docs/getting_started.md::getting_started.md",
    "docs/index.md::index.md",
    "docs/persistence.md::persistence.md",
    "docs/scaling.md::scaling.md",
    "pcam_sklearn/classifier.py::pcam_sklearn.classifier.CNNClassifier",
    "pcam_sklearn/persistence/_save.py::pcam_sklearn.persistence._save.save_model",
    "pcam_sklearn/plotting/_heat.py::pcam_sklearn.plotting._heat.grad_cam",
}
# What these need, and a clone that leaves out an extra lacks.
NEEDS = {
    "docs/scaling.md::scaling.md": "distributed",
    "docs/serving.md::serving.md": "tf2onnx",
    "pcam_sklearn/export/_export.py::pcam_sklearn.export._export.export_onnx": "tf2onnx",
}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules of packages that are not installed: importing them would fail."""
    if collection_path.parts[-2:] == ("pcam_sklearn", "distributed"):
        return True if importlib.util.find_spec("distributed") is None else None
    if collection_path.parent.name != "_backends":
        return None
    framework = collection_path.stem.removeprefix("_")
    known = framework in ("jax", "tensorflow", "torch")
    return True if known and importlib.util.find_spec(framework) is None else None


@pytest.hookimpl(tryfirst=True)  # Pytest must see the markers when it leaves tests out.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow pages and docstrings, and skip those that need what is not installed."""
    for item in items:
        if item.nodeid in SLOW_DOCTESTS:
            item.add_marker(pytest.mark.slow)
        package = NEEDS.get(item.nodeid)
        if package is not None and importlib.util.find_spec(package) is None:
            item.add_marker(pytest.mark.skip(reason=f"needs {package}, which is not installed"))

"""scikit-learn estimators that find tumour tissue in the center of a histology patch.

The public names are imported on first use, so ``import pcam_sklearn`` loads no deep-learning
framework. The package is research software; it is not a medical device.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcam_sklearn.classifier import CNNClassifier
    from pcam_sklearn.pipeline import make_pcam_pipeline, make_search_space
    from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

__version__ = version("pcam-sklearn")

_HOME = {
    "CNNClassifier": "classifier",
    "CenterCropNormalizer": "preprocessing",
    "PatchReader": "preprocessing",
    "make_pcam_pipeline": "pipeline",
    "make_search_space": "pipeline",
}
_MODULES = (
    "augmentation", "datasets", "metrics", "model_selection", "networks", "persistence", "plotting",
    "report", "submission",
)  # fmt: skip

__all__ = [
    "CNNClassifier",
    "CenterCropNormalizer",
    "PatchReader",
    "make_pcam_pipeline",
    "make_search_space",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_MODULES])

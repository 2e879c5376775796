"""scikit-learn estimators that find tumour tissue in the center of a histology patch.

The public names are imported on first use, so ``import pcam_sklearn`` loads no deep-learning
framework. The package is research software; it is not a medical device.
"""

from importlib import import_module

# Type checkers take this for true. To import it from typing would double the time of the import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pcam_sklearn.classifier import CNNClassifier
    from pcam_sklearn.persistence import load_pretrained
    from pcam_sklearn.pipeline import make_pcam_pipeline, make_search_space
    from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

_HOME = {
    "CNNClassifier": "classifier",
    "CenterCropNormalizer": "preprocessing",
    "PatchReader": "preprocessing",
    "load_pretrained": "persistence",
    "make_pcam_pipeline": "pipeline",
    "make_search_space": "pipeline",
}
_MODULES = (
    "augmentation", "datasets", "distributed", "export", "metrics", "model_selection", "networks",
    "persistence", "plotting", "report", "submission",
)  # fmt: skip

__all__ = [
    "CNNClassifier",
    "CenterCropNormalizer",
    "PatchReader",
    "load_pretrained",
    "make_pcam_pipeline",
    "make_search_space",
]


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        # Loaded when asked for, because it takes longer than all else here.
        return import_module("importlib.metadata").version("pcam-sklearn")
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "__version__", *__all__, *_MODULES])

"""Augmentation as Keras layers: part of the graph, on the device, and active only in training."""

from pcam_sklearn.augmentation._appearance import RandomSharpness, RandomStain
from pcam_sklearn.augmentation._by_name import AUGMENTATIONS, build_augmentation
from pcam_sklearn.augmentation._color import RandomColor, RandomGrayscale
from pcam_sklearn.augmentation._geometry import RandomD4, RandomShift, RandomZoom
from pcam_sklearn.augmentation._restain import RandomRestain
from pcam_sklearn.augmentation._views import (
    VIEWS,
    c4_views,
    check_test_time_augmentation,
    d4_views,
)

__all__ = [
    "AUGMENTATIONS",
    "VIEWS",
    "RandomColor",
    "RandomD4",
    "RandomGrayscale",
    "RandomRestain",
    "RandomSharpness",
    "RandomShift",
    "RandomStain",
    "RandomZoom",
    "build_augmentation",
    "c4_views",
    "check_test_time_augmentation",
    "d4_views",
]

"""Pictures that follow scikit-learn's Display convention.

Every class has ``from_estimator`` or ``from_predictions``, which measure and draw, and ``plot``,
which draws again. The drawing is in ``figure_`` and ``ax_`` (or ``axes_``). Curves differ in
lightness, and in dash or marker too, so that a reader need not see hues to tell them apart.
"""

from pcam_sklearn.plotting._gallery import PatchGalleryDisplay
from pcam_sklearn.plotting._gradcam import GradCamDisplay
from pcam_sklearn.plotting._heat import grad_cam
from pcam_sklearn.plotting._history import TrainingHistoryDisplay
from pcam_sklearn.plotting._reliability import ReliabilityDisplay
from pcam_sklearn.plotting._roc import RocBandDisplay
from pcam_sklearn.plotting._search import SearchResultsDisplay

__all__ = [
    "GradCamDisplay",
    "PatchGalleryDisplay",
    "ReliabilityDisplay",
    "RocBandDisplay",
    "SearchResultsDisplay",
    "TrainingHistoryDisplay",
    "grad_cam",
]

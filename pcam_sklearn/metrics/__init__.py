"""Metrics that a paper or a model card needs and scikit-learn lacks.

They are intervals and tests that respect slides, frozen operating points, predictive values, the
expected calibration error, and tables by slide and by hospital.

Functions take their arguments in scikit-learn's order, ``(y_true, y_score)``; ``groups`` is the
slide of each patch. Scikit-learn's own metrics, such as ``brier_score_loss``, are not repeated:
:func:`cluster_bootstrap` gives each of them an interval that respects slides.
"""

from pcam_sklearn.metrics._bootstrap import auc_cluster_bootstrap, cluster_bootstrap
from pcam_sklearn.metrics._calibration import expected_calibration_error
from pcam_sklearn.metrics._curves import RocBand, roc_band
from pcam_sklearn.metrics._delong import DeLongTest, auc_delong, delong_test
from pcam_sklearn.metrics._interval import Interval
from pcam_sklearn.metrics._operating import OperatingPoint, OperatingResult, choose_operating_point
from pcam_sklearn.metrics._slides import hospital_table, slide_table
from pcam_sklearn.metrics._thresholds import (
    PredictiveValues,
    predictive_values,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)

__all__ = [
    "DeLongTest",
    "Interval",
    "OperatingPoint",
    "OperatingResult",
    "PredictiveValues",
    "RocBand",
    "auc_cluster_bootstrap",
    "auc_delong",
    "choose_operating_point",
    "cluster_bootstrap",
    "delong_test",
    "expected_calibration_error",
    "hospital_table",
    "predictive_values",
    "roc_band",
    "sensitivity_at_specificity",
    "slide_table",
    "specificity_at_sensitivity",
]

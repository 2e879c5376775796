"""The closed list of what a model file can hold."""

from pcam_sklearn.persistence._calibrated import CALIBRATED
from pcam_sklearn.persistence._classifier import CLASSIFIER
from pcam_sklearn.persistence._pipelines import PIPELINES
from pcam_sklearn.persistence._thresholds import THRESHOLDS
from pcam_sklearn.persistence._voting import VOTING

KINDS = {
    kind.estimator.__name__: kind
    for kind in (*PIPELINES, CLASSIFIER, CALIBRATED, *THRESHOLDS, VOTING)
}

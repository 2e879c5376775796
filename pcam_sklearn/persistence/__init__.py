"""Model files that cannot hurt: a fitted pipeline as plain data, in one file.

``joblib.load`` and ``pickle.load`` run whatever code a file holds. `load_model` makes only what
stands in a closed list, out of parameters and arrays that it has checked.
"""

from pcam_sklearn._errors import ModelFileError, ModelFileWarning
from pcam_sklearn._lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pcam_sklearn.persistence._load import load_model, load_pretrained, read_metadata
    from pcam_sklearn.persistence._save import save_model

__all__ = [
    "TRUSTED_TYPES",
    "ModelFileError",
    "ModelFileWarning",
    "load_model",
    "load_pretrained",
    "read_metadata",
    "save_model",
]

# The types that skops must be told to trust. It trusts scikit-learn's own estimators and NumPy's
# arrays by itself.
TRUSTED_TYPES = (
    "pcam_sklearn.classifier.CNNClassifier",
    "pcam_sklearn.preprocessing.CenterCropNormalizer",
    "pcam_sklearn.preprocessing.PatchReader",
)

# Those who serve a model read values by `_values`, without Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "load_model": "_load",
        "load_pretrained": "_load",
        "read_metadata": "_load",
        "save_model": "_save",
    },
)

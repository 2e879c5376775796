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
    from pcam_sklearn.persistence._skops import TRUSTED_TYPES

__all__ = [
    "TRUSTED_TYPES",
    "ModelFileError",
    "ModelFileWarning",
    "load_model",
    "load_pretrained",
    "read_metadata",
    "save_model",
]

# Those who serve a model read values by `_values`, without Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "TRUSTED_TYPES": "_skops",
        "load_model": "_load",
        "load_pretrained": "_load",
        "read_metadata": "_load",
        "save_model": "_save",
    },
)

"""The model that comes with the package."""

from sklearn.pipeline import Pipeline

from pcam_sklearn._shipped import find_shipped
from pcam_sklearn.persistence._load import load_model


def load_pretrained(name: str = "pcam") -> Pipeline:
    """Load a fitted pipeline that comes with the package, and predicts at once.

    Nothing is downloaded. The package holds the model file and checks its SHA-256. Its card,
    in ``pcam_sklearn/models``, says how it was trained and measured, and
    :func:`~pcam_sklearn.persistence.read_metadata` reads the figures. It is research software, not
    a medical device, and was trained on patches of 48 slides from two hospitals.

    Parameters
    ----------
    name : {"pcam"}, default="pcam"
        "pcam" is the default recipe, trained on 4,000 patches of Kaggle's training set.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        The steps of :func:`~pcam_sklearn.make_pcam_pipeline`. X is paths of image files or an array
        of patches; the classes are 0 and 1, where 1 is tumour.

    Raises
    ------
    ValueError
        If there is no model of that name, or its file was changed.

    See Also
    --------
    pcam_sklearn.networks.efficientnet_lite0 : With ``weights="pcam"``, training goes on from it.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn import load_pretrained
    >>> pipeline = load_pretrained()
    >>> patches = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    >>> pipeline.predict_proba(patches).shape
    (2, 2)
    """
    return load_model(find_shipped(name))

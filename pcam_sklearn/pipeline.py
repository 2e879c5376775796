"""The ready pipeline, and ready search spaces for it."""

from typing import Any

from scipy.stats import loguniform, uniform
from sklearn.pipeline import Pipeline, make_pipeline

from pcam_sklearn.classifier import CNNClassifier
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader

__all__ = ["make_pcam_pipeline", "make_search_space"]


def make_pcam_pipeline(
    crop_size: int | None = None,
    dtype: str = "uint8",
    *,
    memory: Any = None,
    **classifier_parameters: Any,
) -> Pipeline:
    """Make the pipeline from paths or patches to the probability of tumour.

    Parameters
    ----------
    crop_size : int or None, default=None
        Side of the center that the network sees, in pixels, 1 to 96. None is 32, of which the
        label speaks, for the notebook's network, and 96, with the context, for all others.
    dtype : {"uint8", "float32"}, default="uint8"
        What travels to the network: bytes, or floats in [0, 1]; the probabilities are the same.
    memory : str, joblib.Memory or None, default=None
        Where the fitted steps before the classifier are cached.
    **classifier_parameters : dict
        Parameters of :class:`~pcam_sklearn.CNNClassifier`.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        With the steps ``patchreader``, ``centercropnormalizer`` and ``cnnclassifier``.

    Raises
    ------
    TypeError
        If a name is not a parameter of the classifier.

    See Also
    --------
    make_search_space : What to search over with scikit-learn's searches.

    Examples
    --------
    >>> from pcam_sklearn import make_pcam_pipeline
    >>> pipeline = make_pcam_pipeline(dropout=0.3)
    >>> list(pipeline.named_steps)
    ['patchreader', 'centercropnormalizer', 'cnnclassifier']
    >>> pipeline.get_params()["cnnclassifier__dropout"]
    0.3
    """
    if crop_size is None:
        crop_size = 32 if classifier_parameters.get("network") == "notebook" else 96
    return make_pipeline(
        PatchReader(),
        CenterCropNormalizer(crop_size=crop_size, dtype=dtype),
        CNNClassifier(**classifier_parameters),
        memory=memory,
    )


def make_search_space(*, network: str = "residual", distributions: bool = False) -> dict[str, Any]:
    """Make a search space for the pipeline of :func:`make_pcam_pipeline`.

    For the notebook's network it holds what the notebook wished to tune, the third pooling among
    it.

    Parameters
    ----------
    network : str, default="residual"
        The network that the pipeline has.
    distributions : bool, default=False
        False gives lists for `GridSearchCV` or `HalvingGridSearchCV`, 8 candidates or for the
        notebook's network 16; True gives distributions, the learning rate's among them, for
        `RandomizedSearchCV`.

    Returns
    -------
    space : dict
        Names of the pipeline's parameters to values or distributions.

    Examples
    --------
    >>> from pcam_sklearn import make_search_space
    >>> make_search_space(network="notebook")["cnnclassifier__third_pool"]
    [1, 2]
    """
    space: dict[str, Any] = {
        "cnnclassifier__batch_size": [32, 128],
        "cnnclassifier__dropout": [0.2, 0.5],
        "cnnclassifier__augment": ["d4", ("d4", "stain", "sharpness", "shift")],
    }
    if network == "notebook":
        space["cnnclassifier__augment"] = [None, "d4"]
        space["cnnclassifier__third_pool"] = [1, 2]
    if distributions:
        space["cnnclassifier__dropout"] = uniform(0.1, 0.6)
        space["cnnclassifier__learning_rate"] = loguniform(1e-4, 1e-2)
    return space

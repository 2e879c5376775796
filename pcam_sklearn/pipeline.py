"""The ready-made pipeline, and ready-made search spaces for it."""

from typing import Any

from scipy.stats import loguniform, uniform
from sklearn.pipeline import Pipeline, make_pipeline

from pcam_sklearn.classifier import CNNClassifier
from pcam_sklearn.networks import get_network
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
        Side of the center that the network sees, in pixels, 1 to 96. None takes 32 for the
        notebook's network, which is the center that the label describes, and 96 for all others,
        which includes the context.
    dtype : {"uint8", "float32"}, default="uint8"
        Type of the network's input: bytes, or floats in [0, 1]. The probabilities are the same.
    memory : str, joblib.Memory or None, default=None
        Cache for the fitted steps before the classifier.
    **classifier_parameters : dict
        Parameters of :class:`~pcam_sklearn.CNNClassifier`.

    Returns
    -------
    pipeline : sklearn.pipeline.Pipeline
        The pipeline, not fitted, with the steps ``patchreader``, ``centercropnormalizer`` and
        ``cnnclassifier``.

    Raises
    ------
    TypeError
        If a name is not a parameter of the classifier.

    See Also
    --------
    make_search_space : Makes a search space for scikit-learn's searches.

    Examples
    --------
    >>> from pcam_sklearn import make_pcam_pipeline
    >>> pipeline = make_pcam_pipeline(dropout=0.3)
    >>> list(pipeline.named_steps)
    ['patchreader', 'centercropnormalizer', 'cnnclassifier']
    >>> pipeline.get_params()["cnnclassifier__dropout"]
    0.3
    """
    # The notebook cut 32 pixels and its network is built for them; the others gain from context.
    if crop_size is None:
        crop_size = 32 if classifier_parameters.get("network") == "notebook" else 96
    return make_pipeline(
        PatchReader(),
        CenterCropNormalizer(crop_size=crop_size, dtype=dtype),
        CNNClassifier(**classifier_parameters),
        memory=memory,
    )


def make_search_space(
    *, network: str = "efficientnet-lite0", distributions: bool = False
) -> dict[str, Any]:
    """Make a search space for the pipeline of :func:`make_pcam_pipeline`.

    For the notebook's network the space holds the settings that the notebook left for tuning, such
    as the third pooling.

    Parameters
    ----------
    network : str, default="efficientnet-lite0"
        The `network` parameter of the pipeline's classifier.
    distributions : bool, default=False
        False gives lists for `GridSearchCV` or `HalvingGridSearchCV`: 8 candidates, or 16 for the
        notebook's network. True gives distributions for `RandomizedSearchCV`, with one for the
        learning rate.

    Returns
    -------
    space : dict
        The values or the distribution to search, by the name of the pipeline's parameter.

    Raises
    ------
    ValueError
        If no network has that name.

    Examples
    --------
    >>> from pcam_sklearn import make_search_space
    >>> make_search_space(network="notebook")["cnnclassifier__third_pool"]
    [1, 2]
    """
    get_network(network)  # It raises for a name that none has.
    space: dict[str, Any] = {
        "cnnclassifier__batch_size": [32, 128],
        "cnnclassifier__dropout": [0.2, 0.5],
        "cnnclassifier__augment": ["d4", CNNClassifier().augment],
    }
    if network == "notebook":
        space["cnnclassifier__augment"] = [None, "d4"]
        space["cnnclassifier__third_pool"] = [1, 2]
    # A rate spans orders of magnitude, so it is drawn from a logarithmic scale.
    if distributions:
        space["cnnclassifier__dropout"] = uniform(0.1, 0.6)
        space["cnnclassifier__learning_rate"] = loguniform(1e-4, 1e-2)
    return space

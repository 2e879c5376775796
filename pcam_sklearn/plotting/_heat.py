"""Where a network looks: Grad-CAM on every backend of Keras."""

from typing import Any

import cv2
import numpy as np
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._estimators import last_step
from pcam_sklearn.preprocessing import check_patches

__all__ = ["grad_cam"]

# Coarser maps than this say no more than "somewhere".
_LEAST_SIDE = 4
_BATCH = 64


def grad_cam(
    estimator: Any, X: Any, *, layer: str | None = None, positive: bool = True
) -> np.ndarray:
    """Compute which parts of each patch speak for a class, by Grad-CAM.

    The maps of features of one layer are weighed by the mean gradient of the network's score (the
    logit, so that certain predictions keep a gradient) and summed; what speaks against the class
    is cut off.

    Parameters
    ----------
    estimator : CNNClassifier or sklearn.pipeline.Pipeline
        The fitted classifier, or a pipeline that ends in one. Its network is a Sequential or
        functional Keras model.
    X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
        What the estimator takes: patches or paths.
    layer : str or None, default=None
        Name of the layer; None takes the last one whose maps are at least 4 x 4 and through
        which all of the network passes.
    positive : bool, default=True
        Whether to show what speaks for the second of the estimator's classes, or against it.

    Returns
    -------
    heat : ndarray of shape (n_samples, input height, input width), float32
        In [0, 1], at the size that the network sees: the center that the pipeline cuts. Every
        patch is scaled by itself to a maximum of 1; all zero where nothing speaks for the class.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If there is no such layer, its output is no stack of maps, or no layer fits.

    Notes
    -----
    Works on the backends TensorFlow, PyTorch and JAX. A map tells where the score is sensitive,
    not why, and its resolution is that of the layer.

    References
    ----------
    Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017), Grad-CAM: Visual explanations from
    deep networks via gradient-based localization, ICCV.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn import CNNClassifier
    >>> from pcam_sklearn.plotting import grad_cam
    >>> X = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    >>> clf = CNNClassifier(filters=(4, 8), epochs=1, random_state=0)
    >>> grad_cam(clf.fit(X, np.arange(40) % 2), X[:2]).shape
    (2, 32, 32)
    """
    classifier, inputs = network_inputs(estimator, X)
    body, head = _split_network(classifier.model_, layer)
    sign = 1.0 if positive else -1.0
    batches = [inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH)]
    maps = np.concatenate([_weigh(body, head, batch, sign) for batch in batches])
    height, width = inputs.shape[1:3]
    return np.stack([_fit(one, height, width) for one in maps])


def network_inputs(estimator: Any, X: Any) -> tuple[Any, np.ndarray]:
    """Return the classifier, and what its network sees of X as floats in [0, 1]."""
    check_is_fitted(estimator)
    classifier = last_step(estimator)
    if classifier is not estimator and len(estimator) > 1:
        X = estimator[:-1].transform(X)
    if not hasattr(classifier, "model_"):
        raise ValueError(
            f"{type(classifier).__name__} has no network (no model_); pass a fitted CNNClassifier, "
            "or a pipeline that ends in one."
        )
    patches = np.asarray(check_patches(X, channels=None))
    scale = np.float32(255 if patches.dtype == np.uint8 else 1)
    return classifier, patches.astype(np.float32) / scale


def _split_network(model: Any, name: str | None) -> tuple[Any, Any]:
    """Return the network up to the layer, and from there to the score."""
    if name is not None:
        known = [layer.name for layer in model.layers if _sides(layer)]
        if name not in known:
            raise ValueError(
                f"layer={name!r} is no layer with maps of features; type one of {known}."
            )
        return _cut(model, name)
    for layer in reversed(model.layers):
        sides = _sides(layer)
        if sides and min(sides) >= _LEAST_SIDE:
            try:
                return _cut(model, layer.name)
            except ValueError:  # a branch: part of the network goes past this layer
                continue
    raise ValueError(
        f"The network {model.name!r} has no layer with maps of {_LEAST_SIDE} x {_LEAST_SIDE} or "
        "more through which all of it passes; name a layer, or pass a network made of layers "
        "(keras.Sequential or keras.Model(inputs, outputs))."
    )


def _sides(layer: Any) -> tuple[int, int] | None:
    """Return height and width of the layer's maps, None where it has none."""
    try:
        shape = tuple(layer.output.shape)
    except AttributeError:  # used never or more than once
        return None
    return shape[1:3] if len(shape) == 4 and None not in shape[1:3] else None


def _cut(model: Any, name: str) -> tuple[Any, Any]:
    import keras

    twin = _logit_twin(model)
    layer = twin.get_layer(name)
    return (
        keras.Model(twin.inputs[0], layer.output),
        keras.Model(layer.output, twin.outputs[0]),
    )


def _logit_twin(model: Any) -> Any:
    """Return a copy that ends in the logit; a model that is cut would itself be changed."""
    import keras

    from pcam_sklearn._training._randomness import seeded

    with seeded(0):  # a copy draws weights before it is given those of the model
        twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    if getattr(twin.layers[-1], "activation", None) is keras.activations.sigmoid:
        twin.layers[-1].activation = keras.activations.linear
    return twin


def _weigh(body: Any, head: Any, patches: np.ndarray, sign: float) -> np.ndarray:
    from pcam_sklearn._training._backends import current_framework

    features = body(patches, training=False)
    gradient = sign * _to_numpy(current_framework().input_gradient(head, features))
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    return np.maximum((_to_numpy(features) * weights).sum(axis=3), 0)


def _to_numpy(tensor: Any) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype=np.float32)


def _fit(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a map at the size of the patch, between 0 and 1."""
    large = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    peak = large.max()
    return large / peak if peak > 0 else large

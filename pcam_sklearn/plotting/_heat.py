"""Grad-CAM maps, on every backend of Keras."""

import contextlib
from typing import Any

import cv2
import numpy as np
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._estimators import last_step, refitted
from pcam_sklearn.preprocessing import check_patches

# Coarser maps than this say no more than "somewhere".
_SMALLEST_SIDE = 4
# All features of a batch are in memory at once.
_BATCH_SIZE = 64


def grad_cam(
    estimator: Any, X: Any, *, layer: str | None = None, positive: bool = True
) -> np.ndarray:
    """Compute which parts of each patch speak for a class, by Grad-CAM, on any backend of Keras.

    The feature maps of one layer are weighted by the mean gradient of the network's score, and
    summed; negative sums become 0. The score is the logit, because the gradient of a probability
    vanishes where the prediction is certain.

    Parameters
    ----------
    estimator : CNNClassifier, sklearn.pipeline.Pipeline or GridSearchCV
        The fitted classifier, a pipeline that ends in one, or a search over either. Its network is
        Sequential or functional.
    X : array-like of shape (n_samples, height, width, 3) or (n_samples,)
        Patches, or paths of their files, whichever the estimator takes.
    layer : str or None, default=None
        Name of the layer. None takes the last layer that has maps of at least 4 x 4 and lies on
        every path through the network.
    positive : bool, default=True
        True gives the evidence for the second of the classes, False the evidence against it.

    Returns
    -------
    heat : ndarray of shape (n_samples, input height, input width), float32
        One map per patch, in [0, 1], at the size of the network's input: the center that the
        pipeline cuts. Each has a maximum of 1, or is 0 where nothing speaks for the class.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If there is no network, no suitable layer, or the layer is unknown or has no feature maps.

    Notes
    -----
    A map tells where the score is sensitive, not why. Its resolution is that of the layer.

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
    >>> clf = CNNClassifier("residual", filters=(4, 8), epochs=1, random_state=0)
    >>> grad_cam(clf.fit(X, np.arange(40) % 2), X[:2]).shape
    (2, 32, 32)
    """
    classifier, inputs = compute_network_input(estimator, X)
    body, head = _split_network(classifier.model_, layer)
    sign = 1.0 if positive else -1.0
    starts = range(0, len(inputs), _BATCH_SIZE)
    batches = [inputs[start : start + _BATCH_SIZE] for start in starts]
    maps = np.concatenate([_weight_features(body, head, batch, sign) for batch in batches])
    height, width = inputs.shape[1:3]
    return np.stack([_enlarge(heat, height, width) for heat in maps])


def compute_network_input(estimator: Any, X: Any) -> tuple[Any, np.ndarray]:
    """Return the classifier, and the input of its network for X as floats in [0, 1]."""
    check_is_fitted(estimator)
    estimator = refitted(estimator)
    classifier = last_step(estimator)
    if classifier is not estimator and len(estimator) > 1:
        X = estimator[:-1].transform(X)
    if not hasattr(classifier, "model_"):
        raise ValueError(
            f"{type(classifier).__name__} has no network; pass a fitted CNNClassifier, "
            "or a pipeline that ends in one."
        )
    patches = np.asarray(check_patches(X, channels=None))
    classifier._check_shape(patches.shape)
    # Bytes and the floats made from them get the same map: both leave here on one scale.
    scale = np.float32(255 if patches.dtype == np.uint8 else 1)
    return classifier, patches.astype(np.float32) / scale


def _split_network(model: Any, name: str | None) -> tuple[Any, Any]:
    """Return the network up to the layer, and the network from there to the score."""
    if name is None:
        return _split_at_last_maps(model)
    known = [layer.name for layer in _layers_with_maps(model)]
    if name not in known:
        raise ValueError(f"layer={name!r} is not a layer with feature maps; type one of {known}.")
    return _split_at(model, name)


def _split_at_last_maps(model: Any) -> tuple[Any, Any]:
    for layer in reversed(_layers_with_maps(model)):
        if min(_get_map_size(layer) or (0,)) >= _SMALLEST_SIDE:
            # Keras cannot split a network inside a branch, because the rest bypasses the layer.
            with contextlib.suppress(ValueError):
                return _split_at(model, layer.name)
    fault = (
        f"The network {model.name!r} has no layer with maps of {_SMALLEST_SIDE} x {_SMALLEST_SIDE} "
        "or more that lies on every path through it"
    )
    nested = [layer.name for layer in model.layers if hasattr(layer, "layers")]
    if nested:
        raise ValueError(
            f"{fault}: {nested[0]!r} is a network within it, whose layers have no maps here; pass "
            "a network whose layers are all in one keras.Model(inputs, outputs)."
        )
    raise ValueError(
        f"{fault}; name a layer with layer=..., or pass a network made of layers "
        "(keras.Sequential or keras.Model(inputs, outputs))."
    )


def _layers_with_maps(model: Any) -> list[Any]:
    """Return the layers with maps of features; before the first kernel they show the image."""
    has_kernel = [any(len(w.shape) > 1 for w in layer.weights) for layer in model.layers]
    first = has_kernel.index(True) if True in has_kernel else len(has_kernel)
    return [layer for layer in model.layers[first:] if _get_map_size(layer)]


def _get_map_size(layer: Any) -> tuple[int, int] | None:
    """Return height and width of the layer's feature maps, or None if it has no maps."""
    try:
        shape = tuple(layer.output.shape)
    except AttributeError:
        # Keras gives an output only for layers that were called exactly once.
        return None
    return shape[1:3] if len(shape) == 4 and None not in shape[1:3] else None


def _split_at(model: Any, name: str) -> tuple[Any, Any]:
    import keras

    # A split would change the model, so a copy is split.
    twin = _copy_with_logit(model)
    layer = twin.get_layer(name)
    body = keras.Model(twin.inputs[0], layer.output)
    return body, keras.Model(layer.output, twin.outputs[0])


def _copy_with_logit(model: Any) -> Any:
    """Return a copy of the model whose output is the logit."""
    import keras

    from pcam_sklearn._training._randomness import seeded

    # The copy draws weights before it gets the model's; the caller's random state must not move.
    with seeded(0):
        # Keras would copy how the model is compiled too, and fails where there is no optimizer.
        twin = keras.models.clone_model(keras.Model(model.inputs, model.outputs))
    twin.set_weights(model.get_weights())
    if getattr(twin.layers[-1], "activation", None) is keras.activations.sigmoid:
        twin.layers[-1].activation = keras.activations.linear
    return twin


def _weight_features(body: Any, head: Any, patches: np.ndarray, sign: float) -> np.ndarray:
    """Return the sum of the feature maps, each times its mean gradient, and at least 0."""
    from pcam_sklearn._training._backends import current_framework

    features = body(patches, training=False)
    gradient = sign * _to_numpy(current_framework().input_gradient(head, features))
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    return np.maximum((_to_numpy(features) * weights).sum(axis=3), 0)


def _to_numpy(tensor: Any) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype=np.float32)


def _enlarge(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the map at the size of the patch, scaled to a maximum of 1."""
    large = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    peak = large.max()
    # A map of zeros has no maximum to divide by.
    return large / peak if peak > 0 else large

"""The views of patches inside a graph.

Channels come first, as ONNX Runtime has them: it then turns whole planes of bytes.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from pcam_sklearn._training._backends import current_framework
from pcam_sklearn.augmentation._views import Views, c4_views, d4_views, find_views
from pcam_sklearn.classifier import CNNClassifier
from pcam_sklearn.networks import Enlargement
from pcam_sklearn.networks._by_name import network_name

Split = tuple[list[layers.Layer], keras.Model]  # What precedes the views, and the network behind.


def split_network(classifier: CNNClassifier) -> Split:
    """Return the layers up to an enlargement, if there is one, and the network that follows.

    They may precede the views: a patch that is enlarged before it is turned is enlarged once.
    """
    blueprint, network = classifier.trainer_.blueprint, classifier.model_
    if blueprint.parameters["network"] != _ENLARGES:
        return [], network
    # Keras adds nodes to the layers from which it makes another network, so these are new ones.
    copied = blueprint.build_network(type(classifier), weights_follow=True)
    copied.set_weights(network.get_weights())
    _, *before, enlargement = copied.layers[:3]
    if not isinstance(enlargement, Enlargement):
        return [], network
    return [*before, enlargement], keras.Model(enlargement.output, copied.output)


def average_over_views(classifier: CNNClassifier, parts: Split, patches: Any) -> Any:
    """Return the output of a split network for bytes, averaged over the views of each patch."""
    built = network_name(classifier.trainer_.blueprint.parameters["network"])
    views = find_views(classifier.test_time_augmentation, classifier.X_shape_, built)
    before, network = parts
    x = ops.cast(ops.transpose(patches, (0, 3, 1, 2)), "float32") / 255
    for layer in before:
        x = _enlarge(layer, x) if isinstance(layer, Enlargement) else layer(x)
    turned = [x] if views is None else _VIEWS[views](x)
    # One pass over all views needs one network.
    x = ops.transpose(ops.concatenate(turned, axis=0), (0, 2, 3, 1))
    output = network(x, training=False)
    return ops.mean(ops.reshape(output, (len(turned), -1, 1)), axis=0)


def _enlarge(enlargement: Enlargement, x: Any) -> Any:
    """Return patches enlarged as channels of one patch, which ONNX Runtime shares among threads."""
    n_channels, height, width = x.shape[1:]
    as_one = ops.transpose(ops.reshape(x, (1, -1, height, width)), (0, 2, 3, 1))
    x = ops.transpose(enlargement(as_one), (0, 3, 1, 2))
    return ops.reshape(x, (-1, n_channels, enlargement.height, enlargement.width))


def _quarter_turns(x: Any) -> list[Any]:
    views = [x]
    for _ in range(3):
        views.append(current_framework().upside_down(_across(views[-1])))
    return views


def _turns_and_mirrors(x: Any) -> list[Any]:
    views = _quarter_turns(x)
    return views + [_across(view) for view in views]


def _across(x: Any) -> Any:
    return ops.transpose(x, (0, 1, 3, 2))


_ENLARGES = "efficientnet-lite0"  # The network that begins with scaling and an enlargement.
_VIEWS: dict[Views, Callable[[Any], list[Any]]] = {
    c4_views: _quarter_turns,
    d4_views: _turns_and_mirrors,
}

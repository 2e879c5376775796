"""From files to patches, from patches to the input of a network: stateless transformers."""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_array, check_scalar

__all__ = ["CenterCropNormalizer", "PatchReader"]

_NAMED = 5


class _StatelessPatchTransformer(TransformerMixin, BaseEstimator):
    """What both transformers share: there is nothing to learn, and X holds images."""

    def fit(self, X: Any, y: Any = None) -> "_StatelessPatchTransformer":
        """Check the parameters; nothing is learned and X is not read.

        Parameters
        ----------
        X : array-like
            Ignored, present by scikit-learn's convention.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : object
            The transformer.

        Raises
        ------
        TypeError, ValueError
            If a parameter is outside of what the class documents.
        """
        self._check_parameters()
        return self

    def _check_parameters(self) -> None:
        """Raise if a parameter is not allowed."""

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        return tags


class PatchReader(_StatelessPatchTransformer):
    """Read image files into one uint8 RGB array; arrays pass through unchanged.

    The first step of a pipeline that takes file paths. Channels are always red, green, blue,
    whatever OpenCV's own order is, and gray or transparent images become RGB.

    See Also
    --------
    CenterCropNormalizer : Turn the patches into the input of a network.

    Examples
    --------
    >>> import tempfile, cv2, numpy as np
    >>> from pcam_sklearn import PatchReader
    >>> patch = np.zeros((96, 96, 3), dtype=np.uint8)
    >>> patch[..., 0] = 255  # red, in RGB
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/patch.png"
    ...     _ = cv2.imwrite(path, patch[..., ::-1])
    ...     X = PatchReader().fit_transform([path])
    >>> X.shape, X.dtype.name, bool((X[0] == patch).all())
    ((1, 96, 96, 3), 'uint8', True)
    """

    def transform(self, X: Any) -> np.ndarray:
        """Read the files named by X, or return the patches X.

        Parameters
        ----------
        X : array-like of str or path, shape (n_samples,), or \
            ndarray of shape (n_samples, height, width, 3)
            Paths of image files of one common size in any format OpenCV reads, or patches.

        Returns
        -------
        patches : ndarray of shape (n_samples, height, width, 3)
            uint8 RGB where X holds paths; otherwise X itself.

        Raises
        ------
        ValueError
            If X is empty, or neither 1-D paths nor 4-D patches; if files are missing, cannot be
            decoded or differ in size: all of them are counted and the first ones named.
        """
        if getattr(X, "ndim", None) == 4:
            return X
        return _read_files(_as_paths(X))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags


def _as_paths(X: Any) -> list[str]:
    """Return X as a list of paths, or say what X should have been."""
    values = np.asarray(X, dtype=None if hasattr(X, "dtype") else object)
    if values.ndim == 4:
        raise ValueError(
            f"X is a {type(X).__name__} of images; pass an array: np.asarray(X, dtype=np.uint8)."
        )
    if values.ndim != 1 or values.dtype.kind not in "OUT":
        raise ValueError(
            "X must be a 1-D array of file paths, or patches of shape (n_samples, height, width, 3)"
            f"; got shape {values.shape} and dtype {values.dtype}."
            + (" For a single patch pass X[np.newaxis]." if values.ndim == 3 else "")
            + (" For a single path pass [path]." if values.ndim == 0 else "")
        )
    if not len(values):
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required: no path.")
    wrong = [v for v in values if not isinstance(v, str) and not hasattr(v, "__fspath__")]
    if wrong:
        raise ValueError(
            f"X must hold paths (str or pathlib.Path); {len(wrong)} of {len(values)} are not, "
            f"the first is {wrong[0]!r} of type {type(wrong[0]).__name__}."
        )
    return [str(v) for v in values]


def _read_files(paths: list[str]) -> np.ndarray:
    """Read every file, or raise one error that speaks of all that failed."""
    first = next((p for p in map(_read_rgb, paths) if p is not None), None)
    if first is None:
        raise ValueError(_failure(paths, paths, "cannot be read as images (missing or damaged)"))
    patches = np.empty((len(paths), *first.shape), dtype=np.uint8)
    unreadable, misshapen = [], []
    for i, path in enumerate(paths):
        patch = _read_rgb(path)
        if patch is None:
            unreadable.append(path)
        elif patch.shape != first.shape:
            misshapen.append(f"{path} {patch.shape}")
        else:
            patches[i] = patch
    if unreadable:
        raise ValueError(
            _failure(unreadable, paths, "cannot be read as images (missing or damaged)")
        )
    if misshapen:
        raise ValueError(
            _failure(misshapen, paths, f"differ from the first patch's shape {first.shape}")
            + " Patches of one call must have one size: resize the files, or read them apart."
        )
    return patches


def _read_rgb(path: str) -> np.ndarray | None:
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _failure(bad: list[str], everything: Iterable[str], what: str) -> str:
    named = ", ".join(bad[:_NAMED]) + (", ..." if len(bad) > _NAMED else "")
    return f"{len(bad)} of {len(list(everything))} files {what}: {named}."


class CenterCropNormalizer(_StatelessPatchTransformer):
    """Cut the center of each patch and scale it to [0, 1].

    Only the center of a patch decides its label; the border is context. Patches of another size
    than `input_size` are resized first, so that a crop always shows the same piece of tissue.

    Parameters
    ----------
    crop_size : int, default=32
        Side of the center that is kept, in pixels, 1 to `input_size`. 32 is the labelled center,
        96 keeps the whole patch.
    input_size : int, default=96
        Side to which patches of another size are resized, in pixels.
    dtype : {"float32", "uint8"}, default="float32"
        ``"float32"`` scales to [0, 1]. ``"uint8"`` keeps bytes and leaves the scaling to the
        network's first layer: the same probabilities from a quarter of the memory.

    See Also
    --------
    PatchReader : Read image files into patches.

    Notes
    -----
    Nothing is learned from the data, so nothing can leak from a test set.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn import CenterCropNormalizer
    >>> X = np.full((2, 96, 96, 3), 255, dtype=np.uint8)
    >>> Xt = CenterCropNormalizer(crop_size=32).fit_transform(X)
    >>> Xt.shape, Xt.dtype.name, float(Xt.max())
    ((2, 32, 32, 3), 'float32', 1.0)
    """

    def __init__(self, crop_size: int = 32, input_size: int = 96, dtype: str = "float32") -> None:
        self.crop_size = crop_size
        self.input_size = input_size
        self.dtype = dtype

    def transform(self, X: Any) -> np.ndarray:
        """Resize what has another size, cut the center, scale.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, 3)
            RGB patches: uint8, or floats that already lie in [0, 1] and are not scaled again.

        Returns
        -------
        patches : ndarray of shape (n_samples, crop_size, crop_size, 3)
            float32 in [0, 1], or uint8 by `dtype`. uint8 from uint8 of the right size is a view
            of X; floats become the nearest of 256 levels, which is exact for bytes / 255.

        Raises
        ------
        ValueError
            If X is empty, has another shape or dtype, or holds floats that are NaN or lie
            outside [0, 1].
        """
        self._check_parameters()
        X = check_patches(X)
        if X.shape[1:3] != (self.input_size, self.input_size):
            X = _resize(X, self.input_size)
        start = (self.input_size - self.crop_size) // 2
        window = slice(start, start + self.crop_size)
        return _convert(X[:, window, window], self.dtype)

    def _check_parameters(self) -> None:
        check_scalar(self.input_size, "input_size", (int, np.integer), min_val=1)
        check_scalar(
            self.crop_size, "crop_size", (int, np.integer), min_val=1, max_val=self.input_size
        )
        if self.dtype not in ("float32", "uint8"):
            raise ValueError(f"dtype must be 'float32' or 'uint8', got {self.dtype!r}.")


def check_patches(X: Any, *, channels: int | None = 3) -> np.ndarray:
    """Return X as 4-D images that are uint8 or floats in [0, 1], without copying an array.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width, channels)
        The images.
    channels : int or None, default=3
        The number of channels that X must have; None allows any.

    Returns
    -------
    X : ndarray of shape (n_samples, height, width, channels)
        The images; a memory map stays one.

    Raises
    ------
    ValueError
        If X is empty, not 4-D, of another dtype, NaN, or outside [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn.preprocessing import check_patches
    >>> check_patches(np.zeros((1, 96, 96, 3), dtype=np.uint8)).shape
    (1, 96, 96, 3)
    """
    X = check_array(X, dtype=None, ensure_2d=False, allow_nd=True, ensure_all_finite=False)
    if X.ndim != 4 or (channels is not None and X.shape[3] != channels):
        wanted = f"(n_samples, height, width, {channels or 'channels'})"
        raise ValueError(
            f"X must hold patches of shape {wanted}, got {X.shape}."
            + (" For a single patch pass X[np.newaxis]." if X.ndim == 3 else "")
            + (" File paths go through PatchReader first." if X.dtype.kind in "OUT" else "")
        )
    if X.dtype.kind == "f":
        _check_unit_range(X)
    elif X.dtype != np.uint8:
        raise ValueError(
            f"X must be uint8 in 0..255 or floats in [0, 1], got dtype {X.dtype}; "
            "for bytes in another integer type pass X.astype(np.uint8)."
        )
    return X


def _check_unit_range(X: np.ndarray) -> None:
    low, high = X.min(), X.max()
    if np.isnan(low):
        raise ValueError("Input X contains NaN; patches must be uint8, or floats in [0, 1].")
    if low < 0 or high > 1:
        raise ValueError(
            f"Float patches must already lie in [0, 1], got values from {low:g} to {high:g}; "
            "pass the bytes themselves as uint8, X.astype(np.uint8), or divide them by 255 first."
        )


def _resize(X: np.ndarray, size: int) -> np.ndarray:
    # Averaging over areas is the one of OpenCV's filters that does not alias when it shrinks.
    shrinks = X.shape[1] >= size and X.shape[2] >= size
    filter_ = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    dtype = np.uint8 if X.dtype == np.uint8 else np.float32
    resized = np.empty((len(X), size, size, X.shape[3]), dtype=dtype)
    for i, patch in enumerate(X):
        resized[i] = cv2.resize(
            patch.astype(dtype, copy=False), (size, size), interpolation=filter_
        )
    return resized


def _convert(X: np.ndarray, dtype: str) -> np.ndarray:
    if X.dtype == np.uint8:
        return X if dtype == "uint8" else np.divide(X, np.float32(255), dtype=np.float32)
    if dtype == "uint8":
        return np.rint(X * np.float32(255)).astype(np.uint8)
    return X.astype(np.float32)

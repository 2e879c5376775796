"""From files to patches, from patches to the input of a network: stateless transformers."""

import os
from collections.abc import Iterable
from functools import partial
from typing import Any

import cv2
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_scalar

from pcam_sklearn._masked import refuse_masked
from pcam_sklearn._reading._batches import reads_at_once
from pcam_sklearn._reading._checks import check_patches
from pcam_sklearn._reading._patch_files import PatchFiles, explain_failures, open_image
from pcam_sklearn._sklearn_callbacks import CallbackSupportMixin, with_callbacks

__all__ = ["CenterCropNormalizer", "PatchReader", "check_patches"]


class _StatelessPatchTransformer(CallbackSupportMixin, TransformerMixin, BaseEstimator):
    """A transformer of images that learns nothing."""

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> "_StatelessPatchTransformer":
        """Check the parameters; learn nothing and leave X unread.

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
            If a parameter is not as the class documents it.
        """
        self._check_parameters()
        task = self._init_callback_context()
        task.call_on_fit_task_begin(estimator=self, X=X, y=y)
        task.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
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
    """Read image files as uint8 RGB patches; arrays pass through unchanged.

    The first step of a pipeline that takes file paths. Channels are always red, green, blue, unlike
    OpenCV's own. Gray images and those of 16 bits become RGB bytes. Kaggle's files, uncompressed
    TIFF, are read by offset. TIFF, PNG, JPEG, WebP, BMP and binary PNM are read. Any other format
    is an error, and so is an image with a pixel that is not certain.

    Parameters
    ----------
    crop_size : int or None, default=None
        Side of the center to read from each file, in pixels. None reads all of it. Set it only
        where the reader is used by itself: in a pipeline `CenterCropNormalizer` cuts, and the
        reader reads no more than that needs.
    in_memory : bool or "auto", default="auto"
        True returns an array. False returns an object that reads its files when it is indexed, for
        patches larger than memory; `numpy.asarray` reads it whole. "auto" returns an array up to
        256 MB of pixels.

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

    def __init__(self, crop_size: int | None = None, in_memory: bool | str = "auto") -> None:
        self.crop_size = crop_size
        self.in_memory = in_memory

    def transform(self, X: Any) -> Any:
        """Read the files named by X, or return the patches X.

        Parameters
        ----------
        X : array-like of str or path, shape (n_samples,), or \
            ndarray of shape (n_samples, height, width, 3)
            Paths of image files of one common size, or patches.

        Returns
        -------
        patches : array of shape (n_samples, height, width, 3)
            Bytes of RGB if X holds paths: an ndarray, or, by `in_memory`, an object that reads when
            it is indexed. X itself if X holds patches.

        Raises
        ------
        TypeError
            If a parameter is of another type than documented, such as ``crop_size="32"``.
        ValueError
            If a parameter is not as documented, or X is neither 1-D paths, at least one, nor 4-D
            patches. If files are missing, cannot be decoded, have transparent pixels or more than
            4,096 x 4,096, differ in size or are smaller than the crop: the message counts all of
            them and names the first ones, each with a reason. Files that are read later raise
            later.
        """
        self._check_parameters()
        if getattr(X, "ndim", None) == 4:
            return X
        paths = _as_paths(X)
        files = PatchFiles(paths, self._file_shape(paths), self.crop_size)
        in_memory = reads_at_once(files) if self.in_memory == "auto" else self.in_memory
        return np.asarray(files) if in_memory else files

    def _check_parameters(self) -> None:
        if self.crop_size is not None:
            check_scalar(self.crop_size, "crop_size", (int, np.integer), min_val=1)
        if self.in_memory not in (True, False, "auto"):
            raise ValueError(f"in_memory must be True, False or 'auto', got {self.in_memory!r}.")

    def _file_shape(self, paths: np.ndarray) -> tuple[int, int, int]:
        """Return the shape of the first image that can be read."""
        images = ((path, open_image(path)) for path in paths)
        readable = ((path, image.shape) for path, image in images if not isinstance(image, str))
        path, shape = next(readable, ("", None))
        if shape is None:
            raise explain_failures(paths, (0, 0, 3))
        if self.crop_size is not None and self.crop_size > min(shape[:2]):
            raise ValueError(
                f"crop_size={self.crop_size} is more than the images hold: {path} has "
                f"{shape[1]} x {shape[0]} pixels; pass at most {min(shape[:2])}."
            )
        return (shape[0], shape[1], 3)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags


def _as_paths(X: Any) -> np.ndarray:
    """Return X as a 1-D array of paths, or raise ValueError that says what X should be."""
    refuse_masked(X, "paths")
    values = np.asarray(X, dtype=None if hasattr(X, "dtype") else object)
    if values.ndim == 4:
        raise ValueError(f"X is a {type(X).__name__} of images; pass an array: np.asarray(X).")
    if values.ndim != 1 or values.dtype.kind not in "OUT":
        raise ValueError(
            "X must be a 1-D array of file paths, or patches of shape (n_samples, height, width, 3)"
            f"; got {_describe(X, values)}."
        )
    if not len(values):
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required: no path.")
    values = values.tolist()
    wrong = [v for v in values if not isinstance(v, str) and not hasattr(v, "__fspath__")]
    if wrong:
        raise ValueError(
            f"X must hold paths (str or pathlib.Path); {len(wrong)} of {len(values)} are not, "
            f"the first is {wrong[0]!r} of type {type(wrong[0]).__name__}."
            + " For paths in bytes pass [os.fsdecode(path) for path in X]."
            * isinstance(wrong[0], bytes)
        )
    return np.array([os.fspath(v) for v in values], dtype=object)


def _describe(X: Any, values: np.ndarray) -> str:
    """Describe X, and name what to pass instead where that is plain."""
    found = f"shape {values.shape} and dtype {values.dtype}"
    if values.ndim == 0 and isinstance(X, Iterable) and not isinstance(X, str | bytes):
        # A set has no order for the predictions to be in.
        listed = "sorted" if isinstance(X, set | frozenset) else "list"
        return f"a {type(X).__name__}; pass {listed}(X)"
    if values.ndim == 0:
        return f"{found}. For a single path pass [path]"
    if values.ndim == 3:
        return f"{found}. For a single patch pass X[np.newaxis]"
    if values.ndim == 2 and 1 in values.shape:
        return f"{found}. For a column of paths pass np.ravel(X)"
    if values.dtype.kind == "S":
        return f"{found}. For paths in bytes pass [os.fsdecode(path) for path in X]"
    return found


class CenterCropNormalizer(_StatelessPatchTransformer):
    """Cut the center of each patch and scale it to [0, 1].

    Only the center of a patch decides its label; the border is context. Patches of another size
    than `input_size` are resized first, so a crop always shows the same piece of tissue.

    Parameters
    ----------
    crop_size : int, default=32
        Side of the center that is kept, in pixels, 1 to `input_size`. 32 is the labelled center,
        96 keeps the whole patch.
    input_size : int, default=96
        Side to which patches of another size are resized, in pixels.
    dtype : {"float32", "uint8"}, default="float32"
        ``"float32"`` scales to [0, 1]. ``"uint8"`` keeps bytes and leaves the scaling to the
        network's first layer. Probabilities are the same, for a quarter of the memory.

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

    def transform(self, X: Any) -> Any:
        """Resize what has another size, cut the center, scale.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, 3)
            RGB patches: uint8, or floats that already lie in [0, 1] and are not scaled again.

        Returns
        -------
        patches : array of shape (n_samples, crop_size, crop_size, 3)
            Of float32 in [0, 1], or uint8, by `dtype`. Files that `PatchReader` left unread stay
            unread. uint8 from uint8 of the right size is a view of X. Floats become the nearest of
            256 levels, which is exact for bytes / 255.

        Raises
        ------
        TypeError
            If a parameter is of another type than documented, such as ``crop_size="32"``.
        ValueError
            If X is empty, has another shape or dtype, or holds floats that are NaN or lie
            outside [0, 1].
        """
        self._check_parameters()
        X = check_patches(X)
        if not isinstance(X, PatchFiles):
            return _prepare(X, self.input_size, self.crop_size, self.dtype)
        shape = (self.crop_size, self.crop_size, 3)
        if X.is_whole and X.shape[1:3] == (self.input_size, self.input_size):
            # The crop needs no resizing, so the reader can read the center alone.
            return X.mapped(partial(scale, dtype=self.dtype), shape, self.dtype, self.crop_size)
        prepare = partial(
            _prepare, input_size=self.input_size, crop_size=self.crop_size, dtype=self.dtype
        )
        return X.mapped(prepare, shape, self.dtype)

    def _check_parameters(self) -> None:
        check_scalar(self.input_size, "input_size", (int, np.integer), min_val=1)
        check_scalar(
            self.crop_size, "crop_size", (int, np.integer), min_val=1, max_val=self.input_size
        )
        if self.dtype not in ("float32", "uint8"):
            raise ValueError(f"dtype must be 'float32' or 'uint8', got {self.dtype!r}.")


def _prepare(X: np.ndarray, input_size: int, crop_size: int, dtype: str) -> np.ndarray:
    start = (input_size - crop_size) // 2
    window = slice(start, start + crop_size)
    if X.shape[1:3] == (input_size, input_size):
        return scale(X[:, window, window], dtype)
    return scale(_resize(X, input_size, window), dtype)


def _resize(X: np.ndarray, size: int, window: slice) -> np.ndarray:
    """Return the center of each resized patch; only one patch is whole at a time."""
    side, dtype = window.stop - window.start, np.uint8 if X.dtype == np.uint8 else np.float32
    resized = np.empty((len(X), side, side, X.shape[3]), dtype=dtype)
    for i, patch in enumerate(X):
        resized[i] = _resize_patch(patch.astype(dtype, copy=False), size)[window, window]
    # The average of ones may be a rounding error above one, which a classifier would refuse.
    return resized if dtype is np.uint8 else np.clip(resized, 0, 1, out=resized)


def _resize_patch(patch: np.ndarray, size: int) -> np.ndarray:
    height, width = patch.shape[:2]
    smaller = (min(width, size), min(height, size))
    # Of OpenCV's filters, only the mean over areas does not alias where it shrinks an image, and
    # it is no good where it enlarges one.
    if smaller != (width, height):
        patch = cv2.resize(patch, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (size, size):
        patch = cv2.resize(patch, (size, size), interpolation=cv2.INTER_LINEAR)
    return patch


def scale(X: np.ndarray, dtype: str) -> np.ndarray:
    """Return bytes or floats in [0, 1] as bytes, or as floats of 32 bits."""
    if X.dtype == np.uint8:
        return X if dtype == "uint8" else np.divide(X, np.float32(255), dtype=np.float32)
    if dtype == "uint8":
        return np.rint(X * np.float32(255)).astype(np.uint8)
    return X.astype(np.float32)

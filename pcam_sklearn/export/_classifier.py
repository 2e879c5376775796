"""A classifier that computes an ONNX file, without Keras."""

import os
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import Tags, check_scalar

from pcam_sklearn._errors import ModelFileError
from pcam_sklearn._files import expand_home
from pcam_sklearn._reading._batches import in_batches
from pcam_sklearn._reading._checks import check_patches
from pcam_sklearn.export._facts import Facts
from pcam_sklearn.export._seal import check_seal
from pcam_sklearn.export._session import open_session, read_facts, run
from pcam_sklearn.preprocessing import CenterCropNormalizer, PatchReader, scale

_MOST_THREADS = 1024
_MOST_BYTES = 2**31  # The format has no larger files.
_ROUNDING = 1e-7
_UNBOUND = ("_opened", "_opened_as")  # A session is bound to its process.


class OnnxClassifier(ClassifierMixin, BaseEstimator):
    """A fitted classifier in an ONNX file, computed by ONNX Runtime.

    It gives the probabilities of the pipeline that :func:`export_onnx` wrote to the file. Neither
    Keras nor TensorFlow has to be installed. The file is read when it is first needed. A pickle
    holds the content of the file, so it works where the file is not, and so do its clones.

    Parameters
    ----------
    path : path-like
        A file that :func:`export_onnx` wrote.
    n_threads : int or None, default=None
        Number of threads that compute one prediction, 1 to 1,024. None takes all cores.
    batch_size : int, default=16
        Number of patches computed at once, at least 1.
    providers : sequence of str, default=("CPUExecutionProvider",)
        Where to compute, as ONNX Runtime names it. With the package ``onnxruntime-gpu``,
        ``("CUDAExecutionProvider", "CPUExecutionProvider")`` computes on a GPU.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels.
    groups_ : ndarray of shape (n_slides,) or None
        The slides that the pipeline was trained on, if its fit got them.
    groups_complete_ : bool
        Whether `groups_` names the slides of all patches that the pipeline learned from.
    metadata_ : dict
        What the file says: ``operating_point``, ``data_sha256``, ``metrics``, ``versions``, and
        other facts that the exporter gave.

    See Also
    --------
    export_onnx : Write the file, with an example.
    make_onnx_pipeline : Read image files, then classify them.

    Notes
    -----
    The graph takes bytes. Patches of floats in [0, 1] become the nearest of 256 levels, which is
    exact for bytes / 255.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        n_threads: int | None = None,
        batch_size: int = 16,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self.path = path
        self.n_threads = n_threads
        self.batch_size = batch_size
        self.providers = providers

    def fit(self, X: Any, y: Any = None) -> Self:
        """Read the file, and learn nothing: the classifier is fitted.

        Parameters
        ----------
        X : array-like
            Ignored, present by scikit-learn's convention.
        y : array-like, default=None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        OSError, ModelFileError, ValueError
            As in `predict_proba`.
        """
        if "_content" in vars(self) and expand_home(self.path).exists():
            # The file may have been written again. Where there is no file, a pickle has brought it.
            again = type(self)(**self.get_params())
            again._open()
            self.__dict__.update(vars(again))
        self._open()  # Raises if the file is no good.
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of both classes for each patch.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels)
            Patches of the exported pipeline's input size: uint8, or floats in [0, 1].

        Returns
        -------
        probabilities : ndarray of shape (n_samples, 2)
            float64; columns in the order of `classes_`, rows sum to 1.

        Raises
        ------
        OSError
            If the file cannot be read.
        ModelFileError
            If :func:`export_onnx` did not write the file, or it is damaged. It is a ValueError.
        ImportError
            If ``onnxruntime`` is not installed.
        ValueError
            If X or a parameter is not as documented.
        """
        batch_size = check_scalar(self.batch_size, "batch_size", Integral, min_val=1)
        X = check_patches(X, channels=None)
        session, facts = self._open()
        name = os.fspath(self.path)
        if X.shape[1:] != facts.patch_shape:
            advice = "use make_onnx_pipeline, which resizes them"
            if not facts.resizes:
                advice = "resize them, or export a pipeline that has a CenterCropNormalizer"
            raise ValueError(
                f"X has patches of shape {X.shape[1:]}, but {name} takes {facts.patch_shape}; "
                f"{advice}."
            )
        positive = np.empty(len(X))
        done = 0
        for batch in in_batches(X, batch_size):
            positive[done : done + len(batch)] = run(session, as_bytes(batch), name)
            done += len(batch)
        if not ((positive >= 0) & (positive <= 1)).all():
            raise ValueError(
                f"{name} gives values that are no probabilities, such as "
                f"{positive[~((positive >= 0) & (positive <= 1))][0]:g}; export it again."
            )
        return np.column_stack([1 - positive, positive])

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of each patch, as the exported pipeline does.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels)
            Patches, as in `predict_proba`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Values of `classes_`: the more probable one, or by the threshold if the pipeline was
            exported with a classifier that has one.
        """
        probabilities, facts = self.predict_proba(X), self._open()[1]
        if facts.threshold is None:
            return self.classes_[probabilities.argmax(axis=1)]
        above = self.classes_.tolist().index(facts.above)
        # The file computes in 32 bits, and the threshold may be a value that many patches have.
        reached = probabilities[:, above] >= facts.threshold - _ROUNDING
        return self.classes_[np.where(reached, above, 1 - above)]

    @property
    def classes_(self) -> np.ndarray:
        """The labels, in the order of the columns of `predict_proba`."""
        return self._told("classes")

    @property
    def groups_(self) -> np.ndarray | None:
        """The slides that the exported pipeline was trained on, or None."""
        return self._told("slides")

    @property
    def groups_complete_(self) -> bool:
        """True if `groups_` names the slides of all patches that the pipeline learned from."""
        return self._told("slides_complete")

    @property
    def metadata_(self) -> dict[str, Any]:
        """Facts about the model, out of the file."""
        return self._told("metadata")

    def _told(self, name: str) -> Any:
        """Return a fact, or raise the error by which `hasattr` is False: scikit-learn asks it."""
        try:
            return getattr(self._open()[1], name)
        except (OSError, ImportError, ValueError, TypeError) as error:
            raise AttributeError(str(error)) from error

    def _open(self) -> tuple[Any, Facts]:
        """Return the session and the facts of the file, opened once for the same parameters."""
        if not isinstance(self.path, str | os.PathLike):
            raise TypeError(f"path must be the path of an ONNX file, got {self.path!r}.")
        name, n_threads = os.fspath(self.path), 0  # No number of threads: all cores.
        if self.n_threads is not None:
            bounds = {"min_val": 1, "max_val": _MOST_THREADS}
            n_threads = check_scalar(self.n_threads, "n_threads", Integral, **bounds)
        key = (name, int(n_threads), _names(self.providers))
        if self.__dict__.get("_opened_as") != key:
            content = self._read()
            session = open_session(content, *key)
            facts = read_facts(session, name)
            check_seal(content, name)
            self._opened, self._opened_as = (session, facts), key
        return self._opened

    def _read(self) -> bytes:
        """Return the content of the file, which a pickle brings along."""
        name = os.fspath(self.path)
        if self.__dict__.get("_content_of") != name:
            file = expand_home(name)
            if file.stat().st_size > _MOST_BYTES:
                raise ModelFileError(f"{name} cannot be loaded: no ONNX file has over 2 GB.")
            self._content, self._content_of = file.read_bytes(), name
        return self._content

    def __getstate__(self) -> dict[str, Any]:
        self._read()  # The file may not be where the pickle goes.
        return {name: v for name, v in super().__getstate__().items() if name not in _UNBOUND}

    def __sklearn_clone__(self) -> Self:
        copied = super().__sklearn_clone__()
        content = {name: v for name, v in vars(self).items() if name in ("_content", "_content_of")}
        vars(copied).update(content)  # The file may not be here, but only in the pickle.
        return copied

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        return tags


def make_onnx_pipeline(path: str | os.PathLike[str], **parameters: Any) -> Pipeline:
    """Return a fitted pipeline from image files or patches to the probabilities of an ONNX file.

    Parameters
    ----------
    path : path-like
        A file that :func:`export_onnx` wrote.
    **parameters : dict
        Parameters of :class:`OnnxClassifier`, such as `n_threads`.

    Returns
    -------
    pipeline : Pipeline
        The steps ``patchreader``, ``centercropnormalizer`` if the exported pipeline resizes patches
        of another size, and ``onnxclassifier``. It predicts what the exported pipeline predicts.

    Raises
    ------
    OSError, ModelFileError, ImportError
        As in :meth:`OnnxClassifier.predict_proba`.

    See Also
    --------
    export_onnx : Write the file, with an example.
    """
    classifier = OnnxClassifier(path, **parameters)
    return make_pipeline(*preparation(classifier._open()[1]), classifier)


def preparation(facts: Facts) -> Pipeline:
    """Return the steps from image files or patches to the bytes that a graph takes."""
    reader, side = PatchReader(crop_size=facts.reader_crop_size), facts.patch_shape[0]
    if not facts.resizes:
        return make_pipeline(reader)
    return make_pipeline(reader, CenterCropNormalizer(side, side, dtype="uint8"))


def _names(providers: Any) -> tuple[Any, ...]:
    if isinstance(providers, str) or not isinstance(providers, Iterable):
        raise ValueError(
            f"providers must be a sequence of names, such as ('CPUExecutionProvider',); got "
            f"{providers!r}."
        )
    return tuple(providers)


def as_bytes(patches: np.ndarray) -> np.ndarray:
    """Return bytes or floats in [0, 1] as the bytes that a graph takes."""
    return np.ascontiguousarray(scale(patches, "uint8"))

"""CNNClassifier: a convolutional network as a scikit-learn classifier."""

import contextlib
import copy
import os
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Self, SupportsIndex

import keras
import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from pcam_sklearn._reading._checks import check_patches
from pcam_sklearn._sklearn_callbacks import CallbackSupportMixin, with_callbacks
from pcam_sklearn._training import _fit
from pcam_sklearn._training._checks import checked_probabilities
from pcam_sklearn._training._data import TrainingSet, check_training_set
from pcam_sklearn._training._epoch_tasks import EpochTasks
from pcam_sklearn._training._model import PatchModel, predict_in_batches
from pcam_sklearn._training._pickling import require_findable
from pcam_sklearn._training._plan import TrainingPlan
from pcam_sklearn._training._recipe import check_recipe
from pcam_sklearn._training._scikeras import TrueKerasClassifier, check_routes, takes_routes
from pcam_sklearn._training._state import network_state, trainer_from_state
from pcam_sklearn.augmentation import check_test_time_augmentation
from pcam_sklearn.augmentation._views import find_views
from pcam_sklearn.networks import check_hyper_parameters, get_network
from pcam_sklearn.networks._by_name import network_name

__all__ = ["CNNClassifier"]

_AUGMENT = ("d4", "restain", "stain", "color", "grayscale", "sharpness", "shift")
_HYPER_PARAMETERS = ("filters", "third_pool", "dense_units", "dropout")


class CNNClassifier(CallbackSupportMixin, TrueKerasClassifier):
    """A convolutional network that tells patches with tumour in the center from those without.

    A SciKeras ``KerasClassifier`` that keeps scikit-learn's conventions. It takes the parameters
    below and SciKeras' routed names: ``optimizer__learning_rate``, ``model__<parameter of the
    network's function>``, ``compile__jit_compile``, ``fit__validation_freq``,
    ``predict__batch_size``, ``predict__verbose`` (a progress bar), ``callbacks__<name>`` and so on.
    `set_callbacks` takes scikit-learn's own callbacks, which see each epoch as a task of the fit.

    Parameters
    ----------
    network : str or callable, default="efficientnet-lite0"
        A name out of `pcam_sklearn.networks.NETWORKS`, or a function ``(input_shape,
        **hyper_parameters) -> keras.Model``. The function returns an uncompiled network that turns
        patches in [0, 1] into one probability, in float32 whatever the `dtype_policy`.
    filters : sequence of int or None, default=None
        Numbers of filters, first to last layer. For this and the next three, None is the network's
        own default, and any other value is an error where the network has no such parameter.
    third_pool : {1, 2} or None, default=None
        Side of the third max pooling.
    dense_units : int or None, default=None
        Units of the dense layer.
    dropout : float or None, default=None
        Share of units dropped while training, in [0, 1).
    augment : tuple, default=("d4", "restain", "stain", "color", "grayscale", "sharpness", "shift")
        Random changes of the patches, others in each epoch: names of `AUGMENTATIONS`, one name, or
        None. ``"d4"`` turns and mirrors, ``"restain"`` stains half of the patches as other slides
        in `groups` are, ``"stain"`` varies the stains' strength, ``"color"`` hue, saturation and
        brightness, ``"grayscale"`` takes every fifth patch's colours, ``"sharpness"`` blurs or
        sharpens, ``"shift"`` moves by up to 3 pixels, ``"zoom"`` scales by up to 15 %.
    test_time_augmentation : {"auto", "c4", "d4"} or None, default="auto"
        Predicts the mean over views of each patch: ``"c4"`` its 4 quarter turns, ``"d4"`` also
        their mirror images. ``"auto"`` is ``"c4"`` for square patches and a published network, and
        None otherwise. It plays no part in training, so it may be set on a fitted classifier.
    optimizer : str, class or instance of keras.optimizers.Optimizer, default="adamw"
        The optimizer. Routed names such as ``optimizer__weight_decay`` need a name or class.
    learning_rate : float or None, default=0.002
        Highest learning rate of an optimizer given by name or class, above 0. An instance brings
        its own, and ``optimizer__learning_rate`` takes precedence. None is the optimizer's default.
    schedule : {"constant", "cosine"}, default="cosine"
        The course of the learning rate: constant, or a rise over `warmup` and then a fall to 0
        along a cosine, epoch by epoch.
    warmup : float, default=0.1
        Share of the epochs in which a "cosine" schedule rises, in [0, 1); at most 10 epochs.
    weight_averaging : float or None, default=None
        Momentum per gradient step of a running average of the weights, in [0, 1). The fit ends
        with that average: 0.99 averages about a hundred steps. None ends with the last weights.
    dtype_policy : {"float32", "mixed_bfloat16", "mixed_float16"} or None, default=None
        The numbers in which the network computes. A mixed policy multiplies in 16 bits, which is
        faster on some GPUs. None is `keras.config.dtype_policy()` of the thread that fits.
    loss : str, class, instance or function, default="binary_crossentropy"
        The loss, of one probability.
    label_smoothing : float, default=0.05
        Share by which labels move from 0 and 1 towards one half, in [0, 1). Only the binary
        cross-entropy can be smoothed; pass 0 with any other loss.
    metrics : sequence, default=("accuracy", "auc")
        Keras metrics followed in `history_`, for training and validation.
    epochs : int, default=10
        Largest number of passes over the training patches, at least 1.
    batch_size : int, default=32
        Patches per gradient step, at least 1. Predictions take 256, or ``predict__batch_size``.
    validation_fraction : float, default=0.0
        Share of the patches held out of training, stratified by class, in [0, 1). On these the
        metrics are followed and early stopping decides. 0 trains on all patches.
    early_stopping : bool, default=False
        Whether to stop when `monitor` has not improved for `n_iter_no_change` epochs. In any case
        the fit ends with the weights of the best epoch. Needs a `validation_fraction` above 0.
    monitor : str, default="val_auc"
        The entry of `history_` that early stopping follows.
    monitor_mode : {"auto", "min", "max"}, default="auto"
        Whether `monitor` should fall or rise. Keras knows this of its own metrics.
    n_iter_no_change : int, default=5
        Epochs without improvement, after `warmup`, before training stops; at least 1.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, ``{label: weight}``. "balanced" weighs a class by the inverse of its
        frequency, where `sample_weight` counts the patches. They multiply `sample_weight`.
    callbacks : list, dict, class or instance of keras.callbacks.Callback, default=None
        Keras callbacks. Instances are copied, and so are those of optimizers and metrics.
    warm_start : bool, default=False
        Whether `fit` resumes the last fit, with its network and optimizer, whatever was set since.
    random_state : int, RandomState instance or None, default=None
        Fixes all that is random. On a CPU the same number gives the same bits; on TensorFlow,
        "transfer" and your own networks may need ``TF_NUM_INTEROP_THREADS=1`` for it.
    verbose : {0, 1, 2, "auto"}, default=0
        0 is silent. 1 and "auto" show one line per fit on stderr: epoch, loss, AUC of the held-out
        patches (of the training patches if none are held out), time left. A file or a parallel fit
        shows it at the end, a screen all the time. 2 is Keras' own output, one line per epoch.
    checkpoint_dir : str, path or None, default=None
        A folder for the state after each epoch. After a kill or an error, call the same `fit`
        again, with equal parameters and data: it continues after the last complete epoch, with the
        bits of `random_state`. The file goes when the fit is done. Of your own callbacks it keeps
        attributes that are numbers, text, arrays, generators of NumPy, or containers of such.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels; the second one is the class whose probability the network gives.
    n_classes_ : int
        2.
    groups_ : ndarray of shape (n_slides,) or None
        The slides the classifier was fitted on, if `fit` was given groups.
    groups_complete_ : bool
        Whether `groups_` names the slides of all patches that the network was trained on.
    model_ : keras.Model
        The network: floats in [0, 1] in, probabilities out.
    trainer_ : keras.Model
        `model_` behind scaling and augmentation, which takes bytes as well.
    history_ : dict of str to list of float
        Loss and metrics by epoch, NaN if not measured; of held-out patches as ``val_<name>``.
    n_iter_ : int
        Number of epochs trained.
    best_epoch_ : int
        The epoch, counted from 1, whose weights `model_` carries.
    X_shape_ : tuple of int
        Shape of the training patches.
    n_features_in_ : int
        ``X_shape_[1]``, by SciKeras' convention.

    See Also
    --------
    pcam_sklearn.make_pcam_pipeline : The classifier behind reading and normalization.

    Notes
    -----
    Research software, not a medical device.

    Examples
    --------
    >>> import numpy as np
    >>> from pcam_sklearn import CNNClassifier
    >>> X = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    >>> y = np.arange(40) % 2
    >>> clf = CNNClassifier("residual", filters=(4, 8), epochs=2, random_state=0).fit(X, y)
    >>> clf.predict_proba(X).shape, sorted(clf.history_)[:3]
    ((40, 2), ['accuracy', 'auc', 'loss'])
    """

    groups_: np.ndarray | None
    model_: keras.Model
    trainer_: PatchModel
    history_: dict[str, list[float]]
    n_iter_: int

    @takes_routes
    def __init__(
        self,
        network: str | Callable[..., keras.Model] = "efficientnet-lite0",
        *,
        filters: Sequence[int] | None = None,
        third_pool: int | None = None,
        dense_units: int | None = None,
        dropout: float | None = None,
        augment: str | Sequence[str] | None = _AUGMENT,
        test_time_augmentation: str | None = "auto",
        optimizer: Any = "adamw",
        learning_rate: float | None = 0.002,
        schedule: str = "cosine",
        warmup: float = 0.1,
        weight_averaging: float | None = None,
        dtype_policy: str | None = None,
        loss: Any = "binary_crossentropy",
        label_smoothing: float = 0.05,
        metrics: Sequence[Any] = ("accuracy", "auc"),
        epochs: int = 10,
        batch_size: int = 32,
        validation_fraction: float = 0.0,
        early_stopping: bool = False,
        monitor: str = "val_auc",
        monitor_mode: str = "auto",
        n_iter_no_change: int = 5,
        class_weight: dict[Any, float] | str | None = None,
        callbacks: Any = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        checkpoint_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.network = network
        self.filters = filters
        self.third_pool = third_pool
        self.dense_units = dense_units
        self.dropout = dropout
        self.augment = augment
        self.test_time_augmentation = test_time_augmentation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup = warmup
        self.weight_averaging = weight_averaging
        self.dtype_policy = dtype_policy
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.monitor = monitor
        self.monitor_mode = monitor_mode
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint_dir = checkpoint_dir

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Train on labelled patches; a fit that fails leaves the classifier as it was.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels)
            Patches: uint8, or floats in [0, 1]. A memory map is read batch by batch.
        y : array-like of shape (n_samples,)
            Labels of two classes: numbers, bools or strings.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0. Patches of weight 0 take no part.
        groups : array-like of shape (n_samples,), default=None
            The slide of each patch. With it, `validation_fraction` is held out by whole slides. To
            a pipeline pass ``cnnclassifier__groups=groups``.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        TypeError, ValueError
            If a parameter or an argument is not as documented, or there are too few patches, or
            slides, to hold out `validation_fraction` of them.
        """
        resume = self.warm_start and hasattr(self, "model_")
        classes = self.classes_ if resume else None
        data = self._check_arguments(X, y, sample_weight, groups, classes)
        epochs = self._routed("fit").get("epochs", self.epochs)
        tasks = EpochTasks(self, epochs, sample_weight)
        plan = TrainingPlan(
            self, data, epochs, resume, self.validation_fraction, self.schedule,
            keeps_checkpoint=True,
        )  # fmt: skip
        self._train(plan, tasks)
        tasks.end()
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these patches, whose slides stay unknown.

        Nothing is held out and nothing stops early: the patches of all calls together are the
        training set.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels)
            Patches: uint8, or floats in [0, 1].
        y : array-like of shape (n_samples,)
            Labels. One class alone is fine once `classes` are known.
        classes : array-like of shape (2,), default=None
            Both labels. The first call needs them if its y does not hold both.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0.

        Returns
        -------
        self : object
            The classifier.

        Raises
        ------
        TypeError, ValueError
            As in `fit`. Also if `classes` differ from those of an earlier call, or `class_weight`
            is "balanced", which needs all of the data.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels at once and is not supported by "
                "partial_fit; pass the weights as a dict, {label: weight}."
            )
        data = self._check_arguments(X, y, sample_weight, classes=self._known_classes(classes))
        return self._train(TrainingPlan(self, data, epochs=1, resume=hasattr(self, "model_")))

    def initialize(self, X: Any, y: Any) -> Self:
        """Build the network for these patches, with its starting weights and without training.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels)
            Patches of the shape that the network will get.
        y : array-like of shape (n_samples,)
            Labels of both classes.

        Returns
        -------
        self : object
            The classifier, able to predict.
        """
        return self._train(TrainingPlan(self, self._check_arguments(X, y), epochs=0))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of both classes for each patch.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels)
            Patches of the training patches' size: uint8, or floats in [0, 1], whichever of them
            the classifier was trained on.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, 2)
            Numbers of float64; columns in the order of `classes_`, rows sum to 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the classifier is not fitted.
        ValueError
            If X is not as documented, or the network gives NaN or values outside [0, 1].
        """
        positive = self._predict_views(X, self.test_time_augmentation).mean(axis=1)
        return np.column_stack([1 - positive, positive])

    def predict(self, X: Any) -> np.ndarray:
        """Return the more probable label of each patch.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width, channels)
            Patches, as in `predict_proba`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Values of `classes_`.
        """
        more_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[more_probable]

    def predict_spread(self, X: Any) -> np.ndarray:
        """Return the spread of the probabilities of each patch's 8 turned and mirrored views.

        Tissue has no up or down, so a network that is sure gives all views the same probability. A
        wide spread marks patches that a person should look at.

        Parameters
        ----------
        X : array-like of shape (n_samples, side, side, channels)
            Patches, as in `predict_proba`, square.

        Returns
        -------
        spread : ndarray of shape (n_samples,)
            Standard deviation of the 8 probabilities, 0 to 0.5. `test_time_augmentation` does not
            change it.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            As in `predict_proba`. Also if the patches are not square.
        """
        return self._predict_views(X, "d4").std(axis=1)

    def _predict_views(self, X: Any, views: str | None) -> np.ndarray:
        """Return the positive class's probability, shape (n_samples, n_views)."""
        check_is_fitted(self)
        X = check_patches(X, channels=None)
        self._check_shape(X.shape)
        built = network_name(self.trainer_.blueprint.parameters["network"])
        routes = self._routed("predict")
        output = predict_in_batches(
            self.trainer_,
            X,
            check_scalar(routes.get("batch_size", 256), "predict__batch_size", Integral, min_val=1),
            views=find_views(views, X.shape, built),
            show_progress=bool(routes.get("verbose", False)),
        ).astype(np.float64)
        return checked_probabilities(output)

    @property
    def current_epoch(self) -> int:
        """Number of epochs trained so far."""
        return getattr(self, "n_iter_", 0)

    def trim(self) -> Self:
        """Forget the optimizer's state, which takes twice the memory of the weights.

        Predictions stay as they are. A fit that resumes this one starts with a new optimizer.

        Returns
        -------
        self : object
            The classifier.
        """
        check_is_fitted(self)
        self.model_.compile(optimizer=None)
        self.trainer_ = self.trainer_.for_prediction()
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        require_findable(self.get_params(deep=False))
        if hasattr(self, "trainer_"):  # The network stays what it was built from.
            require_findable(self.trainer_.blueprint.parameters)
        return super().__reduce_ex__(protocol)

    def __copy__(self) -> Self:
        copied = object.__new__(type(self))
        copied.__setstate__(self.__getstate__())
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Functions and classes are copied as they are, so they need no name that pickle finds.
        copied = memo[id(self)] = object.__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        state = {name: v for name, v in super().__getstate__().items() if name != "model_"}
        if "trainer_" in state:
            state["trainer_"] = network_state(state["trainer_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "trainer_" in state:
            self.trainer_ = trainer_from_state(state["trainer_"], type(self))
            self.model_ = self.trainer_.network

    def _routed(self, route: str) -> dict[str, Any]:
        start = f"{route}__"
        found = {k.removeprefix(start): v for k, v in vars(self).items() if k.startswith(start)}
        return {name: value for name, value in found.items() if not name.startswith("callbacks")}

    def _hyper_parameters(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in _HYPER_PARAMETERS}
        given = {name: value for name, value in named.items() if value is not None}
        check_hyper_parameters(get_network(self.network), list(given), "")
        return {**given, **self._routed("model")}

    def _check_parameters(self) -> None:
        check_recipe(self)
        check_routes(vars(self))
        self._hyper_parameters()

    def _known_classes(self, classes: Any) -> np.ndarray | None:
        known = getattr(self, "classes_", None)
        if classes is None:
            return known
        classes = np.unique(classes)
        if known is not None and not np.array_equal(classes, known):
            raise ValueError(
                f"classes={classes.tolist()} is not the same as in an earlier call, "
                f"{known.tolist()}; pass those, or start with a clone of the classifier."
            )
        return classes

    def _check_arguments(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, classes: Any = None
    ) -> TrainingSet:
        """Return the training set, or raise if a parameter or an argument is wrong."""
        self._check_parameters()
        data = check_training_set(X, y, sample_weight, self.class_weight, groups, classes)
        check_test_time_augmentation(self.test_time_augmentation, data.shape)
        return data

    def _train(self, plan: TrainingPlan, tasks: EpochTasks | None = None) -> Self:
        """Train as planned, and set what was learned only when all has gone well."""
        if plan.resume:
            self._check_shape(plan.data.shape)
        options = {"batch_size": self.batch_size, "verbose": self.verbose, **self._routed("fit")}
        options.pop("epochs", None)  # The plan has them.
        with plan.checkpoint or contextlib.nullcontext():
            learned = _fit.run(plan, tasks=tasks, **options)
        self.__dict__.update(learned)
        return self

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape[1:] != self.X_shape_[1:]:
            raise ValueError(
                f"X has patches of shape {shape[1:]}, but this {type(self).__name__} was fitted "
                f"on {self.X_shape_[1:]}; put CenterCropNormalizer before it in a pipeline."
            )

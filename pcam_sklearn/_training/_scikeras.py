"""SciKeras' KerasClassifier made a true classifier of today's scikit-learn.

All repairs of SciKeras are here. `docs/architecture.md` lists the defect that each one mends.
"""

import copy
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Self

import keras
from scikeras.wrappers import BaseWrapper, KerasClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags

from pcam_sklearn._training._keras_parts import argument_names, recreate, reduce_part
from pcam_sklearn.networks import check_hyper_parameters, get_network

ROUTES = ("model", "fit", "compile", "predict", "optimizer", "loss", "metrics", "callbacks")
FIT_ROUTES = (
    "batch_size", "callbacks", "epochs", "steps_per_epoch", "validation_freq",
    "validation_steps", "verbose",
)  # fmt: skip
PREDICT_ROUTES = ("batch_size", "verbose")


# SciKeras has Keras' parts pickled by configuration, in which a class of one's own gets lost. That
# holds for the whole process and for the copies that a search makes of its candidates, so it has to
# be put right in the same place.
keras.optimizers.Optimizer.__reduce__ = reduce_part
keras.metrics.Metric.__reduce__ = reduce_part
keras.losses.Loss.__reduce__ = object.__reduce__  # It has no variables, so pickle needs no help.


# BaseWrapper still defines tags by a method that scikit-learn removed and now refuses.
_Wrapper = type(
    BaseWrapper.__name__,
    BaseWrapper.__bases__,
    {k: v for k, v in vars(BaseWrapper).items() if k not in ("_more_tags", "__dict__")},
)


class _TodaysOrder(type):
    """Resolve ClassifierMixin before BaseEstimator, and BaseWrapper without its old tags.

    SciKeras orders its base classes so that scikit-learn never sees a classifier. Inheritance alone
    cannot put that right, because a class keeps the order of its bases.
    """

    def mro(cls) -> list[type]:
        order = [_Wrapper if parent is BaseWrapper else parent for parent in super().mro()]
        order.remove(ClassifierMixin)
        order.insert(order.index(KerasClassifier), ClassifierMixin)
        return order


def takes_routes(init: Callable[..., None]) -> Callable[..., None]:
    """Let ``__init__`` take SciKeras' routed names as well as the parameters it spells out.

    Its signature stays as it is: scikit-learn reads the parameters there.
    """

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **params: Any) -> None:
        routed = {name: params.pop(name) for name in list(params) if _is_routed(name)}
        init(self, *args, **params)
        self.__dict__.update(routed)

    return __init__


class TrueKerasClassifier(KerasClassifier, metaclass=_TodaysOrder):
    """A KerasClassifier that keeps scikit-learn's conventions.

    A subclass names its parameters in ``__init__``, under `takes_routes`.
    """

    __repr__ = BaseEstimator.__repr__

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(argument_names(cls))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with the routed ones that were set.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the parameters of parameters that are estimators, too.

        Returns
        -------
        params : dict
            Names and values.
        """
        routed = {name: value for name, value in vars(self).items() if _is_routed(name)}
        return {**BaseEstimator.get_params(self, deep=deep), **routed}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, routed ones too.

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If a name is no parameter, or leads nowhere. Then nothing is changed.
        """
        routed = {name: value for name, value in params.items() if _is_routed(name)}
        plain = {name: value for name, value in params.items() if name not in routed}
        for name in plain:
            if name not in self._get_param_names():
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. "
                    f"Valid parameters are: {self._get_param_names()}."
                )
        check_routes({**vars(self), **params})
        self.__dict__.update(params)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        return tags

    def _compile_parameters(self, routes: Mapping[str, Any]) -> dict[str, Any]:
        """Return new parameters for `keras.Model.compile`; `routes` adds routed parameters.

        A Keras optimizer or metric belongs to the first network it meets, so instances that the
        user passed are copied.
        """
        parameters = self._scratch(**routes, metrics=self._named_metrics())._get_compile_kwargs()
        parameters["optimizer"] = _fresh(parameters["optimizer"])
        parameters["metrics"] = [_fresh(metric) for metric in parameters["metrics"] or []]
        return parameters

    def _named_metrics(self) -> Any:
        """Return `metrics` with stable names; Keras numbers them within each process."""
        if self.metrics is None or any(name.startswith("metrics__") for name in vars(self)):
            return self.metrics
        several = isinstance(self.metrics, (list, tuple))
        return [_metric(metric) for metric in (self.metrics if several else [self.metrics])]

    def _build_callbacks(self) -> list[keras.callbacks.Callback]:
        """Return copies of the callbacks, because a callback keeps the model that it trained."""
        scratch = self._scratch()
        scratch._initialize_callbacks()
        callbacks = keras.tree.flatten(scratch._fit_callbacks)
        if any(isinstance(callback, keras.callbacks.BackupAndRestore) for callback in callbacks):
            raise ValueError(
                "keras.callbacks.BackupAndRestore cannot restore this training: it knows neither "
                "its random generators nor the other callbacks; pass checkpoint_dir=FOLDER to the "
                "classifier instead."
            )
        return [copy.copy(callback) for callback in callbacks]

    def _scratch(self, **changes: Any) -> Self:
        """Return a shallow copy, so that SciKeras leaves its working state there."""
        scratch = object.__new__(type(self))
        scratch.__dict__.update(vars(self) | changes)
        return scratch


def _is_routed(name: str) -> bool:
    return name.partition("__")[0] in ROUTES and "__" in name


def check_routes(params: Mapping[str, Any]) -> None:
    """Raise ValueError for a routed name that leads nowhere; SciKeras would ignore it."""
    allowed = {
        "fit": FIT_ROUTES,
        "predict": PREDICT_ROUTES,
        "compile": tuple(inspect.signature(keras.Model.compile).parameters)[1:],
    }
    for name in filter(_is_routed, params):
        route, _, target = name.partition("__")
        if route in allowed and target.partition("__")[0] not in allowed[route]:
            raise ValueError(
                f"{name!r} is not a parameter; behind {route}__ are allowed: "
                f"{', '.join(allowed[route])}."
            )
    for route in ("optimizer", "loss", "metrics", "callbacks", "fit__callbacks"):
        _check_targets(params, route)
    to_network = [name.removeprefix("model__") for name in params if name.startswith("model__")]
    if to_network:
        check_hyper_parameters(get_network(params["network"]), to_network, "model__")


def _check_targets(params: Mapping[str, Any], route: str) -> None:
    """Raise ValueError for a name routed to a part that does not exist."""
    part, start = params.get(route), f"{route}__"
    keys = list(part) if isinstance(part, Mapping) else []
    if isinstance(part, (list, tuple)):
        keys = [str(i) for i in range(len(part))]
    for name in (name for name in params if name.startswith(start)):
        target, _, rest = name.removeprefix(start).partition("__")
        if part is None or (rest and target not in keys and start + target not in params):
            raise ValueError(
                f"{name!r} is not a parameter: {route} is {part!r}, which has no part to pass it "
                f"to; set {route} too, and put a part's place or key behind {start}."
            )


def _metric(metric: Any) -> Any:
    if metric in ("accuracy", "acc") or not isinstance(metric, (str, type)):
        return metric
    found = metric() if isinstance(metric, type) else keras.metrics.get(metric)
    if not isinstance(found, keras.metrics.Metric):
        return metric
    name = metric if isinstance(metric, str) else re.sub(r"_\d+$", "", found.name)
    return recreate(found, name=name)


def _fresh(part: Any) -> Any:
    is_part = isinstance(part, (keras.optimizers.Optimizer, keras.metrics.Metric))
    return recreate(part) if is_part else part

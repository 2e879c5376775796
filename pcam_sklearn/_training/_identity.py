"""The identity of a fit: equal for the same training in another process, and for no other."""

import hashlib
import os
import sys
import types
from collections import deque
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from pcam_sklearn import __version__
from pcam_sklearn._files import expand_home
from pcam_sklearn._training._backends import current_framework
from pcam_sklearn._training._data import TrainingSet
from pcam_sklearn._training._keras_parts import describe_part
from pcam_sklearn._training._own_code import is_own, parts_of_code, says_all
from pcam_sklearn._training._plain_values import SCALARS
from pcam_sklearn._training._weights import copy_values

# These change nothing that a fit learns.
_WITHOUT_EFFECT = ("checkpoint_dir", "test_time_augmentation", "verbose", "warm_start")
_WHOLE = 1 << 30  # bytes of patches; of more, only some patches are compared
_N_PATCHES = 256
_SHORT = 64  # characters, those of a digest
_OF_KERAS = ("_model", "_params", "model", "params")  # Set on a callback when training begins.


def identify(plan: Any) -> str:
    """Return 16 hexadecimal digits that stand for the parameters, the data and the start."""
    clf = plan.classifier
    parameters = {
        name: value
        for name, value in clf.get_params(deep=False).items()
        if name not in _WITHOUT_EFFECT and not name.startswith("predict__")
    }
    backend = current_framework().name
    surroundings = [backend, keras.config.dtype_policy().name, keras.config.floatx()]
    surroundings += [__version__, keras.__version__, sys.modules[backend].__version__]
    weights = parameters.get("model__weights")
    if isinstance(weights, str | os.PathLike) and expand_home(weights).is_file():
        with open(expand_home(weights), "rb") as file:
            surroundings.append(hashlib.file_digest(file, "sha256").hexdigest())
    start = []
    if plan.resume:
        start = [*clf.model_.variables, *getattr(clf.model_.optimizer, "variables", ())]
    digest = hashlib.sha256()
    for part in (surroundings, parameters, plan.first_epoch, copy_values(start)):
        digest.update(_describe(part).encode())
    for column in _columns(plan.data):
        digest.update(_describe(column).encode())
    return digest.hexdigest()[:16]


def _columns(data: TrainingSet) -> list[Any]:
    """Return all columns of the data, but only some of the patches if they take gigabytes."""
    patches = data.X
    if not isinstance(patches, np.ndarray) or patches.nbytes > _WHOLE:
        rows = np.unique(np.linspace(0, len(data.codes) - 1, _N_PATCHES).astype(int))
        patches = patches[rows]
    return [data.shape, patches, data.codes, data.weights, data.classes, data.groups]


def _describe(value: Any, around: tuple[int, ...] = ()) -> str:
    """Return text that is the same in each process; `around` holds what a value lies in."""
    value = value.item() if isinstance(value, np.generic) else value  # 0.1 is one number.
    if isinstance(value, (*SCALARS, bytes)):
        return repr(value)
    if id(value) in around:
        return "itself"  # Such as a function that calls itself.

    def inner(item: Any) -> str:
        text = _describe(item, (*around, id(value)))
        # Quotes within quotes would double with each level.
        return text if len(text) <= _SHORT else hashlib.sha256(text.encode()).hexdigest()

    if isinstance(value, np.ndarray):
        return _describe_array(value)
    if isinstance(value, Mapping):
        return repr(sorted((inner(key), inner(item)) for key, item in value.items()))
    if isinstance(value, (set, frozenset)):
        return repr(sorted(map(inner, value)))  # Their order differs between processes.
    if isinstance(value, (list, tuple, deque)):
        return repr([inner(item) for item in value])
    return repr([inner(part) for part in _parts(value)])


def _describe_array(array: np.ndarray) -> str:
    if array.dtype.hasobject:
        return repr((array.shape, array.tolist()))
    content = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
    return f"{array.dtype} {array.shape} {content}"


def _parts(value: Any) -> list[Any]:
    """Return plainer parts of which an object consists."""
    if isinstance(value, np.random.RandomState):
        return [value.get_state(legacy=False)]
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_consts, value.co_names]
    if isinstance(value, types.FunctionType | type):
        name = [value.__module__, value.__qualname__]
        return [*name, *(parts_of_code(value) if is_own(value.__module__) else [])]
    if isinstance(value, keras.optimizers.Optimizer | keras.metrics.Metric):
        kind, config, own = describe_part(value)
        # Keras numbers the names of equal parts within a process.
        return [kind, {**config, "name": ""}, own]
    if isinstance(value, keras.losses.Loss):
        return [type(value), {**vars(value), "name": ""}]
    if isinstance(value, keras.callbacks.Callback):
        # Anything else, such as a log or a table, may differ between processes.
        settings = {k: v for k, v in vars(value).items() if k not in _OF_KERAS and says_all(v)}
        return [type(value), settings]
    try:
        reduced = value.__reduce_ex__(4)
    except TypeError:  # Such as a lock, which means nothing to another process.
        return [type(value).__qualname__]
    return [reduced] if isinstance(reduced, str) else list(reduced[:3])

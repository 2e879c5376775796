"""The identity of a fit: equal for the same training in another process, and for no other."""

import hashlib
import types
from typing import Any

import keras
import numpy as np

from pcam_sklearn._training._data import TrainingSet
from pcam_sklearn._training._keras_parts import describe_part
from pcam_sklearn._training._plain_values import SCALARS, is_plain
from pcam_sklearn._training._weights import copy_values

# These change nothing that a fit learns.
_WITHOUT_EFFECT = ("callbacks", "checkpoint_dir", "test_time_augmentation", "verbose", "warm_start")
_N_PATCHES = 256  # as many of the patches are compared


def identify(plan: Any) -> str:
    """Return 16 hexadecimal digits that stand for the parameters, the data and the start."""
    clf, data = plan.classifier, plan.data
    parameters = {
        name: value
        for name, value in clf.get_params(deep=False).items()
        if name not in _WITHOUT_EFFECT and not name.startswith(("callbacks__", "predict__"))
    }
    start = copy_values(clf.model_.variables) if plan.resume else []
    given = keras.tree.flatten(clf.get_params().get("callbacks"))
    callbacks = [value if isinstance(value, type) else type(value) for value in given]
    versions = keras.__version__, keras.backend.backend()
    digest = hashlib.sha256()
    for part in (versions, parameters, plan.first_epoch, callbacks, start, *_columns(data)):
        digest.update(_describe(part).encode())
    return digest.hexdigest()[:16]


def _columns(data: TrainingSet) -> list[Any]:
    """Return all columns of the data, but only some of the patches, which may be gigabytes."""
    rows = np.unique(np.linspace(0, len(data.codes) - 1, _N_PATCHES).astype(int))
    return [data.shape, data.X[rows], data.codes, data.weights, data.classes, data.groups]


def _describe(value: Any) -> str:
    """Return text that is the same in each process."""
    if isinstance(value, (*SCALARS, bytes)):
        return repr(value)
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        content = repr(array.tolist()) if array.dtype.hasobject else array.tobytes()
        return _describe([str(array.dtype), array.shape, content])
    if isinstance(value, dict):
        return repr(sorted((_describe(key), _describe(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return repr([_describe(item) for item in value])
    if isinstance(value, np.random.RandomState):
        return "a generator"  # It draws another seed each time.
    if isinstance(value, types.CodeType):
        return _describe([value.co_code, value.co_consts, value.co_names])
    if isinstance(value, types.FunctionType):
        closure = [cell.cell_contents for cell in value.__closure__ or ()]
        plain = [item for item in closure if is_plain(item)]
        return _describe([value.__module__, value.__qualname__, value.__code__, plain])
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, keras.optimizers.Optimizer | keras.metrics.Metric):
        kind, config, own = describe_part(value)
        # Keras numbers the names of equal parts within a process.
        return _describe([kind, {**config, "name": ""}, own])
    reduced = value.__reduce_ex__(4)
    return reduced if isinstance(reduced, str) else _describe(reduced[:3])

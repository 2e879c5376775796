"""Losses, metrics and optimizers of Keras by name, out of a closed list.

A part is ``{"keras": "optimizers.Adam"}`` for a class or function, and has ``"arguments"`` too for
an instance. An instance is made by calling its class: Keras reads no configuration.
"""

import functools
import inspect
import math
from typing import Any

import keras

from pcam_sklearn._errors import ModelFileError

_KINDS = {
    "losses": keras.losses.Loss,
    "metrics": keras.metrics.Metric,
    "optimizers": keras.optimizers.Optimizer,
}
# Functions of keras.losses and keras.metrics that look others up, or make them of a configuration.
_NO_PARTS = ("get", "serialize", "deserialize")
# The memory of some metrics grows with the square of an argument.
_LARGEST_WHOLE_NUMBER = 1000


@functools.cache
def _parts() -> dict[str, Any]:
    """Return Keras' public classes and functions by name."""
    found = {}
    for room, kind in _KINDS.items():
        for name, part in inspect.getmembers(getattr(keras, room)):
            is_class = inspect.isclass(part) and issubclass(part, kind)
            is_function = inspect.isfunction(part) and name not in _NO_PARTS
            if is_class or is_function:
                found[f"{room}.{name}"] = part
    return found


def encode_part(part: Any) -> dict[str, Any] | None:
    """Return a part of Keras as JSON, or None if it is another or holds more than plain numbers."""
    name = _name(part)
    if name is not None:
        return {"keras": name}
    name = _name(type(part))
    if name is None:
        return None
    arguments = part.get_config()
    return {"keras": name, "arguments": arguments} if _are_plain(arguments) else None


def decode_part(plain: dict[str, Any]) -> Any:
    """Return the part of `encode_part`, or raise ModelFileError."""
    name = plain.get("keras")
    known = isinstance(name, str) and name in _parts()
    if not known or not plain.keys() <= {"keras", "arguments"}:
        raise ModelFileError(f"{name!r} is no loss, metric or optimizer of Keras")
    part = _parts()[str(name)]
    if "arguments" not in plain:
        return part
    if not inspect.isclass(part) or not _are_plain(plain["arguments"]):
        raise ModelFileError(f"the arguments of Keras' {name} are not as the package writes them")
    return part(**plain["arguments"])


def _name(part: Any) -> str | None:
    return next((name for name, known in _parts().items() if known is part), None)


def _are_plain(arguments: Any) -> bool:
    """Return whether all arguments are text, flags or moderate numbers."""
    return isinstance(arguments, dict) and all(map(_is_plain, arguments.values()))


def _is_plain(value: Any) -> bool:
    if type(value) is int:
        return abs(value) <= _LARGEST_WHOLE_NUMBER
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, str)

"""Numbers, text, lists and arrays as JSON, and back with the same types."""

from collections.abc import Mapping
from typing import Any

import numpy as np

SCALARS = (type(None), bool, int, float, str)
_ARRAY, _TUPLE, _DICT = "array", "tuple", "dict"


def is_plain(value: Any) -> bool:
    """Return whether a value is a number, text or an array, or a list, tuple or dict of such."""
    if isinstance(value, np.ndarray | np.generic):
        return not value.dtype.hasobject
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, value.keys())) and all(map(is_plain, value.values()))
    return isinstance(value, SCALARS)


def to_json(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value that `json` can write, and put arrays into `arrays`, as they are.

    The value must be plain.
    """
    if isinstance(value, np.ndarray | np.generic):
        name = f"array/{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {_ARRAY: name, "scalar": isinstance(value, np.generic)}
    if isinstance(value, list | tuple):
        items = [to_json(item, arrays) for item in value]
        return items if isinstance(value, list) else {_TUPLE: items}
    if isinstance(value, Mapping):
        return {
            _DICT: [[to_json(key, arrays), to_json(item, arrays)] for key, item in value.items()]
        }
    return value


def from_json(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the value of which `to_json` made this."""
    if isinstance(value, list):
        return [from_json(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        array = arrays[value[_ARRAY]]
        return array[()] if value["scalar"] else array
    if _TUPLE in value:
        return tuple(from_json(value[_TUPLE], arrays))
    return {from_json(key, arrays): from_json(item, arrays) for key, item in value[_DICT]}

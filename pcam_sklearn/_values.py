"""Values as JSON and back: numbers, text, lists, tuples, mappings and small arrays, no objects.

What JSON lacks is an object with one key that says what it is, or with `array` first:
``{"float": "nan"}``, ``{"tuple": [...]}``, ``{"dict": [[key, value], ...]}``,
``{"numpy": "float32", "value": 0.5}``, ``{"array": "int64", "shape": [2], "values": [0, 1]}``.
"""

import math
import re
from typing import Any

import numpy as np

from pcam_sklearn._errors import ModelFileError

_LARGEST = 2**63
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_DTYPE = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|<U[0-9]{1,4}|object")
_MOST_BYTES = 64 * 2**20  # All arrays in one text.
_DEEPEST = 200  # Python's own limit, of 1,000 calls, comes later.


def encode(value: Any, name: str) -> Any:
    """Return a value as JSON, or raise ModelFileError that calls it `name`."""
    if isinstance(value, np.ndarray) and not np.ma.is_masked(value):
        return {"array": _dtype_name(value.dtype, name), **_encode_items(value, name)}
    if isinstance(value, np.generic):
        dtype = _dtype_name(value.dtype, name)  # NumPy's longest floats have no item of Python.
        return {"numpy": dtype, "value": encode(value.item(), name)}
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int and -_LARGEST <= value < _LARGEST:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) is list:
        return [encode(item, name) for item in value]
    if type(value) is tuple:
        return {"tuple": [encode(item, name) for item in value]}
    if type(value) is dict:
        if not all(map(_is_key, value)):
            raise ModelFileError(f"{name}={value!r} has keys that are neither text nor numbers")
        return {"dict": [[encode(k, name), encode(v, name)] for k, v in value.items()]}
    raise ModelFileError(
        f"{name}={value!r} is no plain data; a model file holds numbers, text, lists, tuples, "
        "dicts and arrays of numbers or text"
    )


def decode(plain: Any, name: str) -> Any:
    """Return the value of `encode`, or raise ModelFileError for anything else."""
    if plain is None or isinstance(plain, (bool, str, float)):
        return plain
    if isinstance(plain, int):
        if not -_LARGEST <= plain < _LARGEST:
            raise ModelFileError(f"{name} holds a number beyond 64 bits")
        return plain
    if isinstance(plain, list):
        return [decode(item, name) for item in plain]
    if not isinstance(plain, dict):
        raise _unknown(name)
    return _decode_object(plain, name)


def check_values(plain: Any, name: str) -> None:
    """Raise ModelFileError for JSON whose arrays take too much memory together, or that nests deep.

    An empty text in an array of long ones takes a few bytes of JSON and many kilobytes of memory.
    Call this with all of a file before `decode` makes its first array.
    """
    n_bytes, level = 0, _items_of([plain])
    for _ in range(_DEEPEST):
        n_bytes += sum(map(_bytes_of, level))
        if n_bytes > _MOST_BYTES:
            raise ModelFileError(
                f"{name} holds arrays of {n_bytes:,} bytes, and at most {_MOST_BYTES:,} are read "
                "from a model file; keep large arrays in a file of their own"
            )
        level = [item for holder in level for item in _items_of(holder)]
        if not level:
            return
    raise ModelFileError(f"{name} nests more than {_DEEPEST} times")


def _bytes_of(plain: Any) -> int:
    """Return the memory of an array that `decode` would make, and 0 for JSON of another form."""
    match plain:
        case {"array": str(dtype), "values": list(items)} if _DTYPE.fullmatch(dtype):
            n_bytes = np.dtype(dtype).itemsize * len(items)
            return n_bytes if n_bytes <= _MOST_BYTES else 0
    return 0


def _items_of(plain: Any) -> list[Any]:
    """Return the dicts and lists in one of JSON."""
    items = plain.values() if isinstance(plain, dict) else plain
    return [item for item in items if isinstance(item, (dict, list))]


def _decode_object(plain: dict[str, Any], name: str) -> Any:
    match plain:
        case {"float": str(word)} if len(plain) == 1 and word in _NOT_FINITE:
            return _NOT_FINITE[word]
        case {"tuple": list(items)} if len(plain) == 1:
            return tuple(decode(item, name) for item in items)
        case {"dict": list(pairs)} if len(plain) == 1:
            return _decode_pairs(pairs, name)
        case {"numpy": str(dtype), "value": item} if len(plain) == 2:
            return _array(dtype, [decode(item, name)], [], name)[()]
        case {"array": str(dtype), "shape": list(shape), "values": list(items)} if len(plain) == 3:
            return _array(dtype, [decode(item, name) for item in items], shape, name)
    raise _unknown(name)


def _decode_pairs(pairs: list[Any], name: str) -> dict[Any, Any]:
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise _unknown(name)
    found = {}
    for plain_key, value in pairs:
        key = decode(plain_key, name)
        if not _is_key(key) or key in found:
            raise _unknown(name)
        found[key] = decode(value, name)
    return found


def as_python(value: Any) -> Any:
    """Return a number or text of NumPy as Python's own, and any other value as it is."""
    return value.item() if hasattr(value, "item") else value


def _is_key(value: Any) -> bool:
    return isinstance(value, (str, int, float, np.generic))


def _encode_items(array: np.ndarray, name: str) -> dict[str, Any]:
    if array.nbytes > _MOST_BYTES:
        raise ModelFileError(
            f"{name} is an array of {array.nbytes:,} bytes, and at most {_MOST_BYTES:,} are read "
            "from a model file; keep it in a file of its own"
        )
    values = array.ravel().tolist()
    items = [encode(v.item() if isinstance(v, np.generic) else v, name) for v in values]
    if any(isinstance(item, (list, dict)) and "float" not in item for item in items):
        raise ModelFileError(f"{name} is an array of objects; use numbers or text")
    return {"shape": list(array.shape), "values": items}


def _dtype_name(dtype: np.dtype, name: str) -> str:
    text = dtype.newbyteorder("<").str if dtype.kind == "U" else dtype.name
    if not _DTYPE.fullmatch(text):
        raise ModelFileError(f"{name} is an array of {dtype}; use numbers or text")
    return text


def _array(dtype: str, items: list[Any], shape: list[Any], name: str) -> np.ndarray:
    """Return an array of these items, whose memory is bounded before it is taken."""
    if not _DTYPE.fullmatch(dtype) or not all(map(_is_scalar, items)):
        raise _unknown(name)
    kind = np.dtype(dtype)
    sides = [side for side in shape if type(side) is int and 0 <= side <= len(items)]
    fits = len(sides) == len(shape) <= 8 and math.prod(sides) == len(items)
    if not fits or kind.itemsize * len(items) > _MOST_BYTES:
        raise ModelFileError(f"{name} has an array whose shape does not fit its values")
    array = np.empty(len(items), dtype=kind)
    if kind.kind != "O" and not all(_belongs(item, kind) for item in items):
        raise ModelFileError(f"{name} has a value that is no {dtype}")
    array[:] = items
    return array.reshape(sides)


def _belongs(item: Any, dtype: np.dtype) -> bool:
    """Return whether an item is a value of the dtype, so that nothing is rounded or cut."""
    if dtype.kind == "U":
        return isinstance(item, str) and len(item) <= dtype.itemsize // 4
    if dtype.kind == "b":
        return isinstance(item, bool)
    if dtype.kind == "f":
        return isinstance(item, float)
    limits = np.iinfo(dtype)
    return type(item) is int and limits.min <= item <= limits.max


def _is_scalar(item: Any) -> bool:
    return item is None or isinstance(item, (bool, int, float, str))


def _unknown(name: str) -> ModelFileError:
    return ModelFileError(f"{name} has a form that no version of the package writes")

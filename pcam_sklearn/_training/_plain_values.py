"""Numbers, text, lists and arrays as JSON, and back with the same types."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

SCALARS = (type(None), bool, int, float, str)
_ARRAY, _TUPLE, _DICT = "array", "tuple", "dict"
_GENERATOR, _RANDOM_STATE = "generator", "random_state"
_SETS = {"set": set, "frozenset": frozenset, "deque": deque}
_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def is_plain(value: Any) -> bool:
    """Return whether a value is a number, text or an array, or a container of such."""
    if isinstance(value, np.ndarray | np.generic):
        return not value.dtype.hasobject
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, value.keys())) and all(map(is_plain, value.values()))
    return isinstance(value, SCALARS)


def is_state(value: Any) -> bool:
    """Return whether a value is plain, or else a deque of such or a generator of NumPy."""
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)["bit_generator"] == "MT19937"
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state["bit_generator"] in _GENERATORS
    return is_plain(list(value) if isinstance(value, deque) else value)


def to_json(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value that `json` can write, and put arrays into `arrays`, as they are.

    The value must be one of `is_state`.
    """
    if isinstance(value, np.random.RandomState):
        return {_RANDOM_STATE: to_json(value.get_state(legacy=False), arrays)}
    if isinstance(value, np.random.Generator):
        return {_GENERATOR: to_json(_state_of(value), arrays)}
    for name, kind in _SETS.items():
        if isinstance(value, kind):
            items = [to_json(item, arrays) for item in value]
            return {name: items, "maxlen": getattr(value, "maxlen", None)}
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
    if _RANDOM_STATE in value:
        generator = np.random.RandomState()
        generator.set_state(from_json(value[_RANDOM_STATE], arrays))
        return generator
    if _GENERATOR in value:
        return _generator(from_json(value[_GENERATOR], arrays))
    for name in _SETS.keys() & value.keys():
        items = from_json(value[name], arrays)
        return deque(items, value["maxlen"]) if name == "deque" else _SETS[name](items)
    if _TUPLE in value:
        return tuple(from_json(value[_TUPLE], arrays))
    return {from_json(key, arrays): from_json(item, arrays) for key, item in value[_DICT]}


def _state_of(generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a generator, and the seeds from which it spawns others."""
    bits = generator.bit_generator
    names = ("entropy", "spawn_key", "pool_size", "n_children_spawned")
    return {"seeds": {n: getattr(bits.seed_seq, n) for n in names}, "state": bits.state}


def _generator(found: dict[str, Any]) -> np.random.Generator:
    """Return a generator that goes on from a state."""
    name = found["state"]["bit_generator"]
    if name not in _GENERATORS:
        raise ValueError(f"{name!r} is no generator of NumPy")
    bits = getattr(np.random, name)(np.random.SeedSequence(**found["seeds"]))
    bits.state = found["state"]
    return np.random.Generator(bits)

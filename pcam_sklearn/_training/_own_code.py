"""The user's own functions and classes: what they consist of, as far as it decides on results."""

import argparse
import dataclasses
import enum
import functools
import sys
import types
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from pcam_sklearn._training._plain_values import is_state

_INSTALLED = {"site-packages", "dist-packages"}
_HELPERS = (types.FunctionType, type, functools.partial)
# Names in each class, such as those of its module and its line.
_OF_PYTHON = (
    "__module__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__firstlineno__",
    "__slotnames__",
)


def is_own(module: str | None) -> bool:
    """Return True for a module that no version describes: neither Python's nor an installed one."""
    root = str(module).partition(".")[0]
    if root in sys.stdlib_module_names or root in ("None", "pcam_sklearn"):
        return False
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return not _INSTALLED & set(Path(file).parts)


def says_all(value: Any) -> bool:
    """Return True for numbers, text, arrays and holders of such, and for functions."""
    known = is_state(value) or _is_settings(value)
    return known or isinstance(_unwrapped(value), _HELPERS)


def parts_of_code(value: Any) -> list[Any]:
    """Return the parts of a function or a class."""
    if isinstance(value, type):
        own = {k: _unwrapped(v) for k, v in vars(value).items() if k not in _OF_PYTHON}
        bases = [base for base in value.__bases__ if is_own(base.__module__)]
        return [bases, {k: v for k, v in own.items() if says_all(v)}]
    closure = [cell.cell_contents for cell in value.__closure__ or ()]
    return [value.__code__, value.__defaults__, value.__kwdefaults__, closure, _globals(value)]


def _globals(function: types.FunctionType) -> dict[str, Any]:
    """Return the plain values that a function names, and the user's own helpers."""
    names, known = _names(function.__code__), function.__globals__
    found = {name: known[name] for name in names & known.keys()}
    for module in [v for v in found.values() if isinstance(v, types.ModuleType)]:
        if is_own(module.__name__):
            inside = vars(module)
            found |= {f"{module.__name__}.{n}": inside[n] for n in names & inside.keys()}
    return {
        name: _unwrapped(v)
        for name, v in found.items()
        if is_state(v) or _is_own_helper(v) or _is_settings(v)
    }


def _is_own_helper(value: Any) -> bool:
    value = _unwrapped(value)
    if isinstance(value, functools.partial):
        return True
    return isinstance(value, _HELPERS) and is_own(value.__module__)


def _is_settings(value: Any) -> bool:
    """Return True for a path, a member of an enumeration, or a holder of plain values and such."""
    if isinstance(value, enum.Enum | PurePath):
        return True
    parts = _parts_of_holder(value)
    return parts is not None and all(is_state(part) or _is_settings(part) for part in parts)


def _parts_of_holder(value: Any) -> list[Any] | None:
    """Return the values in a container, a namespace or a dataclass, or None for anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, types.SimpleNamespace | argparse.Namespace):
        value = vars(value)
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple | set | frozenset) else None


def _unwrapped(value: Any) -> Any:
    """Return the function within a static method, a property or a cache."""
    if isinstance(value, property):
        return value.fget
    return getattr(value, "__wrapped__", value)


def _names(code: types.CodeType) -> set[str]:
    """Return the names that code uses, and the functions within it."""
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return {*code.co_names}.union(*map(_names, inner))

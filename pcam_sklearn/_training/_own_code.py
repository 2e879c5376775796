"""The user's own functions and classes: what they consist of, as far as it decides on results."""

import dataclasses
import enum
import functools
import sys
import types
from pathlib import Path
from typing import Any

from pcam_sklearn._training._plain_values import is_plain

_INSTALLED = {"site-packages", "dist-packages"}
_HELPERS = (types.FunctionType, type, functools.partial)
# Names in each class, such as those of its module and its line.
_OF_PYTHON = ("__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__")


def is_own(module: str | None) -> bool:
    """Return True for a module that no version describes: neither Python's nor an installed one."""
    root = str(module).partition(".")[0]
    if root in sys.stdlib_module_names or root in ("None", "pcam_sklearn"):
        return False
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return not _INSTALLED & set(Path(file).parts)


def says_all(value: Any) -> bool:
    """Return True for numbers, text, arrays and containers of such, and for functions."""
    return is_plain(value) or isinstance(_unwrapped(value), _HELPERS)


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
        if is_plain(v) or _is_own_helper(v) or _is_settings(v)
    }


def _is_own_helper(value: Any) -> bool:
    value = _unwrapped(value)
    if isinstance(value, functools.partial):
        return True
    return isinstance(value, _HELPERS) and is_own(value.__module__)


def _is_settings(value: Any) -> bool:
    """Return True for values in a namespace or a dataclass, and for one of an enumeration."""
    if isinstance(value, enum.Enum):
        return True
    holds = isinstance(value, types.SimpleNamespace) or dataclasses.is_dataclass(value)
    return holds and not isinstance(value, type) and all(map(is_plain, vars(value).values()))


def _unwrapped(value: Any) -> Any:
    """Return the function within a static method, a property or a cache."""
    if isinstance(value, property):
        return value.fget
    return getattr(value, "__wrapped__", value)


def _names(code: types.CodeType) -> set[str]:
    """Return the names that code uses, and the functions within it."""
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return {*code.co_names}.union(*map(_names, inner))

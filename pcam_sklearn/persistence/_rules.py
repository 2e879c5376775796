"""Conditions on values in a file."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from pcam_sklearn.persistence._nodes import Rule

_LARGEST = 2**31


def _is_whole(value: Any, least: int, most: int = _LARGEST) -> bool:
    whole = type(value) is not bool and isinstance(value, Integral)
    return whole and least <= int(value) <= most


def _is_finite(value: Any) -> bool:
    return type(value) is not bool and isinstance(value, Real) and math.isfinite(value)


def _is_simple(value: Any) -> bool:
    flag = value is None or isinstance(value, (bool, np.bool_, str))
    return flag or (_is_finite(value) and abs(value) <= 2**63)


def _is_list_of_simple(value: Any) -> bool:
    several = ARRAY_1D.test(value) or isinstance(value, (list, tuple))
    return several and all(map(_is_simple, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_word(value: Any, *allowed: str | None) -> bool:
    """Return whether a value is one of a few words, or None where that is allowed.

    An array that holds one word compares equal to it, but is not that word.
    """
    return (value is None or isinstance(value, str)) and value in allowed


def one_of(*allowed: Any) -> Rule:
    """Return a rule for a value out of a few."""
    words = "one of " + ", ".join(map(repr, allowed))
    # To Python True is 1, and to compare arrays gives no flag. So types are compared first.
    return Rule(words, lambda v: any(type(v) is type(a) and v == a for a in allowed))


FLAG = one_of(True, False)
COUNT = Rule("a whole number from 1 to 2^31", lambda v: _is_whole(v, 1))
INDEX = Rule("a whole number from 0 to 2^31", lambda v: _is_whole(v, 0))
NUMBER = Rule("a number", lambda v: type(v) is not bool and isinstance(v, Real))
FINITE = Rule("a finite number", _is_finite)
SIMPLE = Rule("a finite number, text, a flag or None", _is_simple)
PLAIN = Rule(
    "finite numbers, text, flags or None, alone or in a list",
    lambda v: _is_simple(v) or _is_list_of_simple(v),
)
NAMES = Rule(
    "text, a list or tuple of text, or None",
    lambda v: v is None or _is_text(v) or (isinstance(v, (list, tuple)) and all(map(_is_text, v))),
)
N_JOBS = Rule("a small whole number or None", lambda v: v is None or _is_whole(v, -10_000, 10_000))
SEED = Rule(
    "a whole number from 0 to 2^32 - 1, or None",
    lambda v: v is None or _is_whole(v, 0, 2**32 - 1),
)
CLASSES = Rule(
    "two different sorted labels",
    lambda v: isinstance(v, np.ndarray) and v.shape == (2,) and bool(v[0] < v[1]),
)
ARRAY_1D = Rule("a 1-D array", lambda v: isinstance(v, np.ndarray) and v.ndim == 1)
ARRAY_1D_OR_NONE = Rule("a 1-D array or None", lambda v: v is None or ARRAY_1D.test(v))
CV = Rule(
    "None, 'prefit', a whole number or a share",
    lambda v: is_word(v, None, "prefit") or (COUNT.test(v) or (FINITE.test(v) and 0 < v < 1)),
)

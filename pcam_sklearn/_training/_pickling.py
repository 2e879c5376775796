"""A check that pickle can find everything again, before it writes a file that nobody can load."""

import inspect
import pickle
from collections.abc import Mapping
from typing import Any

_BY_NAME = ("pickle", "joblib")  # Their picklers save functions and classes by name alone.
_PLAIN = (type(None), bool, int, float, str)


def require_findable(parameters: Mapping[str, Any]) -> None:
    """Raise PicklingError for a parameter that the pickler at work could not save.

    Call this from ``__reduce_ex__``. A pickler that saves functions by value, as cloudpickle and
    the workers of joblib do, can save any.
    """
    if not _saves_by_name(inspect.currentframe()):
        return
    for name, value in parameters.items():
        if isinstance(value, _PLAIN):
            continue
        try:
            pickle.dumps(value)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise pickle.PicklingError(
                f"{name}={value!r} cannot be saved: {error}. Pickle saves a function or class as a "
                "name; define it at the top level of a module, and import it from there."
            ) from error


def _saves_by_name(frame: Any) -> bool:
    """Return whether the pickler that called the caller's caller saves functions by name."""
    pickler = frame.f_back.f_back.f_locals.get("self")
    if not (hasattr(pickler, "dump") and hasattr(pickler, "memo")):
        return True  # The pickler in C leaves no frame.
    by_value = hasattr(pickler, "reducer_override")
    return not by_value and type(pickler).__module__.partition(".")[0] in _BY_NAME

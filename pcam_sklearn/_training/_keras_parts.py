"""Optimizers and metrics made once more, in this process or, by pickle, in another.

Keras finds a class again by its configuration only if the class was registered. Here the classes
and functions themselves are handed on, which pickle finds as it finds any class.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from pcam_sklearn._training._backends import current_framework

Description = tuple[Any, dict[str, Any], dict[str, Any]]


def recreate(part: Any, **changes: Any) -> Any:
    """Return a new optimizer or metric like one that may have been used, with some changes."""
    kind, config, own = describe_part(part)
    return _create(kind, {**config, **changes}, own)


def reduce_part(part: Any) -> tuple[Callable[..., Any], Description]:
    """Return a call that makes an optimizer or metric again, as pickle wants it, without state."""
    return _create, describe_part(part)


def describe_part(part: Any) -> Description:
    """Return a part's class, its configuration, and the classes and functions inside by name."""
    kind, config = type(part), part.get_config()
    if _is_own(kind) and not _is_own(kind.from_config):
        config = _arguments(part, config)
    return kind, config, _own_objects(part)


def _create(kind: Any, config: dict[str, Any], own: dict[str, Any]) -> Any:
    # It creates variables, which would start a GPU that takes all of its memory.
    current_framework().prepare_devices()
    with keras.saving.custom_object_scope(own):
        return kind.from_config(config)


def _arguments(part: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that make an own part again.

    Few classes of one's own have a `get_config`, and that of their base knows only its arguments.
    The others are looked for among the part's attributes.
    """
    names = argument_names(type(part))
    parameters = inspect.signature(type(part).__init__).parameters.values()
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters)
    arguments = {k: v for k, v in config.items() if takes_more or k in names}
    for name in set(names) - set(arguments):
        if name not in vars(part):
            raise ValueError(
                f"{type(part).__name__} cannot be copied: its get_config does not return {name!r}, "
                "which its __init__ takes; return it there, or keep it in an attribute of that "
                "name."
            )
        arguments[name] = vars(part)[name]
    return arguments


def argument_names(kind: Any) -> list[str]:
    """Return the names of the arguments that a class takes by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return [p.name for p in parameters if p.kind in kinds]


def _own_objects(part: Any) -> dict[str, Any]:
    """Return the functions and classes that a part holds and Keras lacks, by Keras' name."""
    found: dict[str, Any] = {}
    for value in vars(part).values():
        if isinstance(value, keras.optimizers.Optimizer):
            found |= {keras.saving.get_registered_name(type(value)): type(value)}
            found |= _own_objects(value)
        elif inspect.isroutine(value):
            found[keras.saving.get_registered_name(value)] = value
        elif hasattr(value, "get_config"):
            found[keras.saving.get_registered_name(type(value))] = type(value)
    return {name: value for name, value in found.items() if _is_own(value)}


def _is_own(value: Any) -> bool:
    module = getattr(value, "__module__", None) or ""
    return module.partition(".")[0] != "keras"

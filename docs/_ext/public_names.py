"""A warning for each public name that has no page in the API reference."""

from importlib import import_module
from typing import Any

from sphinx.util import logging

import pcam_sklearn

LOGGER = logging.getLogger(__name__)
MODULES = ("pcam_sklearn", *(f"pcam_sklearn.{name}" for name in pcam_sklearn._MODULES))


def find_missing(app: Any, env: Any) -> None:
    """Warn of each name in an `__all__` that no page describes."""
    described = env.get_domain("py").objects
    for module in MODULES:
        try:
            names = import_module(module).__all__
        except ImportError as error:
            LOGGER.warning("%s cannot be imported, so it has no page: %s", module, error)
            continue
        for name in names:
            if f"{module}.{name}" not in described:
                LOGGER.warning(
                    "%s.%s is public and has no page; name its module in api/index.md", module, name
                )


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("env-check-consistency", find_missing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

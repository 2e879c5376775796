"""Signatures of Keras layers, which Keras hides behind a `__new__` that takes anything."""

import inspect
from typing import Any

import keras


def show_parameters(
    app: Any, kind: str, name: str, obj: Any, options: Any, signature: str | None, returns: Any
) -> tuple[str, None] | None:
    """Return the parameters of a layer's own `__init__`, without types, as for all classes."""
    if kind != "class" or not issubclass(obj, keras.layers.Layer):
        return None
    _, *parameters = inspect.signature(obj.__init__).parameters.values()
    shown = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    return str(inspect.Signature(shown)), None


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-process-signature", show_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

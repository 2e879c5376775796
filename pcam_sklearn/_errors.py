"""The error and the warning of model files."""

__all__ = ["ModelFileError", "ModelFileWarning"]


class ModelFileError(ValueError):
    """A model that cannot be saved, or a file that is no sound model file."""


class ModelFileWarning(UserWarning):
    """A model file that leaves something out, or that other versions wrote."""

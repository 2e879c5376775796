"""Outcomes that a damaged file may have."""

RIGHT = "right"
ERROR = "error that names the file"
# Damage that no decoder can see: another decoder, written by others, reads the same pixels.
UNSEEN = "as an independent decoder reads it"
ELSE = "anything else"
ORDER = [RIGHT, ERROR, UNSEEN, ELSE]


def outcome_of_error(error, path, allowed=(ValueError, OSError)):
    """Return the outcome for an exception: it must be of an allowed class and name the path."""
    named = isinstance(error, allowed) and str(path) in str(error)
    return (ERROR if named else ELSE), f"{type(error).__name__}: {error}"

"""The types that skops must trust to load what this package saves."""

TRUSTED_TYPES: tuple[str, ...] = ()

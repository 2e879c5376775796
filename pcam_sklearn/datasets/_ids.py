"""Kaggle's ids: the SHA-1 of a patch's raw RGB bytes, in 40 lowercase digits."""

import hashlib
import os
import re
from typing import Any

_ID = re.compile(r"[0-9a-f]{40}\Z")


def is_id(text: object) -> bool:
    """Return whether this is a well-formed id. Such an id is safe in a file name."""
    return isinstance(text, str) and _ID.match(text) is not None


def patch_digest(pixels: Any) -> bytes:
    """Return the 20 bytes of the SHA-1 of contiguous uint8 RGB pixels; ``.hex()`` is the id."""
    # Kaggle chose SHA-1. It protects nothing here, so Python must not refuse it in FIPS mode.
    return hashlib.sha1(pixels, usedforsecurity=False).digest()


def name_of(path: str) -> str:
    """Return the part of ``<folder>/<name>.tif`` that should be an id."""
    return os.path.splitext(path.partition("/")[2])[0]

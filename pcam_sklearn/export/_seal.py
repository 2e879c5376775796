"""A checksum at the end of an ONNX file, by which damage to its weights is found.

It is an entry of the metadata, which the format lets stand behind all else: a message that is
written behind another one adds its fields to it. So it is read without a parser of the format.
"""

import hashlib

from pcam_sklearn._errors import ModelFileError

# Field 14 of a model, 74 bytes long: field 1, the name of 6 bytes, and field 2, 64 hex digits.
_START = b"\x72\x4a\x0a\x06sha256\x12\x40"
_SIZE = len(_START) + 64


def seal(content: bytes) -> bytes:
    """Return the content of a file with its checksum behind it."""
    return content + _START + hashlib.sha256(content).hexdigest().encode()


def check_seal(content: bytes, name: str) -> None:
    """Raise ModelFileError that calls the file `name`, unless its end is its checksum."""
    if seal(content[:-_SIZE]) != content:
        raise ModelFileError(
            f"{name} cannot be loaded: it was damaged or changed since it was exported, as its "
            "SHA-256 says; export it again"
        )

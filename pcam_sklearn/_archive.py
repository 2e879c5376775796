"""The zip around a model: each list of members has one form, and a file of another form is refused.

Members are stored, not deflated, so that no file unpacks to more than it holds. The headers of the
zip follow from names, sizes and checksums alone. A reader computes them and compares. So there is
no room for bytes before, between or behind the members, and none for tricks in the headers.
"""

import os
import stat
import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

from pcam_sklearn._errors import ModelFileError

# The order within the file, and all the names there can be.
MEMBERS = ("manifest.json", "weights.safetensors", "README.md", "requirements.txt")
LARGEST = {
    "manifest.json": 4 * 2**20,
    "weights.safetensors": 256 * 2**20,
    "README.md": 2**20,
    "requirements.txt": 2**16,
}
_LOCAL, _CENTRAL, _END = "<4s5H3L2H", "<4s6H3L5H2L", "<4s4H2LH"
_END_SIZE = struct.calcsize(_END)
_VERSION = 20  # The oldest version of the zip format, which every tool reads.
_UNIX = 3 << 8  # Made on a system whose files have permissions.
_MIDNIGHT = (0, (1980 - 1980) << 9 | 1 << 5 | 1)  # The first moment that a zip can name.
_PERMISSIONS = (stat.S_IFREG | 0o644) << 16
_CONVERT = (
    "joblib.load and pickle.load run the code in a file, so load only one that you trust, and then "
    "type: save_model(joblib.load(path), 'model.pcam')"
)


class _Member(NamedTuple):
    """A member's name, size and CRC-32, which make its headers."""

    name: str
    size: int
    crc: int

    def local(self) -> bytes:
        """Return the header in front of the member."""
        return struct.pack(_LOCAL, b"PK\3\4", *self._common()) + self.name.encode()

    def central(self, offset: int) -> bytes:
        """Return the entry in the directory."""
        fields = (*self._common(), 0, 0, 0, _PERMISSIONS, offset)
        return struct.pack(_CENTRAL, b"PK\1\2", _UNIX | _VERSION, *fields) + self.name.encode()

    def _common(self) -> tuple[int, ...]:
        return (_VERSION, 0, 0, *_MIDNIGHT, self.crc, self.size, self.size, len(self.name), 0)


def check_size(name: str, size: int) -> None:
    """Raise ModelFileError if a member is larger than a reader takes."""
    if size > LARGEST[name]:
        raise ModelFileError(
            f"{name} has {size:,} bytes, and at most {LARGEST[name]:,} are read from a model file; "
            "save a model as large as this with joblib"
        )


def write_archive(file: BinaryIO, contents: Mapping[str, bytes]) -> None:
    """Write the members in their order."""
    members = [
        _Member(name, len(contents[name]), zlib.crc32(contents[name]))
        for name in MEMBERS
        if name in contents
    ]
    for member in members:
        check_size(member.name, member.size)
        file.write(member.local())
        file.write(contents[member.name])
    file.write(_directory(members))


def read_archive(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Return the members of a file, or raise ModelFileError for what `write_archive` never writes.

    The file is read once and kept, so that nobody can change what was checked.
    """
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        raise ModelFileError("it is a folder; give the name of the .pcam file in it")
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError("it is no regular file; copy its bytes into one")
        if file.read(4) != b"PK\3\4":
            raise ModelFileError(
                f"it is no model file: save_model did not write it. If it is a pickle: {_CONVERT}"
            )
        members = _read_directory(file, status.st_size)
        file.seek(0)
        return {member.name: _read_member(file, member) for member in members}


def _without_waiting(path: str, flags: int) -> int:
    """Open a file, or a pipe whose other end nobody has opened."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _directory(members: list[_Member]) -> bytes:
    """Return all that stands behind the last member."""
    entries, offset = b"", 0
    for member in members:
        entries += member.central(offset)
        offset += len(member.local()) + member.size
    n = len(members)
    return entries + struct.pack(_END, b"PK\5\6", 0, 0, n, n, len(entries), offset, 0)


def _read_directory(file: BinaryIO, size: int) -> list[_Member]:
    """Return the members that the directory names, if it is the only one they can have."""
    largest = _END_SIZE + sum(struct.calcsize(_CENTRAL) + len(name) for name in MEMBERS)
    file.seek(max(0, size - largest))
    tail = file.read(largest)
    start = tail.find(b"PK\1\2")
    members = _parse_entries(tail[max(start, 0) : -_END_SIZE]) if len(tail) > _END_SIZE else []
    names = [member.name for member in members]
    if start < 0 or names != [name for name in MEMBERS if name in names]:
        raise ModelFileError(_changed("it does not end in the directory of one"))
    for member in members:
        check_size(member.name, member.size)
    directory = _directory(members)
    expected = sum(len(m.local()) + m.size for m in members) + len(directory)
    if size != expected or tail[start:] != directory:
        raise ModelFileError(_changed("its directory and its contents do not fit together"))
    return members


def _parse_entries(entries: bytes) -> list[_Member]:
    """Return possible members; the caller compares their directory with these bytes."""
    members, length = [], struct.calcsize(_CENTRAL)
    while len(entries) >= length:
        fields = struct.unpack(_CENTRAL, entries[:length])
        crc, size, n = fields[7], fields[9], fields[10]
        name = entries[length : length + n].decode("ascii", "replace")
        members.append(_Member(name, size, crc))
        entries = entries[length + n :]
    return members


def _read_member(file: BinaryIO, member: _Member) -> bytes:
    header = member.local()
    if file.read(len(header)) != header:
        raise ModelFileError(_changed(f"the header of {member.name} is not the one it must have"))
    content = file.read(member.size)
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise ModelFileError(_changed(f"{member.name} is damaged"))
    return content


def _changed(found: str) -> str:
    return f"{found}: it was damaged or changed, or another program packed it; take the original"

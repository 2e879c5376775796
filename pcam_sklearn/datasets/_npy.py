"""The ``.npy`` file that holds the patches of an official HDF5 file, mapped into memory.

Its record, ``<stem>.npy.json``, tells the HDF5 file that it was made from, that file's MD5, and a
checksum of every 256 patches. The record is written last, so a ``.npy`` file without one is not
finished.
"""

import io
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pcam_sklearn._files import atomic_path
from pcam_sklearn.datasets._h5 import Table, md5_of_content
from pcam_sklearn.datasets._ids import patch_digest
from pcam_sklearn.datasets._official_h5 import PATCH, open_patches

_BLOCK = 256
_DIGEST = 20


@dataclass(frozen=True)
class _Record:
    """A ``.npy`` file: where it came from, and its checksums."""

    source: dict[str, Any]
    source_md5: str
    n_bytes: int
    blocks: list[str]

    @property
    def n(self) -> int:
        """The number of patches."""
        return (self.n_bytes - len(_header(PATCH))) // int(np.prod(PATCH))


def map_images(
    folder: Path, stem: str, source: Path | None, split: str, *, verify: bool, progress: bool
) -> np.memmap:
    """Map the patches of ``<stem>.npy``, and write that file first if it is missing or damaged.

    `verify` checks every patch of an existing file, not only the first and last 256.
    """
    npy = folder / f"{stem}.npy"
    fault = _find_fault(npy, source, verify=verify, progress=progress)
    if fault and source is None:
        raise ValueError(f"{npy}: {fault}, and there is no {stem}.h5 or .h5.gz to write it from")
    if fault and source is not None:
        if npy.exists():
            warnings.warn(f"{npy}: {fault}; it is written again from {source.name}", stacklevel=4)
        _convert(source, npy, split, progress=progress)
    return _open_map(npy, _read_record(npy).n)


def read_digests(npy: Path, images: np.memmap, *, progress: bool) -> np.ndarray:
    """Return the SHA-1 of every patch, as of when the file was written; shape (n, 20), uint8.

    They are kept in ``<stem>.sha1.npy``, and made again if that is missing or damaged.
    """
    path, blocks = npy.with_suffix(".sha1.npy"), _read_record(npy).blocks
    header = _header((len(images), _DIGEST))
    content = path.read_bytes() if path.is_file() else header
    sha1 = content.removeprefix(header)
    if not content.startswith(header) or _hash_blocks(sha1) != blocks:
        if path.is_file():
            warnings.warn(f"{path} is damaged; it is written again from {npy.name}", stacklevel=4)
        sha1 = _hash_all(images, desc=path.name, progress=progress)
        if _hash_blocks(sha1) != blocks:
            raise ValueError(
                f"{npy} is damaged: its patches have changed; delete it and load again"
            )
        # Where they cannot be kept, they are made each time.
        with suppress(OSError), atomic_path(path) as temporary:
            temporary.write_bytes(header + sha1)
    return np.frombuffer(sha1, np.uint8).reshape(-1, _DIGEST)


def _find_fault(npy: Path, source: Path | None, *, verify: bool, progress: bool) -> str | None:
    """Return a reason not to trust the file, or None."""
    missing = [path.name for path in (npy, _record_path(npy)) if not path.is_file()]
    if missing:
        return f"there is no {' or '.join(missing)}"
    try:
        record = _read_record(npy)
    except ValueError as error:
        return str(error)
    if source and not _is_made_from(npy, record, source):
        return f"{source.name} is no longer the file that it was made from"
    if npy.stat().st_size != record.n_bytes:
        return f"it has {npy.stat().st_size:,} bytes instead of {record.n_bytes:,}"
    return _find_fault_in_patches(npy, record, verify=verify, progress=progress)


def _find_fault_in_patches(
    npy: Path, record: _Record, *, verify: bool, progress: bool
) -> str | None:
    header = _header((record.n, *PATCH))
    with open(npy, "rb") as file:
        if file.read(len(header)) != header:
            return "its header has changed"
    images, n_blocks = _open_map(npy, record.n), len(record.blocks)
    # A quick look at both ends finds files that were cut short or written over.
    blocks = range(n_blocks) if verify else sorted({0, n_blocks - 1})
    for i in tqdm(blocks, desc=f"verify {npy.name}", disable=not (verify and progress)):
        digests = _hash_patches(images[i * _BLOCK : (i + 1) * _BLOCK])
        if _hash_blocks(digests) != [record.blocks[i]]:
            return f"its patches {i * _BLOCK} to {(i + 1) * _BLOCK - 1} have changed"
    return None


def _is_made_from(npy: Path, record: _Record, source: Path) -> bool:
    """Return whether the content of a source is that of the patches."""
    # Taken before reading, so that a source that changes meanwhile counts as changed.
    fingerprint = _read_fingerprint(source)
    if record.source == fingerprint:
        return True
    # A file that was packed, copied or touched still has the same content.
    if md5_of_content(source) != record.source_md5:
        return False
    with suppress(OSError):  # In a folder that is read-only, the content is read each time.
        _write_record(npy, replace(record, source=fingerprint))
    return True


def _convert(source: Path, npy: Path, split: str, *, progress: bool) -> None:
    """Write the patches and their record, and the digests where they may be kept.

    The old files stay until the new patches are written, so that a full disk costs nothing.
    """
    fingerprint = _read_fingerprint(source)
    with open_patches(source, split) as table, atomic_path(npy) as temporary:
        sha1 = _copy(table, temporary, desc=npy.name, progress=progress)
        # Some disks lose bytes silently, and training would never notice.
        _check_written(temporary, sha1)
        # The old record must not vouch for the new files.
        _record_path(npy).unlink(missing_ok=True)
        # Stored digests of the other splits would give away the ids of Kaggle's test set.
        if split == "train":
            with atomic_path(npy.with_suffix(".sha1.npy")) as digests:
                digests.write_bytes(_header((len(table), _DIGEST)) + sha1)
    n_bytes = npy.stat().st_size
    _write_record(npy, _Record(fingerprint, table.md5, n_bytes, _hash_blocks(sha1)))


def _copy(table: Table, path: Path, *, desc: str, progress: bool) -> bytes:
    """Write a table as a ``.npy`` file, and return the digest of every patch."""
    digests = bytearray()
    with (
        open(path, "wb") as file,
        tqdm(total=len(table), unit="patch", desc=desc, disable=not progress) as bar,
    ):
        # `np.save` needs the whole array in memory, so only its header comes from NumPy.
        file.write(_header(table.shape))
        for block in table.blocks():
            file.write(block.data)
            digests += _hash_patches(block)
            bar.update(len(block))
    return bytes(digests)


def _header(shape: tuple[int, ...]) -> bytes:
    """Return the header of a ``.npy`` file of bytes. Its length does not depend on the shape."""
    buffer = io.BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


def _open_map(npy: Path, n: int) -> np.memmap:
    # By the header that it must have. The one in the file may be damaged.
    shape = (n, *PATCH)
    return np.memmap(npy, np.uint8, "r", offset=len(_header(shape)), shape=shape)


def _check_written(path: Path, digests: bytes) -> None:
    images = _open_map(path, len(digests) // _DIGEST)
    if _hash_all(images, desc="", progress=False) != digests:
        raise OSError(f"{path} does not hold what was written to it: check the disk")


def _hash_all(images: np.ndarray, *, desc: str, progress: bool) -> bytes:
    starts = tqdm(range(0, len(images), _BLOCK), desc=desc, disable=not progress)
    return b"".join(_hash_patches(images[i : i + _BLOCK]) for i in starts)


def _hash_patches(images: np.ndarray) -> bytes:
    return b"".join(map(patch_digest, np.asarray(images)))


def _hash_blocks(digests: bytes) -> list[str]:
    step = _BLOCK * _DIGEST
    parts: Iterator[bytes] = (digests[i : i + step] for i in range(0, len(digests), step))
    return [patch_digest(part).hex() for part in parts]


def _read_fingerprint(path: Path) -> dict[str, Any]:
    status = path.stat()
    # The size and time of another file may be made the same; no program can set the other two.
    numbers = {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    return {"name": path.name, "size": status.st_size, **numbers, "inode": status.st_ino}


def _record_path(npy: Path) -> Path:
    return npy.with_name(npy.name + os.extsep + "json")


def _write_record(npy: Path, record: _Record) -> None:
    with atomic_path(_record_path(npy)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1))


def _read_record(npy: Path) -> _Record:
    """Return the record of a file, or raise ValueError if it is damaged."""
    path = _record_path(npy)
    try:
        record = _Record(**json.loads(path.read_text()))
        blocks = record.blocks if isinstance(record.blocks, list) else []
        whole = isinstance(record.n_bytes, int) and len(blocks) == -(-record.n // _BLOCK) > 0
    except (ValueError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(f"its record {path.name} is damaged")
    return record

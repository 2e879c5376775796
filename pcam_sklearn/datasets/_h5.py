"""HDF5 files, packed or not: open, check, read from front to back.

HDF5 answers damage with exceptions of many kinds, without the name of the file, and fills missing
parts with zeros. Here each is a ValueError with the name.
"""

import gzip
import hashlib
import math
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from pcam_sklearn._files import md5_of, name_full_disk

_BLOCK = 1 << 20
_ROWS = 256
# Labels fit into memory, patches of 7.2 GB do not.
_IN_MEMORY = 64 << 20
_LARGEST_BUFFER = 256 << 20
_LARGEST_CHUNK = 1 << 30
WHAT_TO_DO = "delete it and download it again with fetch_pcam"


@dataclass(frozen=True)
class Table:
    """A dataset of an HDF5 file, with the MD5 of the unpacked file. All of it is in the file."""

    path: Path
    key: str
    md5: str
    shape: tuple[int, ...]
    dtype: np.dtype
    _dataset: h5py.Dataset

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the rows in blocks; each block overwrites the one before."""
        rows = self._rows_at_once()
        with _name_damage(self.path):
            buffer = np.empty((min(rows, len(self)), *self.shape[1:]), self.dtype)
        for first in range(0, len(self), rows):
            block = buffer[: min(rows, len(self) - first)]
            with _name_damage(self.path):
                self._dataset.read_direct(block, np.s_[first : first + len(block)])
            yield block

    def read(self) -> np.ndarray:
        """Return all rows."""
        with _name_damage(self.path):
            return np.asarray(self._dataset[...])

    def _rows_at_once(self) -> int:
        # Whole chunks, because HDF5 would read and unpack a divided chunk several times.
        chunk = self._dataset.chunks[0] if self._dataset.chunks else 1
        rows = -(-_ROWS // chunk) * chunk
        row_bytes = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        return min(rows, max(1, _LARGEST_BUFFER // row_bytes))


@contextmanager
def open_h5(path: Path, key: str) -> Iterator[Table]:
    """Yield a dataset of an ``.h5`` or ``.h5.gz`` file."""
    with ExitStack() as stack:
        source: Any = path
        if path.suffix == ".gz":
            # HDF5 jumps about in its files, and a packed file can only be read front to back. The
            # temporary file has no name, so nothing is left of it even if the process is killed.
            stack.enter_context(name_full_disk(path.with_suffix("")))
            source = stack.enter_context(
                tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(path.parent))
            )
            md5 = _unpack(path, source)
        else:
            md5 = md5_of(path)
        with _name_damage(path, "is no HDF5 file, or damaged"):
            file = stack.enter_context(h5py.File(source, "r"))
        yield _find(path, file, key, md5)


def md5_of_content(path: Path) -> str:
    """Return the MD5 of an ``.h5`` file, or of the file in an ``.h5.gz``."""
    return _unpack(path, None) if path.suffix == ".gz" else md5_of(path)


def find_h5(folder: Path, stem: str) -> Path | None:
    """Return the path of ``<stem>.h5`` or ``<stem>.h5.gz``, or None if the folder has neither."""
    for ending in (".h5", ".h5.gz"):
        path = folder / f"{stem}{ending}"
        if path.is_file():
            return path
    return None


def _find(path: Path, file: h5py.File, key: str, md5: str) -> Table:
    with _name_damage(path):
        names = list(file)
        found = file[key] if key in names else None
    if found is None:
        raise ValueError(f"{path} holds {names}; it must hold {key!r}")
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{path}: {key} is a {type(found).__name__.lower()}; it must be a dataset")
    with _name_damage(path):
        fault = _find_fault(file, found)
        if fault is None:
            return Table(path, key, md5, found.shape, found.dtype, found)
    raise ValueError(f"{path}: {key} {fault}; {WHAT_TO_DO}")


def _find_fault(file: h5py.File, dataset: h5py.Dataset) -> str | None:
    """Return a reason not to read a dataset, or None."""
    if not dataset.shape:  # HDF5 knows a single value, and none at all.
        return "holds no table of values"
    if dataset.is_virtual or dataset.external or dataset.file.filename != file.filename:
        return "lies in another file"
    # What was never written, HDF5 reads as zeros: black patches, and labels 0.
    if dataset.chunks is None:
        n_bytes = math.prod(dataset.shape) * dataset.dtype.itemsize
        return None if dataset.id.get_storage_size() >= n_bytes else "is not all there"
    if math.prod(dataset.chunks) * dataset.dtype.itemsize > _LARGEST_CHUNK:
        return f"has chunks of {dataset.chunks}, each more than 1 GiB"
    pairs = zip(dataset.shape, dataset.chunks, strict=True)
    complete = dataset.id.get_num_chunks() == math.prod(-(-n // chunk) for n, chunk in pairs)
    return None if complete else "is not all there"


@contextmanager
def _name_damage(path: Path, what: str = "is damaged") -> Iterator[None]:
    """Turn what h5py raises into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # Damaged content can raise any exception.
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} {what}: {text}; {WHAT_TO_DO}") from error


def _unpack(packed: Path, unpacked: IO[bytes] | None) -> str:
    """Unpack a gzip file, if there is a place to write to, and return the MD5 of its content."""
    # Hashed on the way, because a second pass over 7.2 GB takes as long as the unpacking.
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with gzip.open(packed, "rb") as source:
            while block := source.read(_BLOCK):
                digest.update(block)
                if unpacked is not None:
                    unpacked.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{packed} is cut short or damaged ({error}); {WHAT_TO_DO}") from error
    return digest.hexdigest()

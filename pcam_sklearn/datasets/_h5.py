"""HDF5 files of PatchCamelyon, packed or not: open, check, read from front to back."""

import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from pcam_sklearn._files import md5_of, name_full_disk

_BLOCK = 1 << 20
_ROWS = 256
# Labels fit into memory, patches of 7.2 GB do not.
_IN_MEMORY = 64 << 20


@contextmanager
def open_h5(path: Path, key: str) -> Iterator[tuple[h5py.Dataset, str]]:
    """Yield a dataset of an ``.h5`` or ``.h5.gz`` file, and the MD5 of the unpacked file."""
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
        try:
            file = stack.enter_context(h5py.File(source, "r"))
        except OSError as error:
            raise ValueError(f"{path} is no HDF5 file, or damaged: {error}") from error
        if key not in file:
            raise ValueError(f"{path} holds {list(file)}; it must hold {key!r}")
        yield file[key], md5


def read_blocks(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    """Yield the rows of a dataset in blocks; each block overwrites the one before."""
    # Whole chunks, because HDF5 would read and unpack a divided chunk several times.
    chunk = dataset.chunks[0] if dataset.chunks else 1
    rows = -(-_ROWS // chunk) * chunk
    buffer = np.empty((min(rows, len(dataset)), *dataset.shape[1:]), dataset.dtype)
    for first in range(0, len(dataset), rows):
        block = buffer[: min(rows, len(dataset) - first)]
        dataset.read_direct(block, np.s_[first : first + len(block)])
        yield block


def _unpack(packed: Path, unpacked: IO[bytes]) -> str:
    """Unpack a gzip file and return the MD5 of its content."""
    # Hashed on the way, because a second pass over 7.2 GB takes as long as the unpacking.
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with gzip.open(packed, "rb") as source:
            while block := source.read(_BLOCK):
                digest.update(block)
                unpacked.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{packed} is cut short or damaged ({error}); delete it and download it again"
            " with fetch_pcam"
        ) from error
    return digest.hexdigest()


def find_h5(folder: Path, stem: str) -> Path | None:
    """Return the path of ``<stem>.h5`` or ``<stem>.h5.gz``, or None if the folder has neither."""
    for ending in (".h5", ".h5.gz"):
        path = folder / f"{stem}{ending}"
        if path.is_file():
            return path
    return None

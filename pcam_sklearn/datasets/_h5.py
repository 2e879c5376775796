"""HDF5 files of PatchCamelyon, packed or not: open, check, read from front to back."""

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from pcam_sklearn._files import md5_of

_BLOCK = 1 << 20
_ROWS = 256
_IN_MEMORY = 64 << 20


@contextmanager
def open_h5(path: Path, key: str) -> Iterator[tuple[h5py.Dataset, str]]:
    """Open a dataset of an ``.h5`` or ``.h5.gz`` file; yield it with the MD5 of the plain file.

    HDF5 jumps about in its files, which a packed file does not allow. So that is unpacked first:
    into memory if it is small, and else into a temporary file beside it.
    """
    with ExitStack() as stack:
        source: Any = path
        if path.suffix == ".gz":
            source = stack.enter_context(
                tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(path.parent))
            )
            md5 = _unpack(path, source)
        else:
            md5 = md5_of(path)
        try:
            content = stack.enter_context(h5py.File(source, "r"))
        except OSError as error:
            raise ValueError(f"{path} is no HDF5 file, or damaged: {error}") from error
        if key not in content:
            raise ValueError(f"{path} holds {list(content)}; it must hold {key!r}")
        yield content[key], md5


def read_blocks(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    """Yield a dataset from front to back, in a buffer that the next step overwrites."""
    # Whole chunks, because HDF5 would read and unpack a divided chunk several times.
    chunk = dataset.chunks[0] if dataset.chunks else 1
    rows = -(-_ROWS // chunk) * chunk
    buffer = np.empty((min(rows, len(dataset)), *dataset.shape[1:]), dataset.dtype)
    for first in range(0, len(dataset), rows):
        block = buffer[: min(rows, len(dataset) - first)]
        dataset.read_direct(block, np.s_[first : first + len(block)])
        yield block


def _unpack(packed: Path, plain: IO[bytes]) -> str:
    """Unpack a gzip file and return the MD5 of its content."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with gzip.open(packed, "rb") as source:
            while block := source.read(_BLOCK):
                digest.update(block)
                plain.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{packed} is cut short or damaged ({error}); delete it and download it again"
            " with fetch_pcam"
        ) from error
    return digest.hexdigest()


def find_h5(folder: str | os.PathLike[str], stem: str) -> Path | None:
    """Return ``<stem>.h5``, or ``<stem>.h5.gz``, or None where neither is in the folder."""
    for ending in (".h5", ".h5.gz"):
        path = Path(folder, stem + ending)
        if path.is_file():
            return path
    return None

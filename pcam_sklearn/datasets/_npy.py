"""The ``.npy`` file that holds the patches of an official HDF5 file, mapped into memory.

Its record, ``<stem>.npy.json``, holds the name, size, time and MD5 of the source, and a checksum
of every 256 patches. The record is written last, so a ``.npy`` file without one is not finished.
"""

import io
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pcam_sklearn._files import atomic_path
from pcam_sklearn.datasets._h5 import open_h5, read_blocks
from pcam_sklearn.datasets._ids import patch_digest
from pcam_sklearn.datasets._pcam_files import H5_MD5, SIZES

_BLOCK = 256
_DIGEST = 20


def map_images(
    folder: Path, stem: str, source: Path | None, *, digests: bool, verify: bool, progress: bool
) -> np.memmap:
    """Map the patches of ``<stem>.npy``, and write that file first if it is missing or damaged.

    `digests` keeps the SHA-1 of every patch, for `read_digests`. `verify` checks every patch of an
    existing file, not only the first and last 256.
    """
    npy = folder / f"{stem}.npy"
    fault = _find_fault(npy, source, digests=digests, verify=verify, progress=progress)
    if fault and source is None:
        raise ValueError(f"{npy}: {fault}, and there is no {stem}.h5 or .h5.gz to write it from")
    if fault and source is not None:
        if npy.exists():
            warnings.warn(f"{npy}: {fault}; it is written again from {source.name}", stacklevel=4)
        _convert(source, npy, digests=digests, progress=progress)
    return np.load(npy, mmap_mode="r")


def read_digests(npy: Path) -> np.ndarray:
    """Return the SHA-1 of every patch, as of when the file was written; shape (n, 20), uint8."""
    digests = np.load(_digest_path(npy))
    if _hash_blocks(digests.tobytes()) != json.loads(_record_path(npy).read_text())["blocks"]:
        raise ValueError(f"{_digest_path(npy)} is damaged: delete {npy.name} and load again")
    return digests


def _find_fault(
    npy: Path, source: Path | None, *, digests: bool, verify: bool, progress: bool
) -> str | None:
    """Return a reason not to trust the file, or None."""
    needed = [npy, _record_path(npy), *([_digest_path(npy)] if digests else [])]
    missing = [path.name for path in needed if not path.is_file()]
    if missing:
        return f"there is no {' or '.join(missing)}"
    record = json.loads(_record_path(npy).read_text())
    made_from = record["source"]
    # The user may delete the source, or keep it packed: another name tells nothing.
    if source and source.name == made_from["name"] and _read_fingerprint(source) != made_from:
        return f"{source.name} is no longer the file that it was made from"
    if npy.stat().st_size != record["n_bytes"]:
        return f"it has {npy.stat().st_size:,} bytes instead of {record['n_bytes']:,}"
    sums = record["blocks"]
    images = np.load(npy, mmap_mode="r")
    # A quick look at both ends finds files that were cut short or written over.
    blocks = range(len(sums)) if verify else sorted({0, len(sums) - 1})
    for i in tqdm(blocks, desc=f"verify {npy.name}", disable=not (verify and progress)):
        if _hash_blocks(_hash_patches(images[i * _BLOCK : (i + 1) * _BLOCK])) != [sums[i]]:
            return f"its patches {i * _BLOCK} to {(i + 1) * _BLOCK - 1} have changed"
    return None


def _convert(source: Path, npy: Path, *, digests: bool, progress: bool) -> None:
    """Write the patches, their digests and the record of both.

    The old files stay until the new patches are written, so that a full disk costs nothing.
    """
    # Taken before reading, so that a source that changes meanwhile counts as changed.
    fingerprint = _read_fingerprint(source)
    with open_h5(source, "x") as (dataset, md5):
        _check_dataset(source, dataset, md5)
        with atomic_path(npy) as temporary:
            sha1 = _copy(dataset, temporary, desc=npy.name, progress=progress)
            # Some disks lose bytes silently, and training would never notice.
            _check_written(temporary, sha1)
            # The old record must not vouch for the new files.
            _record_path(npy).unlink(missing_ok=True)
            if digests:
                _write_digests(_digest_path(npy), sha1)
    record = {"source": fingerprint, "source_md5": md5, "n_bytes": npy.stat().st_size}
    with atomic_path(_record_path(npy)) as temporary:
        temporary.write_text(json.dumps({**record, "blocks": _hash_blocks(sha1)}, indent=1))


def _copy(dataset: Any, path: Path, *, desc: str, progress: bool) -> bytes:
    """Write a dataset as a ``.npy`` file, and return the digest of every patch."""
    header = {"descr": "|u1", "fortran_order": False, "shape": dataset.shape}
    digests = bytearray()
    with (
        open(path, "wb") as file,
        tqdm(total=len(dataset), unit="patch", desc=desc, disable=not progress) as bar,
    ):
        # `np.save` needs the whole array in memory, so only its header comes from NumPy.
        np.lib.format.write_array_header_1_0(file, header)
        for block in read_blocks(dataset):
            file.write(block.data)
            digests += _hash_patches(block)
            bar.update(len(block))
    return bytes(digests)


def _write_digests(path: Path, sha1: bytes) -> None:
    # To a file itself `np.save` would write with a call that does not say why it fails.
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(sha1, np.uint8).reshape(-1, _DIGEST))
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _check_dataset(source: Path, dataset: Any, md5: str) -> None:
    check_content(source, len(dataset), md5)
    if dataset.dtype != np.uint8 or dataset.ndim != 4 or dataset.shape[1:] != (96, 96, 3):
        raise ValueError(
            f"{source}: x is {dataset.dtype} {dataset.shape}; it must be uint8 (n, 96, 96, 3)"
        )
    if not len(dataset):
        raise ValueError(f"{source} holds no patch; download it again with fetch_pcam")


def check_content(source: Path, n: int, md5: str) -> None:
    """Raise ValueError if a file has the official length but not the official content."""
    name = source.name.removesuffix(".gz")
    split = name.split("_")[-2]
    if n == SIZES.get(split) and md5 != H5_MD5.get(name, md5):
        raise ValueError(
            f"{source} is damaged: the MD5 of its content is {md5}, not {H5_MD5[name]};"
            " delete it and download it again with fetch_pcam"
        )


def _check_written(path: Path, digests: bytes) -> None:
    images = np.load(path, mmap_mode="r")
    if any(
        _hash_patches(images[i : i + _BLOCK]) != digests[i * _DIGEST : (i + _BLOCK) * _DIGEST]
        for i in range(0, len(images), _BLOCK)
    ):
        raise OSError(f"{path} does not hold what was written to it: check the disk")


def _hash_patches(images: np.ndarray) -> bytes:
    return b"".join(map(patch_digest, np.asarray(images)))


def _hash_blocks(digests: bytes) -> list[str]:
    step = _BLOCK * _DIGEST
    parts: Iterator[bytes] = (digests[i : i + step] for i in range(0, len(digests), step))
    return [patch_digest(part).hex() for part in parts]


def _read_fingerprint(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"name": path.name, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _record_path(npy: Path) -> Path:
    return npy.with_name(npy.name + ".json")


def _digest_path(npy: Path) -> Path:
    return npy.with_name(npy.stem + ".sha1" + os.extsep + "npy")

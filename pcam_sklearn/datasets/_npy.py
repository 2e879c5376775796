"""From an official HDF5 file to a ``.npy`` file that is mapped into memory, and checked.

Beside ``<stem>.npy`` lies its record, ``<stem>.npy.json``: name, size, time and MD5 of its source,
and a checksum of every 256 patches. The record is written last, so a ``.npy`` file without one was
not finished.
"""

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
    """Map the patches of ``<stem>.npy``, which is written from the HDF5 file `source` if need be.

    `digests` keeps the SHA-1 of every patch too, for `stored_digests`. `verify` checks every patch
    of an existing file, not only the first and last 256. A damaged file, or one that holds
    something else, raises ValueError if no source is there to write it from.
    """
    npy = folder / f"{stem}.npy"
    fault = _find_fault(npy, source, digests=digests, verify=verify, progress=progress)
    if fault and source is None:
        raise ValueError(f"{npy}: {fault}, and there is no {stem}.h5 or .h5.gz to write it from")
    if fault and source is not None:
        if npy.exists():
            warnings.warn(f"{npy}: {fault}; it is written again from {source.name}", stacklevel=3)
        _convert(source, npy, digests=digests, progress=progress)
    return np.load(npy, mmap_mode="r")


def stored_digests(npy: Path) -> np.ndarray:
    """Return the SHA-1 of every patch, from when the file was written; shape (n, 20), uint8."""
    digests = np.load(_digest_path(npy))
    if _block_sums(digests.tobytes()) != json.loads(_record_path(npy).read_text())["blocks"]:
        raise ValueError(f"{_digest_path(npy)} is damaged: delete {npy.name} and load again")
    return digests


def _find_fault(
    npy: Path, source: Path | None, *, digests: bool, verify: bool, progress: bool
) -> str | None:
    """Return a reason not to trust the file, or None."""
    needed = [npy, _record_path(npy), *([_digest_path(npy)] if digests else [])]
    missing = [path.name for path in needed if not path.is_file()]
    if missing:
        return f"{' and '.join(missing)} missing"
    record = json.loads(_record_path(npy).read_text())
    made_from = record["source"]
    if source and source.name == made_from["name"] and _fingerprint(source) != made_from:
        return f"{source.name} is no longer the file that it was made from"
    if npy.stat().st_size != record["n_bytes"]:
        return f"it has {npy.stat().st_size:,} bytes instead of {record['n_bytes']:,}"
    sums = record["blocks"]
    images = np.load(npy, mmap_mode="r")
    which = range(len(sums)) if verify else sorted({0, len(sums) - 1})
    for i in tqdm(which, desc=f"verify {npy.name}", disable=not (verify and progress)):
        if _block_sums(_digests_of(images[i * _BLOCK : (i + 1) * _BLOCK])) != [sums[i]]:
            return f"its patches {i * _BLOCK} to {(i + 1) * _BLOCK - 1} have changed"
    return None


def _convert(source: Path, npy: Path, *, digests: bool, progress: bool) -> None:
    """Write the patches, their digests and the record of both, each whole or not at all."""
    # Without its record nobody trusts the old file while the new one is written.
    _record_path(npy).unlink(missing_ok=True)
    fingerprint = _fingerprint(source)
    with open_h5(source, "x") as (dataset, md5):
        _check_dataset(source, dataset, md5)
        with atomic_path(npy) as temporary:
            sha1 = _copy(dataset, temporary, desc=npy.name, progress=progress)
            _check_written(temporary, sha1)
    if digests:
        with atomic_path(_digest_path(npy)) as temporary:
            np.save(temporary, np.frombuffer(sha1, np.uint8).reshape(-1, _DIGEST))
    record = {
        "source": fingerprint,
        "source_md5": md5,
        "n_bytes": npy.stat().st_size,
        "blocks": _block_sums(sha1),
    }
    with atomic_path(_record_path(npy)) as temporary:
        temporary.write_text(json.dumps(record, indent=1))


def _copy(dataset: Any, path: Path, *, desc: str, progress: bool) -> bytes:
    """Write a dataset as a ``.npy`` file, front to back, and return the digest of every patch."""
    header = {"descr": "|u1", "fortran_order": False, "shape": dataset.shape}
    digests = bytearray()
    with (
        open(path, "wb") as file,
        tqdm(total=len(dataset), unit="patch", desc=desc, disable=not progress) as bar,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for block in read_blocks(dataset):
            file.write(block.data)
            digests += _digests_of(block)
            bar.update(len(block))
    return bytes(digests)


def _check_dataset(source: Path, dataset: Any, md5: str) -> None:
    check_content(source, len(dataset), md5)
    if dataset.dtype != np.uint8 or dataset.ndim != 4 or dataset.shape[1:] != (96, 96, 3):
        raise ValueError(
            f"{source}: x is {dataset.dtype} {dataset.shape}; it must be uint8 (n, 96, 96, 3)"
        )
    if not len(dataset):
        raise ValueError(f"{source} holds no patch")


def check_content(source: Path, n: int, md5: str) -> None:
    """Raise ValueError if a file has the official length and other content."""
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
        _digests_of(images[i : i + _BLOCK]) != digests[i * _DIGEST : (i + _BLOCK) * _DIGEST]
        for i in range(0, len(images), _BLOCK)
    ):
        raise OSError(f"{path} does not hold what was written to it: check the disk")


def _digests_of(images: np.ndarray) -> bytes:
    return b"".join(map(patch_digest, np.asarray(images)))


def _block_sums(digests: bytes) -> list[str]:
    step = _BLOCK * _DIGEST
    parts: Iterator[bytes] = (digests[i : i + step] for i in range(0, len(digests), step))
    return [patch_digest(part).hex() for part in parts]


def _fingerprint(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"name": path.name, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _record_path(npy: Path) -> Path:
    return npy.with_name(npy.name + ".json")


def _digest_path(npy: Path) -> Path:
    return npy.with_name(npy.stem + ".sha1" + os.extsep + "npy")

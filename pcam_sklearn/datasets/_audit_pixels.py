"""The pixels of an audit: read every file, hash it, compare the hash with its name."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from pcam_sklearn._reading._images import read_image
from pcam_sklearn._reading._rules import CutShortError, UnreadableImageError
from pcam_sklearn.datasets._audit_report import Finding
from pcam_sklearn.datasets._ids import is_id, name_of, patch_digest

_SHAPE = (96, 96, 3)
_BLACK, _WHITE = 10, 245
_BLOCK = 64  # Files per task. To hand over single files costs as much as to read them.
_THREADS = 4  # Files on a disk are read twice as fast. Files in the cache gain nothing.
_OPENCV_LOG = getattr(cv2.utils, "logging", cv2)  # The second one before OpenCV 4.13.
_SILENT = 0


def check_pixels(
    root: Path, paths: list[str], advance: Callable[[int], object]
) -> Iterator[Finding]:
    """Read every file once and yield what is wrong with its pixels, in the order of the paths.

    Paths start from `root`. After each block, `advance` is called with its number of files.
    """
    seen: dict[bytes, str] = {}
    blocks = [paths[i : i + _BLOCK] for i in range(0, len(paths), _BLOCK)]
    pool = ThreadPoolExecutor(_THREADS)
    try:
        with _quiet_opencv():
            for block in pool.map(lambda block: [_inspect(root, path) for path in block], blocks):
                for path, digest, findings in block:
                    yield from findings
                    if digest and seen.setdefault(digest, path) != path:
                        yield _found("duplicate pixels", path, f"the same as {seen[digest]}")
                advance(len(block))
    finally:
        # After an interrupt, nobody waits for the files that are left.
        pool.shutdown(cancel_futures=True)


def _inspect(root: Path, path: str) -> tuple[str, bytes, list[Finding]]:
    """Return the path, the digest of the pixels (empty if unreadable), and the findings."""
    full = f"{root}{os.sep}{path}"
    try:
        pixels = read_image(full)
    except OSError as error:
        return path, b"", [_found("unreadable", path, str(error.strerror))]
    except UnreadableImageError as error:
        kind = "truncated" if isinstance(error, CutShortError) else "unreadable"
        return path, b"", [_found(kind, path, str(error))]
    digest = patch_digest(pixels)
    findings = [*_check_size(path, pixels), *_check_blank(path, pixels)]
    if pixels.shape == _SHAPE and digest.hex() != name_of(path) and is_id(name_of(path)):
        findings.append(_explain_wrong_pixels(path, pixels, digest))
    return path, digest, findings


def _check_size(path: str, pixels: np.ndarray) -> list[Finding]:
    if pixels.shape == _SHAPE:
        return []
    height, width = pixels.shape[:2]
    return [_found("wrong size", path, f"{width} x {height} pixels (width x height)")]


def _check_blank(path: str, pixels: np.ndarray) -> list[Finding]:
    # One pixel clears nearly every patch. To look at all pixels costs as much as to read them.
    if _BLACK <= pixels[0, 0, 0] <= _WHITE:
        return []
    low, high = int(pixels.min()), int(pixels.max())
    if high >= _BLACK and low <= _WHITE:
        return []
    return [_found("blank", path, f"values from {low} to {high}")]


def _explain_wrong_pixels(path: str, pixels: np.ndarray, digest: bytes) -> Finding:
    # OpenCV reads and writes BGR, so reversed channels are the most likely mistake.
    digest_as_bgr = patch_digest(np.ascontiguousarray(pixels[:, :, ::-1]))
    if digest_as_bgr.hex() == name_of(path):
        return _found("wrong pixels", path, "channels reversed: blue, green, red")
    return _found("wrong pixels", path, f"their SHA-1 is {digest.hex()}")


def _found(kind: str, path: str, detail: str) -> Finding:
    return Finding(kind, name_of(path), path, detail)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from printing five lines per damaged file: the report names it anyway."""
    level = _OPENCV_LOG.getLogLevel()
    _OPENCV_LOG.setLogLevel(_SILENT)
    try:
        yield
    finally:
        _OPENCV_LOG.setLogLevel(level)

"""Download of the official PatchCamelyon files: verified, and continued where it broke off."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pcam_sklearn._files import expand_home, md5_of, replace_file
from pcam_sklearn._workspaces import workspace
from pcam_sklearn.datasets._download import Download, TransferError
from pcam_sklearn.datasets._pcam_files import ARCHIVE_MD5, SPLITS, check_split, file_name

_PARTS = ("x.h5.gz", "y.h5.gz", "meta.csv")
# Above the largest file of each kind, of 6.4 GB and some 20 MB.
_LARGEST = {"x.h5.gz": 8 << 30, "y.h5.gz": 256 << 20, "meta.csv": 256 << 20}
_URL = "https://zenodo.org/records/2546921/files/{name}?download=1"


def fetch_pcam(
    folder: str | os.PathLike[str],
    splits: Iterable[str] = SPLITS,
    *,
    base_url: str = _URL,
    md5: Mapping[str, str] | None = None,
    retries: int = 5,
    backoff: float = 1.0,
    timeout: float = 60.0,
    progress: bool = True,
) -> list[Path]:
    """Download the official PatchCamelyon files.

    If anything goes wrong, call it again: it leaves files with the right MD5 alone, and continues
    a download where it broke off.

    Parameters
    ----------
    folder : path-like
        Folder for the files, created if it does not exist. The training split needs about 6.4 GB,
        the others 0.8 GB each. `load_pcam` then writes 7.2 GB and 0.9 GB, and needs the same again
        while it unpacks them.
    splits : iterable of {"train", "valid", "test"}, default=("train", "valid", "test")
        The splits. Each has three files: patches, labels, meta data.
    base_url : str, default="https://zenodo.org/records/2546921/files/{name}?download=1"
        Address of the files. ``{name}`` stands for the name of the file, and is appended if it
        does not occur.
    md5 : mapping of str to str, default=None
        The MD5 of each file by name. None takes those of the official files.
    retries : int, default=5
        Number of failures in a row that are allowed. After each new MiB the count starts again.
    backoff : float, default=1.0
        Seconds to wait after the first failure. The wait doubles with each further failure, up to
        a minute, unless the server asks for another one.
    timeout : float, default=60.0
        Seconds without a byte after which a connection counts as failed.
    progress : bool, default=True
        Whether to show a progress bar per file on the standard error stream.

    Returns
    -------
    list of pathlib.Path
        The files, all of them verified.

    Raises
    ------
    ValueError
        If a split, `base_url`, `retries`, `backoff` or `timeout` is not allowed.
    OSError
        If the server refuses a file, the transfer fails more than `retries` times in a row, the
        MD5 is wrong twice, the file is far larger than the official ones, or the disk is full. The
        bytes that came stay in ``<name>.part``. If nothing came, a folder that the call made is
        removed. If another process downloads the same file.

    Warns
    -----
    UserWarning
        If a file is there already with a wrong MD5. It is replaced once the right one has come.

    See Also
    --------
    pcam_sklearn.datasets.load_pcam : Load the files.

    References
    ----------
    .. [1] B. S. Veeling et al., PatchCamelyon, Zenodo record 2546921,
       https://doi.org/10.5281/zenodo.2546921

    Examples
    --------
    >>> from pcam_sklearn.datasets import fetch_pcam
    >>> fetch_pcam("pcam", splits=("valid",))  # doctest: +SKIP
    [PosixPath('pcam/camelyonpatch_level_2_split_valid_x.h5.gz'), ...]
    """
    _check_options(base_url, retries, backoff, timeout)
    sums = ARCHIVE_MD5 if md5 is None else md5
    names = _list_names(splits, sums)
    root = expand_home(folder)
    with _made_folder(root):
        for name in names:
            url, part = _make_url(base_url, name), root / f"{name}.part"
            largest = _LARGEST[name.rpartition("_")[2]]
            download = Download(url, part, sums[name], largest, retries, backoff, timeout, progress)
            _fetch(root / name, download)
    return [root / name for name in names]


@contextmanager
def _made_folder(root: Path) -> Iterator[None]:
    """Make a folder, and after an error remove what was made of its path and is still empty."""
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise


def _check_options(base_url: str, retries: int, backoff: float, timeout: float) -> None:
    if not base_url.startswith(("http://", "https://")):
        raise ValueError(f"base_url must begin with http:// or https://; got {base_url!r}")
    if retries < 0 or backoff < 0 or timeout <= 0:
        raise ValueError(
            "retries and backoff must be at least 0 and timeout more than 0;"
            f" got {retries!r}, {backoff!r} and {timeout!r}"
        )


def _list_names(splits: Iterable[str], sums: Mapping[str, str]) -> list[str]:
    # A text is a sequence as well, and its first letter would be an unknown split.
    if isinstance(splits, str):
        raise ValueError(f"splits must be a sequence; got {splits!r}, type ({splits!r},)")
    names = [file_name(check_split(split), part) for split in splits for part in _PARTS]
    unknown = [name for name in names if name not in sums]
    if unknown:
        raise ValueError(f"md5 has no entry for {', '.join(unknown)}; add one for each file")
    return names


def _make_url(base_url: str, name: str) -> str:
    return base_url.replace("{name}", name) if "{name}" in base_url else f"{base_url}/{name}"


def _fetch(final: Path, download: Download) -> None:
    if final.is_dir():
        raise IsADirectoryError(f"{final} is a folder; move it")
    if _is_verified(final, download.md5):
        return
    # Two processes that add to one part would spoil it.
    with workspace(final, alone=True):
        # The process that held the part before may have brought it home.
        if not _is_verified(final, download.md5):
            if final.is_file():
                warnings.warn(
                    f"{final} has a wrong MD5, so it is damaged; it is downloaded again",
                    stacklevel=3,
                )
            _download(final, download)


def _is_verified(path: Path, md5: str) -> bool:
    return path.is_file() and md5_of(path) == md5


def _download(final: Path, download: Download) -> None:
    # Twice, because the fault may lie in the part that an earlier download left.
    for _ in range(2):
        download.run()
        got = md5_of(download.part)
        if got == download.md5:
            replace_file(download.part, final)
            return
        download.part.unlink()
    raise TransferError(
        f"{download.url} twice gave a file with the MD5 {got} instead of {download.md5}: the server"
        " has another file by that name, or something on the way changes it; try another base_url"
    )

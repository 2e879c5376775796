"""The download of one file over HTTP, continued as often as it breaks off."""

import email.utils
import http.client
import os
import re
import shutil
import ssl
import stat
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from pcam_sklearn._files import md5_of, name_full_disk

_BLOCK = 1 << 20
# After this many new bytes, failures are counted from 0 again: a line that drops every few minutes
# still brings a file of 6 GB home, while a server that never gets anywhere is given up.
_ENOUGH_NEW_BYTES = 1 << 20
_LONGEST_WAIT = 60.0
_LONGEST_SERVER_WAIT = 600.0
_TEMPORARY_STATUS = {408, 425, 429, 500, 502, 503, 504}
_RANGE_BEYOND_END = 416
_BROKEN_CONNECTION = (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException)


# "bytes 100-299/300" in an answer, "bytes */300" in a refusal; the length may be unknown, "*".
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(?:(\d+)|\*)")


class TransferError(OSError):
    """A file cannot be downloaded; the message says why, and what to do."""


class _TemporaryFailure(Exception):
    """A failure that may pass; `wait` is the time in seconds for which the server asks."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _WebAlone(urllib.request.HTTPRedirectHandler):
    """Redirects to addresses of the web. The standard handler also follows those to FTP."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req, fp, code, msg, headers, newurl
    ) -> urllib.request.Request | None:
        """Return the request to the new address."""
        if not newurl.lower().startswith(("http://", "https://")):
            raise urllib.error.HTTPError(
                req.full_url, code, f"{msg} and sends us to {newurl}", headers, fp
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_WEB = urllib.request.build_opener(_WebAlone)


@dataclass(frozen=True)
class Download:
    """The transfer of one file to `part`, which keeps its bytes after a failure.

    A `part` that exists is continued. It may have up to `largest` bytes, and has the `md5` when it
    is whole. `retries` failures in a row are allowed. `backoff` is the wait after the first one,
    and `timeout` the longest silence of a connection, both in seconds.
    """

    url: str
    part: Path
    md5: str
    largest: int
    retries: int
    backoff: float
    timeout: float
    progress: bool

    def run(self) -> None:
        """Transfer until the server says that this was all, or raise TransferError."""
        self._check_part()
        failures, reached = 0, self._size()
        while True:
            try:
                return self._transfer(self._size())
            except _TemporaryFailure as failure:
                if self._size() - reached >= _ENOUGH_NEW_BYTES:
                    failures, reached = 0, self._size()
                else:
                    failures += 1
                if failures > self.retries:
                    raise TransferError(
                        f"{self.url}: {failure}, {failures} times in a row; {self._advice()}"
                    ) from failure
                self._wait(failures, failure)

    def _advice(self) -> str:
        if not (kept := self._size()):
            return "nothing came, so call again later"
        return (
            f"{kept:,} bytes are kept in {self.part}; call again later to continue from there, or "
            "delete it to begin again"
        )

    def _wait(self, failures: int, failure: _TemporaryFailure) -> None:
        seconds = min(_LONGEST_WAIT, self.backoff * 2 ** max(0, failures - 1))
        if failure.wait is not None:
            seconds = failure.wait
        if seconds > _LONGEST_SERVER_WAIT:
            raise TransferError(
                f"{self.url}: {failure} and asks to wait {seconds:,.0f} s; call again after that"
            )
        if self.progress:
            # By tqdm, because a plain print would tear the progress bar.
            tqdm.write(f"{self.part.stem}: {failure}; next try in {seconds:g} s", file=sys.stderr)
        time.sleep(seconds)

    def _check_part(self) -> None:
        # A link would lead the bytes into another file, and a pipe would wait forever.
        if os.path.lexists(self.part) and not stat.S_ISREG(self.part.lstat().st_mode):
            raise TransferError(f"{self.part} is a link or no ordinary file; delete it")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _transfer(self, start: int) -> None:
        """Ask for the bytes from `start` on, and append those that come."""
        # A server that packs its answers would count ranges in packed bytes.
        headers = {"User-Agent": "pcam-sklearn", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = urllib.request.Request(self.url, headers=headers)
        try:
            with _WEB.open(request, timeout=self.timeout) as response:
                self._receive(response, start)
        except urllib.error.HTTPError as error:
            with error:
                self._raise_unless_complete(error, start)
        except urllib.error.URLError as error:
            raise _TemporaryFailure(f"no connection ({error.reason})") from error
        except _BROKEN_CONNECTION as error:
            reason = f"the connection broke ({error or type(error).__name__})"
            raise _TemporaryFailure(reason) from error

    def _raise_unless_complete(self, error: urllib.error.HTTPError, start: int) -> None:
        reason = f"the server answers {error.code} {error.reason}"
        if error.code == _RANGE_BEYOND_END and start:
            length = _parse_content_range(error)[2]
            # The part is whole. Or it is too long, which its MD5 will show.
            if (length is not None and length <= start) or md5_of(self.part) == self.md5:
                return
            raise _TemporaryFailure(f"{reason}, though bytes are missing") from error
        if error.code in _TEMPORARY_STATUS:
            wait = _parse_retry_after(error.headers.get("Retry-After"))
            raise _TemporaryFailure(reason, wait) from error
        raise TransferError(f"{self.url}: {reason}; check the address (base_url)") from error

    def _receive(self, response: http.client.HTTPResponse, start: int) -> None:
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            first, last, total = _parse_content_range(response)
            if first not in (start, 0) or last is None:
                raise _TemporaryFailure("the server sent another range than it was asked for")
            start, total = first, last + 1 if total is None else total
        elif response.status == http.HTTPStatus.OK:
            # The server does not know ranges, so everything comes again. Its length is read now:
            # it counts down to 0 while the bytes come.
            start, total = 0, response.length
        else:
            raise TransferError(f"{self.url}: the server answers {response.status}, not the file")
        self._check_room(total or 0, start)
        self._append(response, start, total)
        if total is not None and self._size() < total:
            reason = f"the connection broke after {self._size():,} of {total:,} bytes"
            raise _TemporaryFailure(reason)

    def _append(self, response: http.client.HTTPResponse, start: int, total: int | None) -> None:
        bar = tqdm(
            desc=self.part.stem,
            initial=start,
            total=total,
            unit="B",
            unit_scale=True,
            disable=not self.progress,
        )
        with bar, name_full_disk(self.part), open(self.part, "ab" if start else "wb") as file:
            # `read` would wait for a whole block, and a timeout may lose its bytes.
            while block := response.read1(_BLOCK):
                file.write(block)
                bar.update(len(block))
                # Not every answer tells its length.
                self._check_size(file.tell())

    def _check_size(self, n: int) -> None:
        if n > self.largest:
            raise TransferError(
                f"{self.url} has more than {self.largest:,} bytes, so it is not the official file;"
                f" check the address (base_url), and delete {self.part}"
            )

    def _check_room(self, total: int, start: int) -> None:
        self._check_size(total)
        free, needed = shutil.disk_usage(self.part.parent).free, total - start
        if needed > free:
            raise TransferError(
                f"{self.part.name} needs another {needed:,} bytes and {self.part.parent} has"
                f" {free:,} left; make room, or choose another folder"
            )


def _parse_content_range(
    response: http.client.HTTPResponse | urllib.error.HTTPError,
) -> tuple[int | None, int | None, int | None]:
    """Return first byte, last byte and length of the file in Content-Range, None where unknown."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        return None, None, None
    first, last, length = (None if text is None else int(text) for text in match.groups())
    # RFC 9110, 14.4: such a range is invalid, and nobody knows which bytes these are.
    if first is not None and last is not None and not first <= last < (length or last + 1):
        return None, None, None
    return first, last, length


def _parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After field: a number or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None

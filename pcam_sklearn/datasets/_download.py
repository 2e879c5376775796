"""The download of one file over HTTP, continued as often as it breaks off."""

import email.utils
import http.client
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

_BLOCK = 1 << 20
_WORTHWHILE = 1 << 20  # After this many new bytes, failures are counted from 0 again.
_LONGEST_WAIT = 60.0
_LONGEST_ORDERED_WAIT = 600.0
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_RANGE_BEYOND_END = 416
_CUT = (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException)


class TransferError(OSError):
    """A file cannot be downloaded; the message says why, and what to do."""


class _TryAgain(Exception):
    """A failure that may pass; `wait` is the time in seconds for which the server asks."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Download:
    """The transfer of one file to `part`, which keeps what has come whatever happens.

    A `part` that exists is continued. `retries` failures in a row are allowed. `backoff` is the
    wait after the first one, and `timeout` the longest silence of a connection, both in seconds.
    """

    url: str
    part: Path
    retries: int
    backoff: float
    timeout: float
    progress: bool

    def run(self) -> None:
        """Transfer until the server says that this was all, or raise TransferError."""
        failures, reached = 0, self._here()
        while True:
            try:
                return self._transfer(self._here())
            except _TryAgain as error:
                if self._here() - reached >= _WORTHWHILE:
                    failures, reached = 0, self._here()
                else:
                    failures += 1
                if failures > self.retries:
                    raise TransferError(
                        f"{self.url}: {error}, {failures} times in a row; {self._here():,} bytes"
                        f" are kept in {self.part}; call again later to continue from there"
                    ) from error
                self._pause(failures, error)

    def _pause(self, failures: int, error: _TryAgain) -> None:
        wait = min(_LONGEST_WAIT, self.backoff * 2 ** max(0, failures - 1))
        if error.wait is not None:
            wait = error.wait
        if wait > _LONGEST_ORDERED_WAIT:
            raise TransferError(
                f"{self.url}: {error} and asks to wait {wait:,.0f} s: call again then"
            )
        if self.progress:
            tqdm.write(f"{self.part.stem}: {error}; next try in {wait:g} s", file=sys.stderr)
        time.sleep(wait)

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _transfer(self, start: int) -> None:
        """Ask for the missing bytes, and append those that come."""
        headers = {"User-Agent": "pcam-sklearn", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = urllib.request.Request(self.url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                self._receive(response, start)
        except urllib.error.HTTPError as error:
            with error:
                self._judge(error, start)
        except urllib.error.URLError as error:
            raise _TryAgain(f"no connection ({error.reason})") from error
        except _CUT as error:
            raise _TryAgain(f"the connection broke ({error or type(error).__name__})") from error

    def _judge(self, error: urllib.error.HTTPError, start: int) -> None:
        """Return if the server's error means that the file is complete; raise otherwise."""
        if error.code == _RANGE_BEYOND_END and start:
            return
        reason = f"the server answers {error.code} {error.reason}"
        if error.code in _PASSING:
            raise _TryAgain(reason, _seconds(error.headers.get("Retry-After"))) from error
        raise TransferError(f"{self.url}: {reason}; check the address (base_url)") from error

    def _receive(self, response: http.client.HTTPResponse, start: int) -> None:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # The server does not know ranges, so everything comes again.
        elif _first_byte(response) != start:
            self.part.unlink()
            raise _TryAgain("the server sent another range than it was asked for")
        length = None if response.length is None else start + response.length
        self._check_space(response.length or 0)
        with (
            open(self.part, "ab" if start else "wb") as file,
            tqdm(
                desc=self.part.stem,
                initial=start,
                total=length,
                unit="B",
                unit_scale=True,
                disable=not self.progress,
            ) as bar,
        ):
            while block := response.read1(_BLOCK):
                file.write(block)
                bar.update(len(block))
        if length is not None and self._here() < length:
            raise _TryAgain(f"the connection broke after {self._here():,} of {length:,} bytes")

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if needed > free:
            raise TransferError(
                f"{self.part.name} needs another {needed:,} bytes and {self.part.parent} has"
                f" {free:,} left; make room, or choose another folder"
            )


def _first_byte(response: http.client.HTTPResponse) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After field: a number of seconds, or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - time.time())

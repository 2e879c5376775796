"""Standard streams that are closed, broken or full do not change what a command does."""

import io
import os
import sys


class _Lossy(io.FileIO):
    """A stream that drops what cannot be written."""

    def write(self, data) -> int:  # type: ignore[no-untyped-def]
        """Write, or do as if."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Open closed streams on the null device, and let no note or progress bar end the work.

    Errors on stdout are left alone: whoever reads the results must know that they are lost.
    """
    # The next file that is opened would get the number of the closed stream. Libraries write their
    # notes to number 2, so they would end up in a model.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None or not sys.stderr.isatty():
        encoding = sys.stderr.encoding if sys.stderr else "utf-8"
        raw = io.BufferedWriter(_Lossy(2, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True)


def drop_output() -> None:
    """Point stdout at the null device, so that Python's own flush at its end does not fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)

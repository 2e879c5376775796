"""SIGTERM and SIGHUP end a command as Ctrl-C does: everything is cleaned up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Windows has no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C's asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code that a shell expects of an interrupted process."""
    return 128 + getattr(interrupt, "number", signal.SIGINT)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Raise Terminated in the block when a signal comes. The handlers before are put back."""
    # Python sets handlers in the main thread alone. A signal that somebody handles or ignores, as
    # nohup does, stays as it is.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]

    def interrupt(number: int, _: FrameType | None) -> None:
        # A closed terminal sends two. The second must not interrupt the cleaning up.
        for other in ours:
            signal.signal(other, signal.SIG_IGN)
        raise Terminated(number)

    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)

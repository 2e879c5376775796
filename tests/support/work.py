"""The work of a call, counted, because a time depends on the machine."""

import sys
import tracemalloc


def lines_run(call):
    """Count the lines of the package that a call runs."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if "pcam_sklearn" not in frame.f_globals.get("__name__", ""):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def peak_bytes(call):
    """Return the peak of the memory that Python and NumPy allocate during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

"""The work of a call, counted, because a time depends on the machine."""

import sys
import tracemalloc


def lines_run(call):
    """Return how many lines of the package a call runs."""
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
    """Return the most memory that a call holds at a time, of what Python and NumPy allocate."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

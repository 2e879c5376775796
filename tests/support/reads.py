"""A count of the files that are opened, by Python's audit events."""

import sys
from collections import Counter
from contextlib import contextmanager

_counts = []  # The counts that are kept at this moment, each with its folder.


@contextmanager
def count_reads(folder):
    """Yield a Counter of the openings of each file under a folder, by this process."""
    if not _installed:
        _installed.append(sys.addaudithook(_count))  # A hook stays until the process ends.
    counter = Counter()
    _counts.append((str(folder), counter))
    try:
        yield counter
    finally:
        _counts.pop()


_installed = []


def _count(event, arguments):
    if event == "open" and _counts:
        for folder, counter in _counts:
            if isinstance(arguments[0], str) and arguments[0].startswith(folder):
                counter[arguments[0]] += 1

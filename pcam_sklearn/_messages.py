"""Values named in messages: the first few of them, and how many more there are."""

from collections.abc import Iterable
from itertools import islice

_FEW = 5


def first_few(values: Iterable[object], n: int = _FEW) -> str:
    """Return the first values as text, with ", ..." behind them where there are more."""
    shown = [str(value) for value in islice(values, n + 1)]
    return ", ".join(shown[:n] + ["..."] * (len(shown) > n))

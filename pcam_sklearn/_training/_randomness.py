"""Random numbers of one fit: seeds drawn for it alone, and global generators put back."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

# The global generators belong to all threads, and scikit-learn's searches may run in threads.
_one_at_a_time = threading.RLock()
_FUNCTIONS = [name for name in random.__all__ if not isinstance(getattr(random, name), type)]


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return the seed of a fit: the number itself, or one that the generator draws."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    generator = check_random_state(random_state)  # Raises for a number out of range.
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(generator.randint(2**31 - 1))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python's and NumPy's global generators, and put them back afterwards.

    Keras draws a seed from Python's generator for each layer and initializer that has none. So this
    makes any network reproducible, and no framework's global seed or determinism is touched.
    """
    with _one_at_a_time:
        python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        shared = {name: getattr(random, name) for name in _FUNCTIONS}
        vars(random).update(_functions_of_this_thread(seed, shared))
        try:
            yield
        finally:
            vars(random).update(shared)
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def _functions_of_this_thread(
    seed: int, shared: dict[str, Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    """Return the functions of `random`, which here draw what no other thread can draw away.

    A Dask worker has a thread that measures objects, for which Dask draws samples of them.
    """
    own, thread = random.Random(seed), threading.get_ident()

    def choose(name: str) -> Callable[..., Any]:
        def draw(*args: Any, **options: Any) -> Any:
            ours = threading.get_ident() == thread
            return (getattr(own, name) if ours else shared[name])(*args, **options)

        return draw

    return {name: choose(name) for name in shared}

"""Estimate what searches and predictions cost at scale, and check the estimates by simulation.

    python benchmarks/scale.py [--fit-ms 17] [--predicted-per-s 147] [--losses-per-day 1]

The estimates are formulas with their assumptions beside them, below. A simulation of single fits,
workers and their losses checks them: it draws what the formulas only average. The two rates are
those of one worker, with one thread by default as in benchmarks/results: pass those of your own
machines or GPUs. The script prints a table, and writes it to benchmarks/results/scale.csv.
"""

import argparse
import heapq
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
BYTES_PER_PATCH = 96 * 96 * 3
BYTES_PER_FIT = 24_000  # Sent by Dask for a fit on a memory map: tests/on_dask.
RESTART_S = 20.0  # A nanny starts a worker, which imports the package.
SPREAD = 0.1  # Standard deviation of the time of a fit, as a share: machines differ, loads change.
HOPELESS = 5.0  # Losses within a piece of work, beyond which it would hardly ever end.
EPOCHS, CANDIDATES, FOLDS = 10, 20, 5
PATCHES = (4_000, 220_025, 10_000_000, 100_000_000)
WORKERS = (1, 16, 256)
DAY = 86_400.0


class Rates(NamedTuple):
    """Seconds per patch and epoch, patches predicted per second, losses per second of a worker."""

    fit_s: float
    predicted_per_s: float
    losses_per_s: float


def measured_fit_ms() -> float:
    """Return the milliseconds per patch and epoch of the default recipe, from accuracy.csv."""
    runs = pd.read_csv(RESULTS / "accuracy.csv")
    runs = runs[runs["recipe"] == "default"]
    # The quietest fits: the slower ones shared their cores with other work.
    return float((1000 * runs["fit_s"] / (runs["patches"] * runs["epochs"])).min())


def time_with_losses(seconds: float, losses_per_s: float) -> float:
    """Return the mean time of work that starts again after each loss of its worker.

    Losses come independently of each other, at a constant rate. The mean is that of a well-known
    renewal argument: (exp(rate x time) - 1) x (1 / rate + restart).
    """
    if losses_per_s == 0:
        return seconds
    if losses_per_s * seconds > HOPELESS:
        return math.inf
    return math.expm1(losses_per_s * seconds) * (1 / losses_per_s + RESTART_S)


def search_time(n_patches: int, n_workers: int, rates: Rates, pieces: int) -> float:
    """Return the seconds of a search, without its last fit.

    Fits are equally long, and workers busy up to the last round of fits. A lost worker costs what
    it has done of one of the `pieces` of a fit: all of it, or an epoch with `checkpoint_dir`.
    """
    piece = n_patches * (1 - 1 / FOLDS) * EPOCHS * rates.fit_s / pieces
    rounds = math.ceil(CANDIDATES * FOLDS / n_workers)
    return rounds * pieces * time_with_losses(piece, rates.losses_per_s)


def simulate_search(
    n_patches: int, n_workers: int, rates: Rates, pieces: int, generator: np.random.Generator
) -> float:
    """Return the seconds of one search: each worker takes the next fit as soon as it is free."""
    piece = n_patches * (1 - 1 / FOLDS) * EPOCHS * rates.fit_s / pieces
    free = [0.0] * n_workers
    for _ in range(CANDIDATES * FOLDS):
        start = heapq.heappop(free)
        length = piece * max(0.1, generator.normal(1, SPREAD))
        spent = sum(draw_time(length, rates.losses_per_s, generator) for _ in range(pieces))
        heapq.heappush(free, start + spent)
    return max(free)


def draw_time(seconds: float, losses_per_s: float, generator: np.random.Generator) -> float:
    """Return the time of a piece of a fit, with the losses of its worker before its end."""
    if losses_per_s * seconds > HOPELESS:
        return math.inf
    total = 0.0
    while losses_per_s and (until := generator.exponential(1 / losses_per_s)) < seconds:
        total += until + RESTART_S
    return total + seconds


def rows_of(rates: Rates, n_rounds: int) -> pd.DataFrame:
    """Return a row per number of patches and workers."""
    generator = np.random.default_rng(0)
    rows = []
    for n_patches in PATCHES:
        for n_workers in WORKERS:
            from_start, by_epoch = (
                search_time(n_patches, n_workers, rates, pieces) for pieces in (1, EPOCHS)
            )
            simulated = [
                simulate_search(n_patches, n_workers, rates, EPOCHS, generator)
                for _ in range(n_rounds)
            ]
            rows.append(
                {
                    "patches": n_patches,
                    "workers": n_workers,
                    "search_days": by_epoch / DAY,
                    "simulated_days": np.mean(simulated) / DAY,
                    "without_checkpoints_days": from_start / DAY,
                    "search_gb_from_files": n_workers * n_patches * BYTES_PER_PATCH / 1e9,
                    "search_gb_by_dask": CANDIDATES * FOLDS * BYTES_PER_FIT / 1e9,
                    "one_fit_days": n_patches * EPOCHS * rates.fit_s / DAY,
                    "predict_days": n_patches / n_workers / rates.predicted_per_s / DAY,
                    "predict_gb": n_patches * BYTES_PER_PATCH / 1e9,
                }
            )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit-ms", type=float, help="per patch and epoch of one worker")
    parser.add_argument("--predicted-per-s", type=float, default=147.0, help="of one worker")
    parser.add_argument("--losses-per-day", type=float, default=1.0, help="of one worker")
    parser.add_argument("--rounds", type=int, default=20, help="simulated searches per row")
    arguments = parser.parse_args()
    fit_ms = measured_fit_ms() if arguments.fit_ms is None else arguments.fit_ms
    rates = Rates(fit_ms / 1000, arguments.predicted_per_s, arguments.losses_per_day / DAY)
    table = rows_of(rates, arguments.rounds).round(4)
    table.assign(fit_ms=round(fit_ms, 2), predicted_per_s=rates.predicted_per_s).to_csv(
        RESULTS / "scale.csv", index=False
    )
    print(f"{fit_ms:.1f} ms per patch and epoch, {rates.predicted_per_s:g} predicted per second")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()

"""Many seeds of one history, on all cores."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor

from tests.simulation.garbage import collecting_later
from tests.simulation.world import World

#: Where several processes run tests already, each keeps to one.
CORES = 1 if "PYTEST_XDIST_WORKER" in os.environ else os.cpu_count() or 1
#: Between collections of garbage.
BLOCK = 50


def first_failure(history: str, seeds: Sequence[int]) -> tuple[int, str] | None:
    """Run seeds until one fails, and return that with its traceback; None if all promises held."""
    for at in range(0, len(seeds), BLOCK):
        with collecting_later():
            failed = _first_of_block(history, seeds[at : at + BLOCK])
        if failed is not None:
            return failed
    return None


def _first_of_block(history: str, seeds: Sequence[int]) -> tuple[int, str] | None:
    for seed in seeds:
        try:
            World(history, seed).run()
        except Exception:  # noqa: BLE001 - told to the test, which fails by it
            return seed, traceback.format_exc()
    return None


def all_cores() -> Executor:
    """Return a process for each core."""
    return ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context("spawn"))


def failures(history: str, seeds: range, cores: Executor | None = None) -> list[tuple[int, str]]:
    """Run seeds on all cores, and return what failed: at most one seed a core.

    Args:
        history: A name of `HISTORIES`.
        seeds: All of them are run, unless one fails.
        cores: From `all_cores`, for whoever runs seeds more than once.
    """
    if cores is None and min(CORES, len(seeds)) == 1:
        found = [first_failure(history, seeds)]
    elif cores is None:
        with all_cores() as own:
            return failures(history, seeds, own)
    else:
        shares = [seeds[at::CORES] for at in range(min(CORES, len(seeds)))]
        found = list(cores.map(first_failure, [history] * len(shares), shares))
    return [failure for failure in found if failure is not None]


def how_to_replay(history: str, seed: int) -> str:
    """Return what shows one seed again, as lines."""
    return (
        f"    python -m pytest tests/simulation -k 'test_history and {history}' --seed {seed}\n"
        f"    python -m tests.simulation {history} {seed}"
    )

"""Many seeds of one history, on all cores."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.world import World


def first_failure(history: str, seeds: Sequence[int]) -> tuple[int, str] | None:
    """Run seeds until one fails, and return that with its traceback; None if all promises held."""
    for seed in seeds:
        try:
            World(history, seed).run()
        except Exception:  # noqa: BLE001 - told to the test, which fails by it
            return seed, traceback.format_exc()
    return None


def failures(history: str, seeds: range) -> list[tuple[int, str]]:
    """Run seeds on all cores, and return what failed: at most one seed a core."""
    cores = min(os.cpu_count() or 1, len(seeds))
    if cores == 1:
        found = [first_failure(history, seeds)]
    else:
        shares = [seeds[at::cores] for at in range(cores)]
        with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = list(pool.map(first_failure, [history] * cores, shares))
    return [failure for failure in found if failure is not None]

"""Many seeds of one world in blocks, on all cores: for worlds that are made from their seed alone."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from tests.simulation.garbage import collecting_later
from tests.simulation.many_seeds import CORES, all_cores

Failure = tuple[int, str]


class World(Protocol):
    """A simulated world."""

    def run(self) -> None:
        """Run it; raises when a promise was broken."""

    def dissolve(self) -> None:
        """Let go of its circles."""


def failure(make: Callable[[int], World], seed: int) -> Failure | None:
    """Run a seed, and return it with its traceback if a promise was broken."""
    world = make(seed)
    try:
        world.run()
    except Exception:  # noqa: BLE001 - told to the test, which fails by it
        return seed, traceback.format_exc()
    world.dissolve()
    return None


def failures_in(make: Callable[[int], World], first: int, end: int) -> list[Failure]:
    """Run some seeds in this process, and return what failed."""
    with collecting_later():
        return [failed for seed in range(first, end) if (failed := failure(make, seed)) is not None]


def failures(
    make: Callable[[int], World], seeds: range, block: int, cores: Executor | None = None
) -> list[Failure]:
    """Run seeds on all cores, and return what failed.

    Args:
        make: Makes the world of a seed; a name that other processes can import.
        seeds: All of them are run.
        block: So many are run at once.
        cores: From `all_cores`, for whoever runs seeds more than once.
    """
    blocks = range(seeds.start, seeds.stop, block)
    ends = [min(first + block, seeds.stop) for first in blocks]
    if cores is None and min(CORES, len(blocks)) == 1:
        return [
            failed
            for first, end in zip(blocks, ends, strict=True)
            for failed in failures_in(make, first, end)
        ]
    if cores is None:
        with all_cores() as own:
            return failures(make, seeds, block, own)
    return [failed for found in cores.map(failures_in, [make] * len(ends), blocks, ends) for failed in found]

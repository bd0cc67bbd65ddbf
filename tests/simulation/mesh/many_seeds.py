"""Many seeds of the mesh, on all cores."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from tests.simulation.many_seeds import CORES, all_cores
from tests.simulation.mesh.world import World

BLOCK = 100

Failure = tuple[int, str]


def failure(seed: int) -> Failure | None:
    """Run a seed, and return it with its traceback if a promise was broken."""
    world = World(seed)
    try:
        world.run()
    except Exception:  # noqa: BLE001 - told to the test, which fails by it
        return seed, traceback.format_exc()
    world.dissolve()
    return None


def failures_in(first: int, end: int) -> list[Failure]:
    """Run some seeds in this process, and return what failed."""
    with _collecting_later():
        return [failed for seed in range(first, end) if (failed := failure(seed)) is not None]


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Collect garbage between blocks only: worlds are circles, and looking for them costs time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def failures(seeds: range, cores: Executor | None = None) -> list[Failure]:
    """Run seeds on all cores, and return what failed.

    Args:
        seeds: All of them are run.
        cores: From `all_cores`, for whoever runs seeds more than once.
    """
    blocks = range(seeds.start, seeds.stop, BLOCK)
    ends = [min(first + BLOCK, seeds.stop) for first in blocks]
    if cores is None and min(CORES, len(blocks)) == 1:
        return [failed for first, end in zip(blocks, ends, strict=True) for failed in failures_in(first, end)]
    if cores is None:
        with all_cores() as own:
            return failures(seeds, own)
    return [failed for found in cores.map(failures_in, blocks, ends) for failed in found]


def how_to_replay(seed: int) -> str:
    """Say how a seed is run once more, with all its calls."""
    return f"    python -m tests.simulation.mesh {seed}"

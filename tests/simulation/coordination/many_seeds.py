"""Many histories of locks, files and transactions."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.simulation.coordination.files import files
from tests.simulation.coordination.lines import elections, semaphores
from tests.simulation.coordination.transactions import transactions
from tests.simulation.coordination.world import CoordinationWorld, Kind

KINDS: dict[str, Callable[[CoordinationWorld], Kind]] = {
    "semaphores": semaphores,
    "elections": elections,
    "files": files,
    "transactions": transactions,
}


@contextmanager
def unlogged() -> Iterator[None]:
    """Have nothing logged: each lost lease is a warning."""
    logger = logging.getLogger("taskmesh")
    was = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = was


def failures(kind: str, seeds: range) -> list[tuple[int, str]]:
    """Run seeds, and return those that failed, each with its traceback."""
    failed = []
    with unlogged():
        for seed in seeds:
            try:
                CoordinationWorld(seed, KINDS[kind]).run()
            except Exception:  # noqa: BLE001 - told to the test, which fails by it
                failed.append((seed, traceback.format_exc()))
    return failed

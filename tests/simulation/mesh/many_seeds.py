"""Many seeds of the mesh, on all cores."""

from __future__ import annotations

from concurrent.futures import Executor

from tests.simulation import seed_blocks
from tests.simulation.mesh.world import World
from tests.simulation.seed_blocks import Failure

BLOCK = 100


def failures(seeds: range, cores: Executor | None = None) -> list[Failure]:
    """Run seeds on all cores, and return what failed; see `seed_blocks.failures`."""
    return seed_blocks.failures(World, seeds, BLOCK, cores)


def how_to_replay(seed: int) -> str:
    """Say how a seed is run once more, with all its calls."""
    return f"    python -m tests.simulation.mesh {seed}"

"""Leaders are lost, answers as well, and schedules change: each firing comes once, and none is left out."""

from __future__ import annotations

import pytest

from tests.simulation.defects import Defect
from tests.simulation.schedules.defects import DEFECTS
from tests.simulation.schedules.world import World

SEEDS = 40


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4))
def test_each_firing_comes_once(block: int) -> None:
    """`python -m tests.simulation.schedules SEED` shows one that fails, call by call."""
    for seed in range(block, SEEDS, 4):
        try:
            World(seed).run()
        except Exception as error:
            error.add_note(
                f"seed {seed}; to see all that happened: python -m tests.simulation.schedules {seed}"
            )
            raise


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name.replace(" ", "-"))
def test_defect_is_found(defect: Defect) -> None:
    """The right rules pass these very seeds."""
    with defect.in_place() as scripts:
        for seed in defect.in_order(SEEDS):
            try:
                World(seed, scripts).run()
            except Exception as found:  # noqa: BLE001 - it may break anything
                print(f"found by seed {seed}: {found}")
                return
    pytest.fail(f"not found within {SEEDS} seeds: {defect.name}")

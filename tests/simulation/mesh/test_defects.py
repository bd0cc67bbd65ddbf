"""The checkers are tested too: each wrong version of the bank must be found within its seeds."""

from __future__ import annotations

import pytest

from tests.simulation.mesh.defects import DEFECTS, Defect
from tests.simulation.mesh.world import World
from tests.simulation.patching import PatchOutdated


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.name.replace(" ", "-"))
def test_defect_is_found(defect: Defect) -> None:
    """In the trouble in which it must show, within its seeds."""
    for seed in range(defect.seeds):
        try:
            defect.run(seed)
        except PatchOutdated:
            raise
        except Exception as found:  # noqa: BLE001 - a defect may break anything, also the processes themselves
            print(f"found by seed {seed}: {found}")
            return
    pytest.fail(f"not found within {defect.seeds} seeds: {defect.name}")


@pytest.mark.slow
def test_the_right_ones_bear_the_same_trouble() -> None:
    """Or what is found might be the trouble itself."""
    for defect in DEFECTS:
        if defect.schedule is not None:
            defect.schedule({})
            continue
        for seed in range(5):
            World(seed, rates=defect.rates_of(seed)).run()


def test_there_are_enough() -> None:
    assert len(DEFECTS) >= 24
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)

"""The checkers are tested too: each wrong version of the bank must be found within its seeds."""

from __future__ import annotations

import pytest

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.errors import InvariantBroken
from tests.simulation.agreement.defects import DEFECTS, Defect
from tests.simulation.agreement.directed import one_that_forgot_does_not_vote_again

FIRST_SEEDS = (0, 1_000_000, 2_000_000, 3_000_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "defect", [each for each in DEFECTS if each.seeds], ids=lambda each: each.name.replace(" ", "-")
)
def test_defect_is_found(defect: Defect) -> None:
    """In the trouble in which it must show; with other seeds as well, so that it is no luck."""
    for first in FIRST_SEEDS:
        for seed in range(first, first + defect.seeds):
            try:
                defect.run(seed)
            except Exception as found:  # noqa: BLE001 - a defect may break anything, also the processes themselves
                print(f"found by seed {seed}: {found}")
                break
        else:
            pytest.fail(f"not found within {defect.seeds} seeds from {first}: {defect.name}")


@pytest.mark.slow
def test_the_right_ones_bear_the_same_trouble() -> None:
    """Or what is found might be the trouble itself."""
    for defect in DEFECTS:
        right = Defect(defect.name, rates=defect.rates)
        for seed in range(12):
            right.run(seed)


@pytest.mark.parametrize(
    "defect", [each for each in DEFECTS if each.directed], ids=lambda each: each.name.replace(" ", "-")
)
def test_defect_is_found_by_a_directed_schedule(defect: Defect) -> None:
    """Which the right version passes: see `test_directed.py`."""
    assert defect.directed is not None
    with defect.apply(), pytest.raises((AssertionError, InvariantBroken)):
        defect.directed(defect.acceptor)


def test_catching_up_does_not_cure_who_forgot() -> None:
    """Without a new configuration what a majority acknowledged is lost."""
    with pytest.raises(AssertionError):
        one_that_forgot_does_not_vote_again(Acceptor, caught_up=True)


def test_each_is_to_be_found() -> None:
    assert all(defect.seeds or defect.directed for defect in DEFECTS)


def test_there_are_enough() -> None:
    assert len(DEFECTS) >= 16
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)

"""Locks among processes that stop, die, lose answers and have wrong clocks; and defects, each of which is found."""

from __future__ import annotations

import pytest

from taskmesh.consensus.registers import Change, Keep
from taskmesh.coordination import line, session
from taskmesh.coordination.lease import MARGIN_S, RHO
from tests.simulation.coordination.defects import with_an_old_token
from tests.unit.coordination.world import Faults, Violation, World

SEEDS = 80
#: Long enough for every process that died while it held or waited to be declared dead, one after the other.
END_S = 2000.0


def play(seed: int, faults: Faults) -> World:
    world = World(seed, faults)
    world.run(END_S)
    if world.pending:
        raise Violation(f"somebody waits for ever: {sorted(world.pending)}; {world.line()}")
    return world


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_nothing_goes_wrong_while_clocks_are_nearly_right(first):
    grants = lost = 0
    for seed in range(first, first + 10):
        world = play(seed, Faults())
        grants += len(world.tokens)
        lost += len(world.lost_at_s)
    # else nothing was tried
    assert grants > 150
    assert lost


def test_clocks_that_are_wrong_cost_work_and_nothing_else():
    """Somebody acts on a lock that is no longer his, and his token is refused wherever a later one was seen."""
    acts = 0
    for seed in range(20):
        world = play(seed, Faults(rate=0.9))
        acts += len(world.acts)
    assert acts


def _too_soon(ttl_s: float) -> float:
    return ttl_s * 0.5


def _too_long(renewed_s: float, ttl_s: float) -> float:
    return renewed_s + ttl_s * (1 + RHO) + 8 * MARGIN_S


def _at_once(lease_s: float) -> float:
    del lease_s
    return MARGIN_S


def _whatever_the_counter(counter: int | None) -> Change:
    del counter
    return _declared_dead(None)


def _overtakes(waiting: line.Line, at: int) -> bool:
    del at
    return not waiting.holders


def _nobody_is_silent(watch: session.Watch, of: bytes, state: session.SessionState, now_s: float) -> bool:
    del watch, of, state, now_s
    return False


def _never_given_back(request: bytes) -> Change:
    del request
    return lambda _: Keep()


_declared_dead = session.declared_dead

DEFECTS = {
    "others declare dead who has been silent for half a lease": ("session.silent_s", _too_soon),
    "a process relies on its lease for longer than others wait": ("lease.safe_until_s", _too_long),
    "a session is declared dead whatever its counter says": ("ending.declared_dead", _whatever_the_counter),
    "who comes later overtakes": ("line.Line.may_take", _overtakes),
    "a token is given twice": ("acquire.take", with_an_old_token),
    "nobody is ever declared dead": ("session.Watch.is_silent", _nobody_is_silent),
    "a lock-delay is over at once": ("acquire.silent_s", _at_once),
    "a lock that is given back stays held": ("acquire.leave", _never_given_back),
}


#: Where things must go worse than they usually do for a defect to show.
WORSE = {"a session is declared dead whatever its counter says": Faults(rate=RHO, lost=0.25)}
SEARCHED = 240
#: The seed to begin with, where those before it find nothing.
FOUND_BY = {"a session is declared dead whatever its counter says": 161}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_found(defect, monkeypatch):
    where, wrong = DEFECTS[defect]
    monkeypatch.setattr(f"taskmesh.coordination.{where}", wrong)
    faults = WORSE.get(defect, Faults(rate=RHO))
    for seed in [FOUND_BY.get(defect, 0), *range(SEARCHED)]:
        try:
            play(seed, faults)
        except Violation:
            return
    raise AssertionError(f"not found in {SEARCHED} seeds: {defect}")

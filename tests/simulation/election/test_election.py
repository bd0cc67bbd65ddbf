"""Elections under faults: one leader at a time when clocks obey, growing tokens always, and in the end somebody."""

from __future__ import annotations

from itertools import pairwise

import pytest

from taskmesh.coordination import candidacy, leader
from tests.simulation.election.world import Faults, World, told_seed

BAD = Faults(loss=0.05, pauses=40.0, partitions=30.0)
SEEDS = range(8)


def _check(world: World) -> None:
    holders: dict[int, str] = {}
    for _, token, who in world.resource.obeyed:
        assert holders.setdefault(token, who) == who, f"token {token} of two leaders"
    tokens = [token for _, token, _ in world.resource.obeyed]
    assert tokens == sorted(tokens), "an old leader was obeyed"
    drawn = [token for member in world.members for token in member.tokens]
    assert len(drawn) == len(set(drawn)), "a token was given twice"


def _acts_alone(world: World) -> bool:
    """Tell whether nobody acted after one with a greater token had."""
    return all(one <= other for (_, one), (_, other) in pairwise(sorted(world.acted)))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_acts_at_a_time_when_clocks_obey(seed: int) -> None:
    """Under loss, pauses and partitions nobody acts whose successor has acted; healed, somebody leads within 8 s."""
    world = World(seed, BAD)
    with told_seed(seed, BAD):
        world.run(120)
        # a leader may be lucky for two minutes; it must have had a successor
        world.run_until(lambda: len({token for _, token in world.acted}) >= 2, within_s=600)
        _check(world)
        assert _acts_alone(world)
        world.heal()
        known = len(world.acted)
        world.run_until(lambda: len(world.acted) > known, within_s=20)


def test_torn_actions_and_wild_clocks_waste_work_only() -> None:
    """With clocks that differ by half and stops between look and action, leaders overlap; the token refuses them."""
    refused = overlapped = 0
    for seed in SEEDS:
        faults = Faults(loss=0.02, pauses=40.0, partitions=30.0, rate=0.5, torn=True)
        world = World(seed, faults)
        with told_seed(seed, faults):
            world.run(120)
            _check(world)
        refused += world.resource.refused
        overlapped += not _acts_alone(world)
    assert refused, "no seed had an old leader that was refused: the test shows nothing"


@pytest.mark.parametrize("candidates", [1, 2, 5, 12])
def test_somebody_leads_soon_and_stays(candidates: int) -> None:
    """With no faults one is elected within a second and no other ever."""
    world = World(7, Faults(), candidates=candidates)
    world.run_until(lambda: bool(world.acted), within_s=1.5)
    world.run(100)
    assert {token for _, token in world.acted} == {1}


@pytest.mark.parametrize("seed", range(5))
def test_a_stopped_leader_is_replaced_within_8_seconds(seed: int) -> None:
    """From the stop to the next leader's first action, and the old one is refused when it wakes."""
    world = World(seed, Faults())
    world.run(20)
    old = next(member for member in world.members if member.candidacy.may_act)
    old.stopped_until_s = world.now_s + 60
    stopped_s = world.now_s
    world.run_until(lambda: world.acted[-1][1] == 2, within_s=10)
    assert world.now_s - stopped_s <= 8.0
    world.run(stopped_s + 100)
    assert old.candidacy.tenure is None
    assert _acts_alone(world)


@pytest.mark.parametrize("seed", range(5))
def test_a_resigned_leader_is_replaced_at_once(seed: int) -> None:
    """Graceful hand-over: half a second from the resignation to the next leader's lead."""
    world = World(seed, Faults())
    world.run(20)
    old = next(member for member in world.members if member.candidacy.may_act)

    def leave():
        yield from old.candidacy.resign()
        old.stopped_until_s = float("1e9")
        yield from old.live()

    world._go_on(old, leave(), None)
    begun_s = world.now_s
    world.run_until(
        lambda: any(member.candidacy.may_act for member in world.members if member is not old), within_s=2
    )
    assert world.now_s - begun_s <= 0.5


@pytest.mark.parametrize("seed", range(5))
def test_when_all_are_lost_who_stood_by_others_lead(seed: int) -> None:
    """Later by what those who stand back look more seldom."""
    world = World(seed, Faults())
    world.run(20)
    old = next(member for member in world.members if member.candidacy.may_act)
    for member in world.members:
        member.candidacy.look_s = candidacy.LOOK_BACK_S
    old.stopped_until_s = float("1e9")
    stopped_s, known = world.now_s, len(world.acted)
    world.run_until(lambda: len(world.acted) > known, within_s=20)
    assert world.now_s - stopped_s <= 8.0 + candidacy.LOOK_BACK_S


def test_a_lease_that_is_not_waited_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checker's twin: challengers that wait for half a lease have two act at once in some history."""
    monkeypatch.setattr(leader, "CHALLENGE_S", leader.LEASE_S / 2)
    monkeypatch.setattr(candidacy, "JITTER_S", 0.0)
    found = 0
    for seed in SEEDS:
        world = World(seed, Faults(partitions=8.0))
        world.run(120)
        found += not _acts_alone(world)
    assert found

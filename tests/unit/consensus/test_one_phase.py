"""What a change costs: one phase for who changed a register last, and no waiting for what only had to be learnt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

import pytest

from taskmesh.consensus import registers as module
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.founding import found
from taskmesh.consensus.registers import Operation, Registers, Versioned, Write
from taskmesh.consensus.value import Packing
from taskmesh.core.steps import Pause, Round
from tests.unit.consensus.acceptors import PREFIX, ModelAcceptor

PLACES = ["a", "b", "c"]


class Group:
    """Three acceptors that always answer, and what they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._instances = (f"i{number}" for number in count(1))
        self.begin()

    def begin(self) -> None:
        """Have acceptors that know nothing."""
        self.acceptors = {place: ModelAcceptor(b"run-of-" + place.encode()) for place in PLACES}
        self.run(found(PREFIX, PLACES, lambda: next(self._instances), lambda _: ""))

    def run(self, steps: Any) -> Any:
        """Have a conversation, and note its rounds and its pauses."""
        replies: list[Any] = []
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    self.asked.append("pause")
                    replies = []
                else:
                    replies = list(self._replies(request))
                request = steps.send(replies)
        except StopIteration as stop:
            return stop.value

    def _replies(self, request: Round) -> Iterator[Any]:
        scripts = [call.script for call in request.calls if call.script is not None]
        self.asked.append(scripts[0].name.removeprefix("consensus."))
        for call, script in zip(request.calls, scripts, strict=True):
            yield self.acceptors[call.node].call(script.name, call.args)

    def process(self, seed: int) -> Registers:
        """Return what another process would have."""
        packing = Packing(bytes, bytes)
        chain = Chain(PREFIX, packing, PLACES)
        self.run(chain.current())
        return Registers(PREFIX, chain, packing, Random(seed), lambda: 0.0)


@pytest.fixture
def group() -> Group:
    return Group()


def more(found: Versioned) -> Write:
    return Write((found.content or b"") + b"x")


def change(group: Group, registers: Registers, name: str = "r", *, sticky: bool = True) -> list[str]:
    """Change a register, and return what that took."""
    group.asked.clear()
    operation = Operation(registers.chance.getrandbits(64).to_bytes(8, "big"))
    group.run(registers.change(name, more, operation, sticky=sticky))
    return list(group.asked)


def test_who_changed_it_last_takes_one_phase(group: Group) -> None:
    one = group.process(1)
    assert change(group, one) == ["prepare", "accept"]
    assert change(group, one) == ["accept"]
    assert change(group, one, sticky=False) == ["accept"]
    assert change(group, one, sticky=False) == ["prepare", "accept"]


def test_who_finds_that_another_changed_it_does_not_wait(group: Group) -> None:
    one, other = group.process(1), group.process(2)
    for _ in range(3):
        change(group, one)
    # its ballot is too low, of which it cannot know
    assert change(group, other) == ["prepare", "prepare", "accept"]
    # the promise that came with its last change is worth nothing any more
    assert change(group, one) == ["accept", "prepare", "accept"]
    assert group.run(one.read("r")).content == b"xxxxx"


def test_who_is_overtaken_while_he_changes_it_waits(group: Group) -> None:
    one, other = group.process(1), group.process(2)
    change(group, other)
    overtaken = []

    def late(found: Versioned) -> Write:
        if not overtaken:
            overtaken.append(change(group, other))
        return more(found)

    group.asked.clear()
    group.run(one.change("r", late, Operation(b"late")))
    assert group.asked[-4:] == ["accept", "pause", "prepare", "accept"]


def test_who_forgot_all_is_bound_by_nothing(group: Group) -> None:
    one, other = group.process(1), group.process(2)
    for _ in range(3):
        change(group, one)
    group.begin()
    for registers in (other, one):
        # as whoever meets them when he wants something else
        registers.chain.restart()
        group.run(registers.chain.current())
    change(group, other)
    assert change(group, one)[-2:] == ["prepare", "accept"]
    assert group.run(one.read("r")).content == b"xx"


def test_what_is_remembered_for_one_phase_has_a_bound(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_MAX", 4)
    one = group.process(1)
    for number in range(10):
        change(group, one, f"r{number}")
    assert len(one._held) <= 4
    assert change(group, one, "r9") == ["accept"]
    assert change(group, one, "r0") == ["prepare", "accept"]

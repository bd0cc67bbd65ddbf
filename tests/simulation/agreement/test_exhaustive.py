"""Every schedule of a small world keeps the promises; each of some defects is found in it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pytest

from taskmesh.consensus import proposer, registers
from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.registers import Registers
from taskmesh.consensus.scripts import ACCEPT, PREPARE
from taskmesh.errors import InvariantBroken
from tests.simulation.agreement import defects
from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.exhaustive import Small

#: What the processes do, what may go wrong, and at least how many states that is.
WORLDS = [
    (("append", "append"), {"gives_up": 1}, 50_000),
    (("append", "append"), {"late": 1}, 25_000),
    (("append", "append"), {"lost": 1}, 15_000),
    (("append", "read"), {"gives_up": 1}, 14_000),
]


@pytest.mark.slow
@pytest.mark.parametrize(("programs", "faults", "least"), WORLDS)
def test_every_schedule(programs: tuple[str, ...], faults: dict[str, int], least: int) -> None:
    small = Small(programs, **faults)
    small.explore()
    assert small.seen >= least


@pytest.mark.parametrize(
    "acceptor",
    [defects.AcceptsAnything, defects.TellsNothing],
    ids=lambda kind: kind.__name__,
)
def test_a_wrong_acceptor_is_found(acceptor: type[Acceptor]) -> None:
    with pytest.raises((BrokenPromise, InvariantBroken)):
        Small(gives_up=1, acceptor=acceptor).explore()


WRONG = {
    "one accept is enough": defects.any_is_enough(ACCEPT, proposer),
    "one promise is enough": defects.any_is_enough(PREPARE, proposer),
    "reads believe what they see": defects.put(registers, "peek", defects.believe_peek),
    "proposers do not mind": defects.put(registers, "prepare", defects.ignore_accepted),
    "a ballot is used again": defects.put(Registers, "_accept", defects.reuse_after_failure),
    "what was sent is denied": defects.put(Registers, "_failure", defects.always_rejected),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_proposer_is_found(wrong: str) -> None:
    put_in_place: Any = WRONG[wrong]
    context: AbstractContextManager[Any] = put_in_place()
    programs = ("append", "read") if "read" in wrong else ("append", "append")
    with context, pytest.raises((BrokenPromise, InvariantBroken)):
        Small(programs, gives_up=1, late=1).explore()

"""The model of an acceptor and its scripts, on a simulated node, are the same acceptor."""

from __future__ import annotations

import re
from random import Random

import pytest

from taskmesh.consensus.ballot import JUMP_MAX, N_MAX
from taskmesh.testing.simulated_node import SimulatedNode
from tests.unit.consensus.acceptors import BY_NAME, AnyAcceptor, ModelAcceptor, ScriptAcceptor
from tests.unit.consensus.cases import CASES, READY, accept, check, prepare
from tests.unit.consensus.random_steps import compare

SEEDS, STEPS = range(25), 900
#: What must have been answered at least once in all: else the steps do not go deep enough.
WORDS = {
    *("PROMISED", "ACCEPTED", "CONFLICT", "AHEAD", "FAULT", "WRONGINSTANCE", "NOTADMITTED", "CONFIGURATION"),
    *("SEALED", "OPEN", "OTHERMEMBERS", "NAMES", "EXPORT", "DROPPED", "CHANGED"),
    *("ADMITTED", "OTHERRUN", "BEHIND", "RENAMED", "look"),
}


@pytest.fixture(params=["model", "scripts"])
def acceptor(request: pytest.FixtureRequest) -> AnyAcceptor:
    return ModelAcceptor() if request.param == "model" else ScriptAcceptor(SimulatedNode())


@pytest.mark.parametrize("case", CASES)
def test_acceptor_answers(acceptor: AnyAcceptor, case: str) -> None:
    check(acceptor, CASES[case])


def test_no_number_is_rounded_near_the_last(acceptor: AnyAcceptor) -> None:
    """Up to 2**52 neighbours are told apart, and above nothing is promised or accepted."""
    top, most = 2**52, b"281474976710655"
    told = (b"%d" % (top - 3), b"1", b"d", b"v")
    check(acceptor, READY)
    acceptor.place(1, b"r", top - 3)
    check(
        acceptor,
        [
            prepare(b"%d" % (top - 2), most, b"PROMISED", *told),
            prepare(b"%d" % (top - 2), b"281474976710654", b"CONFLICT", b"%d" % (top - 2), most),
            prepare(b"%d" % (top - 1), b"1", b"PROMISED", *told),
            prepare(b"%d" % top, b"1", b"PROMISED", *told),
            prepare(b"%d" % (top + 1), b"1", b"AHEAD", b"%d" % top),
            accept(b"%d" % (top + 1), b"1", b"w", b"AHEAD", b"%d" % top),
            accept(b"%d" % top, b"1", b"w", b"ACCEPTED", then=b"1"),
            prepare(b"%d" % top, b"2", b"CONFLICT", b"%d" % (top + 1), b"1"),
        ],
    )


def test_random_steps_have_the_same_answers() -> None:
    """Whatever happens to the node: full memory and forgotten scripts make no difference."""
    words = set()
    for seed in SEEDS:
        node = SimulatedNode(seed=seed)

        def disturb(random: Random, node: SimulatedNode = node) -> None:
            node.set_memory_full(full=random.random() < 0.5)
            if random.random() < 0.5:
                node.call([b"SCRIPT", b"FLUSH"])

        words |= compare(seed, STEPS, ModelAcceptor(), ScriptAcceptor(node), disturb)
    assert words == WORDS
    assert len(SEEDS) * STEPS >= 20_000


def test_no_clock_matters() -> None:
    """Of two nodes one is a hundred years ahead, and goes backwards."""
    late_us = iter(range(4_000_000_000_000_000, 0, -1_000_000_000))
    ahead = SimulatedNode(clock_us=lambda: next(late_us))
    compare(77, STEPS, ScriptAcceptor(SimulatedNode()), ScriptAcceptor(ahead), lambda _: None)


def test_a_wrong_step_is_no_step() -> None:
    with pytest.raises(ValueError, match=r"an acceptor has no step consensus\.guess"):
        ModelAcceptor().call("consensus.guess", [b"i1"])


def test_the_table_knows_every_step() -> None:
    called = {f"consensus.{step[0]}" for steps in CASES.values() for step in steps if len(step) > 1}
    assert called == set(BY_NAME)


def test_bounds_are_the_same_on_both_sides() -> None:
    part = BY_NAME["consensus.prepare"].source.decode()
    assert re.findall(r"local N_MAX, JUMP_MAX = 2\^(\d+), 2\^(\d+)", part) == [("52", "32")]
    assert (N_MAX, JUMP_MAX) == (2**52, 2**32)

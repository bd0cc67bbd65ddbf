"""What candidates say of themselves: who counts as standing, whatever is written there, and how long."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest

from taskmesh.cli.candidate_list import candidates_of, in_words
from taskmesh.coordination.candidates import (
    COUNTS_S,
    OF_HOST_MAX,
    STAND_BY_MAX,
    CandidateSeen,
    heard,
    is_needed,
    live,
    outdated,
    read_notes,
    tell,
    withdraw,
)
from taskmesh.coordination.leader import Candidate
from taskmesh.core import keys
from taskmesh.queue.manage import status
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_network import SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime

ANN, BOB = Candidate("a" * 16, "ann", "host:1"), Candidate("b" * 16, "bob", "host:2")
NOW_MS = 1_000_000
ONE = CandidateSeen("one", "host:1", leads=True, told_ms=NOW_MS)


@pytest.fixture
def node():
    """Return what runs a protocol on a simulated node, and the session for it."""
    time = VirtualTime()
    process = SimulatedProcess("p", SimulatedNetwork(time, SimulatedNode(), Random(1)))
    session = process.session(keys.prefix("test"))

    def run(steps):
        results = []
        process.start(steps, results.append)
        time.pass_by(1)
        (result,) = results
        return result

    return run, session


def test_a_status_tells_who_stands_until_they_withdraw(node):
    run, session = node
    run(tell(session, BOB, leads=False))
    run(tell(session, ANN, leads=True))
    found = candidates_of(run(status(session)), session.now_ms())
    assert [(each.name, each.address, each.leads) for each in found] == [
        ("ann", "host:1", True),
        ("bob", "host:2", False),
    ]
    run(withdraw(session, [ANN.id]))
    assert [each.name for each in candidates_of(run(status(session)), session.now_ms())] == ["bob"]


def test_who_is_silent_counts_no_more_and_is_forgotten(node):
    run, session = node
    run(tell(session, ANN, leads=True))
    found = read_notes(run(heard(session)))
    said_ms = found[ANN.id].told_ms
    assert live(found.values(), said_ms + int(COUNTS_S * 1000))
    assert live(found.values(), said_ms + int(COUNTS_S * 1000) + 1) == ()
    assert outdated(found, said_ms + int(COUNTS_S * 1000) + 1) == []
    assert outdated(found, said_ms + 3_600_000) == [ANN.id]


def some(count, host="host{}"):
    """Return so many candidates, each of a host of its own."""
    return [Candidate(f"{at:016x}", f"n{at}", f"{host.format(at)}:1") for at in range(count)]


def stand_by(session, candidates):
    """Have all of them say that they stand, at once."""
    for each in candidates:
        yield from tell(session, each, leads=False)


def needed(session, candidates, *, has_told):
    """Return those who are to stand by."""
    found = []
    for each in candidates:
        if (yield from is_needed(session, each, Random(each.id).random, has_told=has_told)):
            found += [each]
    return found


def test_of_a_large_fleet_some_stand_by_and_others_come_in_their_place(node):
    run, session = node
    *first, last = some(3 * STAND_BY_MAX)
    run(tell(session, ANN, leads=True))
    assert run(needed(session, [last], has_told=False)) == [last]
    run(stand_by(session, first))
    assert run(needed(session, [last], has_told=False)) == []
    assert run(needed(session, first, has_told=True)) == first[:STAND_BY_MAX]
    run(withdraw(session, [each.id for each in first[STAND_BY_MAX:]]))
    assert run(needed(session, [last], has_told=False)) == []
    run(withdraw(session, [first[0].id]))
    assert run(needed(session, [last], has_told=False)) == [last]


def test_of_one_host_few_stand_by_so_that_others_do(node):
    run, session = node
    *first, last = some(STAND_BY_MAX, host="host")
    run(stand_by(session, first))
    assert run(needed(session, [last], has_told=False)) == []
    assert run(needed(session, first, has_told=True)) == first[:OF_HOST_MAX]
    run(withdraw(session, [each.id for each in first[OF_HOST_MAX:]]))
    assert run(needed(session, [last], has_told=False)) == []
    assert run(needed(session, [replace(last, address="other:1")], has_told=False))


def test_who_is_silent_stands_by_no_more(node):
    run, session = node
    *first, last = some(STAND_BY_MAX + 1)
    run(stand_by(session, first))
    assert run(needed(session, [last], has_told=False)) == []
    for _ in range(int(COUNTS_S)):
        run(heard(session))
    assert run(needed(session, [last], has_told=False)) == [last]


def test_of_very_many_that_began_at_once_some_go_on(node):
    run, session = node
    *first, last = some(30 * STAND_BY_MAX)
    run(stand_by(session, first))
    assert run(needed(session, [last], has_told=False)) == []
    assert STAND_BY_MAX / 4 < len(run(needed(session, first, has_told=True))) < 4 * STAND_BY_MAX


def note(**more: object) -> bytes:
    said = {"name": "one", "address": "host:1", "leads": False, "told_ms": NOW_MS}
    return json.dumps(said | more).encode()


def test_of_what_was_said_on_several_nodes_the_latest_counts():
    words = [b"x", note(told_ms=5), b"x", note(leads=True, told_ms=9), b"x", note(told_ms=7)]
    assert read_notes(words) == {"x": replace(ONE, told_ms=9)}


@pytest.mark.parametrize(
    "junk", [b"", b"\xff", b"[]", b"{}", b'"one"', note(told_ms="soon"), note(told_ms=1e400)]
)
def test_what_cannot_be_read_is_passed_over(junk):
    assert read_notes([b"x", junk, b"y", note()]).keys() == {"y"}


def test_no_name_writes_over_the_terminal():
    (found,) = read_notes([b"x", note(name="\x1b[2J\nevil")]).values()
    assert "\x1b" not in found.name
    assert "\n" not in found.name


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "nobody leads, and nobody stands by"),
        ([ONE], "one leads, nobody stands by"),
        ([ONE, replace(ONE, name="two", leads=False)], "one leads, two stands by"),
        ([replace(ONE, leads=False)], "nobody leads at this moment, one stands by"),
        (
            [ONE, *(replace(ONE, name=f"n{at}", leads=False) for at in range(5))],
            "one leads, n0, n1, n2 and 2 more stand by",
        ),
        # in the moment of a handover
        ([replace(ONE, name="old", told_ms=NOW_MS - 1), ONE], "one leads, old stands by"),
    ],
)
def test_it_is_said_in_words_who_would_lead(found, said):
    assert in_words(live(found, NOW_MS)) == said

"""Who asks whether a process is ready is told when too few nodes answer, and not of a moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.replication.reach import LOOKS_MIN, OUT_OF_REACH_S, Reach
from taskmesh.replication.view import View
from tests.unit.replication.small_mesh import SLOTS, make_view

THREE = make_view()
BEGIN_S, BEAT_S = 100.0, 2.0


def looked(reach: Reach, view: View, answered: set[str], since_s: float, until_s: float) -> str:
    """Look now and then, with the same answers, and return what is told then."""
    at_s = since_s
    while at_s <= until_s:
        reach.looked(view, answered, at_s)
        at_s += BEAT_S
    return reach.why


def test_that_too_few_nodes_answer_is_told_when_it_lasts() -> None:
    reach = Reach()
    assert looked(reach, THREE, {"n1"}, BEGIN_S, BEGIN_S + OUT_OF_REACH_S - BEAT_S) == ""
    reach.looked(THREE, {"n1"}, BEGIN_S + OUT_OF_REACH_S)
    assert reach.why == (
        f"messages of {SLOTS} of {SLOTS} slots cannot be taken, for 10 s: "
        "too few nodes that keep them answer, without n2, n3"
    )
    reach.looked(THREE, {"n1", "n3"}, BEGIN_S + 2 * OUT_OF_REACH_S)
    assert reach.why == ""
    # and it begins anew
    reach.looked(THREE, {"n1"}, BEGIN_S + 2 * OUT_OF_REACH_S + BEAT_S)
    assert reach.why == ""


@pytest.mark.parametrize("answered", [{"n1", "n2"}, {"n3", "n1"}, {"n1", "n2", "n3"}])
def test_without_a_minority_all_goes_on(answered: set[str]) -> None:
    assert looked(Reach(), THREE, answered, BEGIN_S, BEGIN_S + 10 * OUT_OF_REACH_S) == ""


def test_only_the_slots_count_that_too_few_of_their_own_nodes_keep() -> None:
    view = make_view(nodes=6)
    answered = {"n1", "n2", "n3", "n4"}
    why = looked(Reach(), view, answered, BEGIN_S, BEGIN_S + OUT_OF_REACH_S)
    out = sum(len(answered & set(row)) < view.copies_needed(slot) for slot, row in enumerate(view.table))
    assert 0 < out < SLOTS
    assert why.startswith(f"messages of {out} of {SLOTS} slots ")


def test_a_next_view_does_without_those_who_are_lost() -> None:
    reach = Reach()
    assert looked(reach, THREE, {"n1"}, BEGIN_S, BEGIN_S + OUT_OF_REACH_S)
    alone = replace(make_view(2, nodes=1, replicas=1), replicas=3)
    assert looked(reach, alone, {"n1"}, BEGIN_S + OUT_OF_REACH_S, BEGIN_S + 3 * OUT_OF_REACH_S) == ""


def test_a_process_that_stood_still_has_seen_nothing_meanwhile() -> None:
    reach = Reach()
    reach.looked(THREE, {"n1"}, BEGIN_S)
    for looks in range(2, LOOKS_MIN + 1):
        assert reach.why == ""
        reach.looked(THREE, {"n1"}, BEGIN_S + 3600 + looks)
    assert reach.why


def test_of_many_nodes_some_are_named() -> None:
    why = looked(Reach(), make_view(nodes=9), {"n1", "n2", "n3"}, BEGIN_S, BEGIN_S + OUT_OF_REACH_S)
    assert why.endswith("without n4, n5, n6 and 3 more")

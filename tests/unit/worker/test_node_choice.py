"""From how many nodes a worker claims, and that none is left out."""

from __future__ import annotations

from taskmesh.worker.node_choice import NODES_MAX, TURN_S, Choice

NODES = tuple(f"n{number}" for number in range(1, 21))


def test_a_small_mesh_is_served_whole():
    assert Choice("w", 0).nodes(NODES[:NODES_MAX], 0.0) == NODES[:NODES_MAX]


def test_no_more_than_were_asked_for():
    for now_s in range(100):
        assert len(Choice("w", 3).nodes(NODES, now_s)) == 3


def test_all_but_one_are_always_the_same():
    choice = Choice("w", 4)
    always = set.intersection(*(set(choice.nodes(NODES, turn * TURN_S)) for turn in range(40)))
    assert len(always) == 3


def test_each_node_has_its_turn_with_a_single_worker():
    for most in (1, 2, 5):
        choice = Choice("w", most)
        seen = {node for turn in range(len(NODES)) for node in choice.nodes(NODES, turn * TURN_S)}
        assert seen == set(NODES)


def test_who_comes_or_goes_changes_little_for_the_others():
    before, after = Choice("w", 5), Choice("w", 5)
    gone = tuple(node for node in NODES if node != "n7")
    kept = set(before.nodes(NODES, 0.0)) & set(after.nodes(gone, 0.0))
    assert len(kept) >= 3


def test_workers_choose_differently():
    assert len({Choice(f"w{number}", 4).nodes(NODES, 0.0) for number in range(20)}) > 10

"""The walk around the ring: each open node once, and no further than the last of them."""

from __future__ import annotations

from itertools import islice

from taskmesh.ring.node import RingNode
from taskmesh.ring.points import POINTS, Points


def test_each_open_node_comes_once():
    points = Points([RingNode(f"n{at}") for at in range(5)])
    points.close(3)
    assert sorted(points.walk(0)) == [0, 1, 2, 4]


def test_one_that_is_closed_meanwhile_comes_no_more():
    points = Points([RingNode(f"n{at}") for at in range(5)])
    walk = points.walk(0)
    first = next(walk)
    unmet = next(node for node in range(5) if node != first)
    points.close(unmet)
    assert sorted([first, *walk]) == [node for node in range(5) if node != unmet]


def test_a_walk_ends_with_the_last_open_node():
    # else each slot would walk past all points of the few that have room at the end
    points = Points([RingNode(f"n{at}") for at in range(50)])
    for node in range(1, 50):
        points.close(node)
    steps = 0
    found = points._open_from

    def counted(at):
        nonlocal steps
        steps += 1
        return found(at)

    points._open_from = counted
    assert list(islice(points.walk(0), POINTS)) == [0]
    assert steps == 1


def test_nobody_open_ends_at_once():
    points = Points([RingNode("a"), RingNode("b")])
    points.close(0)
    points.close(1)
    assert list(points.walk(0)) == []

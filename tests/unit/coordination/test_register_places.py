"""Which nodes hold the registers while nodes come and go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.coordination.node_wish import NodeWish, NodeWishes
from taskmesh.coordination.register_places import free_in, places_for
from taskmesh.replication.view import ACTIVE, DRAINED, LEARNER, LOST, UP, Member, View
from taskmesh.ring import RingNode, propose

SLOTS = 16


def at(number: int) -> str:
    return f"redis://10.0.0.{number}:6379"


def view_of(**states: str) -> View:
    members = tuple(
        Member(node, at(int(node[1:])), node.rjust(16, "0"), "run", state=state)
        for node, state in states.items()
    )
    up = [RingNode(each.id) for each in members if each.state == UP]
    return View(1, ACTIVE, SLOTS, 3, members, tuple(propose(SLOTS, up, min(3, len(up)))))


def leaving(*numbers: int) -> NodeWishes:
    return NodeWishes({f"n{number}": NodeWish(at(number), leaves=True) for number in numbers})


def places(now: list[int], view: View, wishes: NodeWishes | None = None) -> set[str]:
    found = places_for([at(number) for number in now], view, wishes or NodeWishes())
    assert len(found) == len(set(found))
    return set(found)


def all_at(*numbers: int) -> set[str]:
    return {at(number) for number in numbers}


@pytest.mark.parametrize(("states", "expected"), [(1, [1]), (2, [1]), (3, [1, 2, 3]), (5, [1, 2, 3])])
def test_one_becomes_three_when_there_are_three(states, expected):
    view = view_of(**{f"n{number}": UP for number in range(1, states + 1)})
    assert places([1], view) == all_at(*expected)


def test_who_leaves_hands_its_part_to_one_that_is_free():
    view = view_of(n1=UP, n2=UP, n3=UP, n4=UP)
    assert places([1, 2, 3], view, leaving(1)) == all_at(2, 3, 4)


def test_who_has_left_does_so_too():
    view = view_of(n1=DRAINED, n2=UP, n3=UP, n4=UP)
    assert places([1, 2, 3], view, leaving(1)) == all_at(2, 3, 4)
    assert places([1, 2, 3], view) == all_at(2, 3, 4)


def test_who_was_only_emptied_keeps_its_part():
    view = view_of(n1=DRAINED, n2=UP, n3=UP, n4=UP)
    assert places([1, 2, 3], view, NodeWishes({"n1": NodeWish(at(1), weight=0)})) == all_at(1, 2, 3)


def test_who_leaves_keeps_it_where_nobody_is_free():
    view = view_of(n1=UP, n2=UP, n3=UP)
    assert places([1, 2, 3], view, leaving(1)) == all_at(1, 2, 3)
    assert free_in(view, leaving(1)) == [at(2), at(3)]


def test_the_only_one_hands_it_over_to_one_of_two():
    assert places([1], view_of(n1=UP, n2=UP), leaving(1)) == all_at(2)


def test_who_is_lost_keeps_it_and_who_is_new_does_not_get_it():
    assert places([1, 2, 3], view_of(n1=LOST, n2=UP, n3=UP, n4=UP)) == all_at(1, 2, 3)
    assert places([1], view_of(n1=UP, n2=UP, n3=LEARNER)) == all_at(1)


def test_a_server_that_is_no_node_keeps_it():
    assert places([1, 9, 3], view_of(n1=UP, n2=UP, n3=UP)) == all_at(1, 9, 3)


def test_five_stay_five():
    view = view_of(**{f"n{number}": UP for number in range(1, 7)})
    assert places([1, 2, 3, 4, 5], view, leaving(2)) == all_at(1, 3, 4, 5, 6)


def test_a_server_that_comes_back_as_another_member_is_not_one_that_left():
    view = view_of(n1=DRAINED, n2=UP, n3=UP, n4=UP)
    back = replace(view.members[3], address=at(1))
    view = View(2, ACTIVE, SLOTS, 3, (*view.members[:3], back), view.table)
    wishes = NodeWishes({"n1": NodeWish(at(1), leaves=True), "n4": NodeWish(at(1))})
    assert places([1, 2, 3], view, wishes) == all_at(1, 2, 3)

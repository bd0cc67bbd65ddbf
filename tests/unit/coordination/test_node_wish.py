"""What operators want of nodes, and what the view is to become by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.consensus.registers import Keep, Versioned, Write
from taskmesh.coordination.node_wish import (
    Joining,
    NodeWish,
    NodeWishes,
    joining,
    joins,
    unpack_wishes,
    wished,
    wishing,
)
from taskmesh.replication.founding import Stand
from taskmesh.replication.plan import Goal, plan
from taskmesh.replication.view import ACTIVE, DRAINED, LEARNER, LOST, UP, Member, View
from taskmesh.ring import RingNode, propose

SLOTS = 64


def member(at: int, **more) -> Member:
    return Member(f"n{at}", f"redis://10.0.0.{at}:6379", f"{at:016x}", f"run-{at}", **more)


def view_of(*members: Member, replicas: int = 3) -> View:
    able = [RingNode(each.id, each.weight, each.domain) for each in members if each.state == UP]
    table = propose(SLOTS, able, min(replicas, len(able)))
    return View(1, ACTIVE, SLOTS, replicas, members, tuple(table))


def wishes(**nodes: NodeWish) -> NodeWishes:
    return NodeWishes(nodes)


def of(each: Member, **more) -> NodeWish:
    return NodeWish(each.address, **{"weight": each.weight, "domain": each.domain, **more})


def goal_of(view: View, found: NodeWishes) -> Goal | None:
    return wished(view, found, lambda: "f" * 16)


THREE = [member(at) for at in (1, 2, 3)]


def test_nothing_comes_of_no_wish_and_of_one_that_is_fulfilled():
    view = view_of(*THREE)
    assert goal_of(view, wishes()) is None
    assert goal_of(view, wishes(n1=of(THREE[0]))) is None


def test_a_new_one_is_to_learn_and_then_takes_part():
    view = view_of(*THREE)
    goal = goal_of(view, wishes(n4=NodeWish("redis://10.0.0.4:6379", 200, "rack2")))
    assert goal is not None
    assert goal.members == (
        *THREE,
        Member("n4", "redis://10.0.0.4:6379", "f" * 16, "", 200, "rack2", LEARNER),
    )
    assert goal.table == view.table
    assert not goal.is_urgent
    assert goal.why == "n4 joins"
    after = View(2, ACTIVE, SLOTS, 3, goal.members, goal.table)
    assert goal_of(after, wishes(n4=NodeWish("redis://10.0.0.4:6379", 200, "rack2"))) is None
    seen = {"n4": Stand("n4", "f" * 16, "run-4", b"", 0, "", 0)}
    grown = plan(after, seen, (), lambda: "0")
    assert grown is not None
    assert any("n4" in row for row in grown.table)


@pytest.mark.parametrize("leaves", [True, False])
def test_one_that_is_to_keep_nothing_is_emptied(leaves):
    four = [*THREE, member(4)]
    wish = of(four[0], weight=100 if leaves else 0, leaves=leaves)
    goal = goal_of(view_of(*four), wishes(n1=wish))
    assert goal is not None
    assert goal.why == "n1 is to be emptied"
    assert goal.members[0] == replace(four[0], weight=0)
    emptied = plan(View(2, ACTIVE, SLOTS, 3, goal.members, goal.table), {}, (), lambda: "0")
    assert emptied is not None
    assert not any("n1" in row for row in emptied.table)
    assert emptied.members[0].state == DRAINED
    after = View(3, ACTIVE, SLOTS, 3, emptied.members, emptied.table)
    assert goal_of(after, wishes(n1=wish)) is None


def test_one_that_is_lost_or_new_leaves_at_once():
    lost, learner = member(3, state=LOST), member(4, state=LEARNER)
    view = view_of(*THREE[:2], lost, learner)
    goal = goal_of(view, wishes(n3=of(lost, leaves=True), n4=of(learner, leaves=True)))
    assert goal is not None
    assert [each.state for each in goal.members] == [UP, UP, DRAINED, DRAINED]
    assert goal.why == "n3 leaves, n4 leaves"


def test_one_that_was_emptied_learns_again():
    drained = member(4, state=DRAINED, weight=0)
    goal = goal_of(view_of(*THREE, drained), wishes(n4=of(drained, weight=50)))
    assert goal is not None
    assert goal.members[3] == replace(drained, state=LEARNER, weight=50)


def test_a_weight_and_a_domain():
    goal = goal_of(view_of(*THREE), wishes(n2=of(THREE[1], weight=300, domain="rack1")))
    assert goal is not None
    assert goal.members[1] == replace(THREE[1], weight=300, domain="rack1")
    assert goal.why == "n2 has weight 300 in rack1"


def test_an_id_is_never_given_again():
    view = view_of(*THREE, member(7, state=DRAINED, weight=0))
    assert joins(view, wishes(), Joining("redis://a")) == ("n8", NodeWish("redis://a"))
    left = wishes(n12=NodeWish("redis://a", leaves=True))
    assert joins(view, left, Joining("redis://a"))[0] == "n13"
    assert joins(view, wishes(), Joining(member(7).address))[0] == "n8"


def test_the_id_is_chosen_by_what_the_register_holds_when_it_is_changed():
    """Two servers are added at once, and both by the same view."""
    view = view_of(*THREE)
    first, second = joining(view, Joining("redis://a")), joining(view, Joining("redis://b", 7, "rack2"))
    one = first(Versioned(0, None))
    assert isinstance(one, Write)
    assert one.answer == b"n4"
    assert isinstance(second(Versioned(0, None)), Write)
    two = second(Versioned(1, one.content))
    assert isinstance(two, Write)
    assert two.answer == b"n5"
    both = wishes(n4=NodeWish("redis://a"), n5=NodeWish("redis://b", 7, "rack2"))
    assert unpack_wishes(two.content) == both
    # said twice, in other words and in none
    assert joining(view, Joining("redis://b"))(Versioned(2, two.content)) == Keep(b"n5")
    again = joining(view, Joining("redis://a", 50))(Versioned(2, two.content))
    assert isinstance(again, Write)
    assert unpack_wishes(again.content).nodes["n4"] == NodeWish("redis://a", 50)


def test_wishes_are_kept_beside_each_other():
    first = wishing("n4", NodeWish("redis://a"))(Versioned(0, None))
    assert isinstance(first, Write)
    second = wishing("n5", NodeWish("redis://b", 7))(Versioned(1, first.content))
    assert isinstance(second, Write)
    assert unpack_wishes(second.content) == wishes(n4=NodeWish("redis://a"), n5=NodeWish("redis://b", 7))
    assert isinstance(wishing("n5", NodeWish("redis://b", 7))(Versioned(2, second.content)), Keep)
    assert unpack_wishes(None) == NodeWishes()

"""Whatever the nodes and the table before: copies apart, shares as promised, and little that moves."""

from __future__ import annotations

from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from taskmesh.ring import RingNode, propose
from taskmesh.ring.table import copies, handed_over, moved, primaries

SLOTS = st.sampled_from([1, 7, 64])
REPLICAS = st.integers(1, 4)
few = settings(max_examples=50)


@st.composite
def nodes_of(draw, least=1, alike=True):
    """Draw nodes that are all alike, or with weights and domains of their own."""
    count = draw(st.integers(least, 14))
    if alike:
        return [RingNode(f"n{at}") for at in range(count)]
    return [
        RingNode(f"n{at}", draw(st.integers(1, 300)), draw(st.sampled_from(["", "a", "b", "c"])))
        for at in range(count)
    ]


def check_apart(table, nodes, replicas):
    domain = {node.id: node.domain or f"alone {node.id}" for node in nodes}
    able = {domain[node.id] for node in nodes if node.weight}
    for each in table:
        assert len(set(each)) == len(each) == replicas
        assert len({domain[node] for node in each}) == min(replicas, len(able))


@few
@given(SLOTS, REPLICAS, st.data())
def test_copies_stand_apart(slots, replicas, data):
    nodes = data.draw(nodes_of(least=replicas, alike=False))
    table = propose(slots, nodes, replicas)
    check_apart(table, nodes, replicas)
    other = data.draw(nodes_of(least=replicas, alike=False))
    check_apart(propose(slots, other, replicas, table), other, replicas)


@few
@given(SLOTS, REPLICAS, st.data())
def test_shares_are_within_one_copy(slots, replicas, data):
    nodes = data.draw(nodes_of(least=replicas))
    table = propose(slots, nodes, replicas, propose(slots, data.draw(nodes_of(least=replicas)), replicas))
    held, led = copies(table), primaries(table)
    assert max(held.values()) <= ceil(slots * replicas / len(nodes))
    assert max(led.values()) <= ceil(slots / len(nodes))


@few
@given(SLOTS, REPLICAS, st.data())
def test_weights_say_who_keeps_how_much(slots, replicas, data):
    weights = data.draw(st.lists(st.integers(50, 100), min_size=2 * replicas, max_size=14))
    total = sum(weights)
    nodes = [RingNode(f"n{at}", weight) for at, weight in enumerate(weights)]
    held = copies(propose(slots, nodes, replicas))
    for node in nodes:
        share = slots * replicas * node.weight / total
        assert share - 1 < held[node.id] < share + 1


@few
@given(SLOTS, REPLICAS, st.data())
def test_a_join_moves_the_share_of_the_new_node(slots, replicas, data):
    nodes = data.draw(nodes_of(least=replicas))
    before = propose(slots, nodes, replicas)
    after = propose(slots, [*nodes, RingNode("new", data.draw(st.integers(1, 100)))], replicas, before)
    assert moved(before, after) == copies(after)["new"]
    assert all(node == "new" for old, new in zip(before, after, strict=True) for node in set(new) - set(old))


@few
@given(SLOTS, REPLICAS, st.data())
def test_a_leave_moves_the_share_of_the_node_that_left(slots, replicas, data):
    nodes = data.draw(nodes_of(least=replicas + 1))
    before = propose(slots, nodes, replicas)
    after = propose(slots, nodes[1:], replicas, before)
    assert moved(before, after) <= ceil(1.1 * copies(before)[nodes[0].id])


@few
@given(SLOTS, REPLICAS, st.data())
def test_a_drained_node_keeps_nothing_and_moves_what_a_leave_does(slots, replicas, data):
    nodes = data.draw(nodes_of(least=replicas + 1))
    before = propose(slots, nodes, replicas)
    drained = propose(slots, [RingNode(nodes[0].id, 0), *nodes[1:]], replicas, before)
    assert drained == propose(slots, nodes[1:], replicas, before)
    assert copies(drained)[nodes[0].id] == 0


@few
@given(SLOTS, REPLICAS, st.data())
def test_nothing_moves_where_nothing_changed(slots, replicas, data):
    nodes = data.draw(nodes_of(least=replicas, alike=False))
    table = propose(slots, nodes, replicas)
    again = propose(slots, data.draw(st.permutations(nodes)), replicas, table)
    assert moved(table, again) == 0
    assert handed_over(table, again) == 0


@settings(max_examples=20)
@given(st.integers(4, 10), st.data())
def test_a_weight_that_changes_moves_the_difference(count, data):
    nodes = [RingNode(f"n{at}") for at in range(count)]
    before = propose(512, nodes, 2)
    heavier = [RingNode("n0", data.draw(st.integers(20, 150))), *nodes[1:]]
    after = propose(512, heavier, 2, before)
    old, new = copies(before), copies(after)
    assert moved(before, after) <= 1.1 * sum(max(0, new[node.id] - old[node.id]) for node in nodes) + 1


@few
@given(SLOTS, st.integers(1, 3), st.data())
def test_more_and_fewer_replicas(slots, replicas, data):
    nodes = data.draw(nodes_of(least=4))
    before = propose(slots, nodes, replicas)
    more = propose(slots, nodes, replicas + 1, before)
    assert moved(before, more) <= ceil(1.1 * slots)
    fewer = propose(slots, nodes, replicas, more)
    check_apart(fewer, nodes, replicas)

"""What becomes of the table of slots by what operators wish of one node: reckoned before anything is done."""

from __future__ import annotations

from dataclasses import replace

from taskmesh.coordination.node_wish import NodeWish
from taskmesh.replication.plan import as_proposed
from taskmesh.replication.view import UP, Table, View
from taskmesh.ring import RingNode, propose


def table_after(view: View, node: str, wish: NodeWish) -> Table:
    """Return which nodes keep which slots once a wish is fulfilled.

    Args:
        view: The active one.
        node: Of whom something is wished.
        wish: What.
    """
    member = view.member(node)
    if member is None or member.state != UP or wish.leaves or not wish.weight:
        return tuple(
            propose(view.slots, _nodes_after(view, node, wish), _replicas_after(view, node, wish), view.table)
        )
    weighed = replace(member, weight=wish.weight, domain=wish.domain)
    goal = as_proposed(
        replace(view, members=tuple(weighed if each is member else each for each in view.members))
    )
    # shares that are only a little uneven stay as they are
    return view.table if goal is None else goal.table


def _nodes_after(view: View, node: str, wish: NodeWish) -> list[RingNode]:
    """Return the nodes that keep something once a wish is fulfilled."""
    weight = 0 if wish.leaves else wish.weight
    nodes = {
        each.id: RingNode(each.id, each.weight, each.domain) for each in view.members if each.state == UP
    }
    nodes[node] = replace(nodes.get(node, RingNode(node)), weight=weight, domain=wish.domain)
    return list(nodes.values())


def _replicas_after(view: View, node: str, wish: NodeWish) -> int:
    able = sum(each.weight > 0 for each in _nodes_after(view, node, wish))
    return max(1, min(view.replicas, able))

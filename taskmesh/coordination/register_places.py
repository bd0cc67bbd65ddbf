"""Which nodes of a mesh of several hold its registers, where no acceptors are named, while nodes come and go."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.coordination.node_wish import NodeWishes
from taskmesh.replication.view import DRAINED, UP, View

#: So many hold the registers as soon as there are so many: then one of them may be lost.
SAFE = 3


def places_for(now: Sequence[str], view: View, wishes: NodeWishes) -> list[str]:
    """Return the addresses at which the registers should be.

    Whoever leaves hands its part to a node that has none. Who is lost keeps it, for it may come back; so does a server
    that is no node, for somebody put it there. Fewer than three become three when there are three nodes.

    Args:
        now: Where they are.
        view: Of the mesh.
        wishes: What operators want of its nodes.
    """
    leaving = leaving_from(view, wishes)
    kept = [address for address in now if address not in leaving]
    free = [address for address in free_in(view, wishes) if address not in kept]
    size = max(len(now), SAFE if len(kept) + len(free) >= SAFE else 1)
    places = [*kept, *free[: size - len(kept)]]
    # where nobody is free who leaves goes on holding them
    return [*places, *[address for address in now if address not in places][: size - len(places)]]


def leaving_from(view: View, wishes: NodeWishes) -> set[str]:
    """Return the addresses of nodes that have left, or are to."""
    staying = {member.address for member in view.members if member.state != DRAINED}
    gone = {
        member.address for member in view.members if member.state == DRAINED and not _stays(member.id, wishes)
    }
    told = {wish.address for wish in wishes.nodes.values() if wish.leaves}
    # the same server may have come back as another member
    return (gone - staying) | (told - _wanted(wishes))


def free_in(view: View, wishes: NodeWishes) -> list[str]:
    """Return the addresses of nodes that are there to stay."""
    leaving = leaving_from(view, wishes)
    return [
        member.address
        for member in view.members
        if member.state == UP and member.weight and member.address not in leaving
    ]


def _stays(node: str, wishes: NodeWishes) -> bool:
    """Tell whether a node that keeps nothing was emptied only, and is a member still."""
    wish = wishes.nodes.get(node)
    return wish is not None and not wish.leaves


def _wanted(wishes: NodeWishes) -> set[str]:
    return {wish.address for wish in wishes.nodes.values() if not wish.leaves}

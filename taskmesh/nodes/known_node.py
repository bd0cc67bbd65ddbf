"""Which member of a mesh of several a server is already, as its own keys tell: an address may be an alias."""

from __future__ import annotations

from taskmesh.coordination.node_wish import NodeWishes, removed
from taskmesh.replication.founding import Stand
from taskmesh.replication.view import DRAINED, FIRST, WEIGHT, Member, View


def member_of(stand: Stand, view: View, mesh_id: str) -> Member | None:
    """Return the member, one that was removed too, whose data a server has; None if it has none of this mesh.

    Args:
        stand: What the server says of itself.
        view: The newest.
        mesh_id: Of this mesh.
    """
    by_instance = (each for each in view.members if stand.instance and each.instance == stand.instance)
    found = next(by_instance, None)
    if found is None and mesh_id and stand.mesh_id == mesh_id:
        # it became another instance meanwhile; who has no id was the only node when this was written
        found = view.member(stand.id or FIRST)
    return found


def why_not_new(address: str, member: Member, view: View, wishes: NodeWishes) -> str:
    """Return why the server of a member cannot join as a new node, and what to do.

    Args:
        address: By which it was named.
        member: Which it is, or was.
        view: The newest.
        wishes: What operators want of the nodes.
    """
    known_as = "" if address == member.address else f", known as {member.address}"
    if member.id in removed(view, wishes):
        return (
            f"{address} cannot be a node: it has the data of {member.id} of this mesh{known_as}, which was removed for "
            "good; give an empty server, or empty this one (FLUSHALL)"
        )
    if member.state == DRAINED:
        return (
            f"{address} is {member.id} of this mesh{known_as}, and was drained: `taskmesh nodes weight {member.id} "
            f"{WEIGHT}` has it take part again"
        )
    return (
        f"{address} is {member.id} of this mesh already{known_as} ({member.state}): there is nothing to add, and its "
        "data must stay"
    )

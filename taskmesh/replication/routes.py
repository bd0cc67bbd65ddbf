"""To which nodes of a mesh of many a script goes, and what one answer their answers make.

Scripts are written for one node. What a message needs stands on the primary of its slot; so a call that names messages
is split by that, one about everything goes to all nodes, and one about a node's own things must say which is meant.
Every route is pure, and has this in common: split, run and merged it gives what the whole call gives on one node.
"""

from __future__ import annotations

from taskmesh.replication import route_pages, route_shared
from taskmesh.replication.route_enqueue import enqueue, enqueue_fenced
from taskmesh.replication.route_messages import Route, commit, letters, messages, one_message, total, values
from taskmesh.replication.routed import Args, Parts, Pinned, Routed
from taskmesh.replication.view import View

__all__ = ["PINNED", "ROUTES", "Parts", "Pinned", "Routed", "route"]

#: By the script's name. Its arguments are those behind epoch and time, if it takes these; a fenced one's begin with
#: the token.
ROUTES: dict[str, Route] = {
    "coordination.install (fenced)": route_shared.leaders,
    "coordination.settle (fenced)": route_shared.leaders,
    "queue.backlog": route_shared.everywhere(route_shared.backlogs),
    "queue.commit": commit,
    "queue.dead": route_pages.dead,
    "queue.drop": messages(0, 1, letters),
    "queue.enqueue": enqueue,
    "queue.enqueue (fenced)": enqueue_fenced,
    "queue.expired": route_shared.expired,
    "queue.hasten": messages(0, 1, letters),
    "queue.lengths": route_shared.lengths,
    "queue.oldest": route_shared.everywhere(route_shared.oldest),
    "queue.order": route_shared.order,
    "queue.pause": route_shared.everywhere(route_shared.changed),
    "queue.peek": route_shared.peeked,
    "queue.rate": route_shared.by_task,
    "queue.revoke": messages(1, 3, letters),
    "queue.scheduled": route_pages.scheduled,
    "queue.setting": route_shared.everywhere(route_shared.changed),
    "queue.starts": route_shared.by_task,
    "queue.status": route_shared.everywhere(route_shared.status, route_shared.NO_STATUS),
    "queue.telling": one_message,
    "queue.unlist": route_shared.everywhere(route_shared.fate),
    "queue.unpark": route_pages.unpark,
    "queue.wish": route_shared.everywhere(route_shared.changed),
    "replication.accept": route_shared.alike,
    "results.forget": messages(0, 1, total),
    "results.piece": one_message,
    "results.read": messages(0, 1, values(1), in_parts=True),
    "results.tellings": messages(0, 1, values(2)),
}

#: What is about the claims and the workers of one node.
PINNED = frozenset(
    {"queue.claim", "queue.held", "queue.reap", "queue.recall", "queue.ticket", "queue.worker"}
)


def route(name: str, view: View, args: Args) -> Routed:
    """Return the calls that a call of a script comes to.

    Args:
        name: Of the script, as `Script.name` has it.
        view: Of the mesh.
        args: Its arguments behind epoch and time, if it takes these.

    Raises:
        Pinned: The call is about one node's own things; or nobody has said where the script goes.
    """
    known = ROUTES.get(name)
    if known is None:
        raise Pinned(
            f"{name} is about one node's own things, and no node is named: use link.at(node), for each of link.nodes"
            if name in PINNED
            else f"nobody says to which nodes {name} goes: give it a route in taskmesh/replication/routes.py"
        )
    return known(view, args)

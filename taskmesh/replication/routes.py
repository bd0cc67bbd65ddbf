"""To which nodes of a mesh of many a script goes, and what one answer their answers make.

Scripts are written for one node. What a message needs stands on the primary of its slot; so a call that names messages
is split by that, one about everything goes to all nodes, and one about a node's own things must say which is meant.
Every route is pure, and has this in common: split, run and merged it gives what the whole call gives on one node.
"""

from __future__ import annotations

from taskmesh.replication.route_enqueue import enqueue, enqueue_fenced
from taskmesh.replication.route_messages import Route, commit, letters, messages, one_message, total, values
from taskmesh.replication.routed import Args, Parts, Pinned, Routed, Table

__all__ = ["PINNED", "ROUTES", "Parts", "Pinned", "Routed", "route"]

#: By the script's name. Its arguments are those behind epoch and time, if it takes these; a fenced one's begin with
#: the token.
ROUTES: dict[str, Route] = {
    "queue.commit": commit,
    "queue.drop": messages(0, 1, letters),
    "queue.enqueue": enqueue,
    "queue.enqueue (fenced)": enqueue_fenced,
    "queue.revoke": messages(1, 3, letters),
    "queue.telling": one_message,
    "results.forget": messages(0, 1, total),
    "results.read": messages(0, 1, values(1)),
    "results.tellings": messages(0, 1, values(2)),
}

#: What is about the claims and the workers of one node.
PINNED = frozenset({"queue.claim", "queue.held", "queue.reap", "queue.recall", "queue.worker"})


def route(name: str, view: Table, args: Args) -> Routed:
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


def route_plain(view: Table, words: Args) -> Routed:
    """Return the calls that a plain command comes to."""
    raise Pinned(f"nobody says to which of {view.slots} slots {words[0].decode()} belongs")

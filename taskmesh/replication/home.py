"""Calls that say no node, though they are about one node's own things: of a process that joined a mesh of one.

They go to the node that was the only one, its *home*: a child's claims and its sleep, until another child takes its
place. What they say of messages goes to wherever these are by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskmesh.core.steps import Call, Refused, Reply
from taskmesh.replication.route_messages import commit
from taskmesh.replication.routed import FAILURES, Args, Routed
from taskmesh.replication.view import View

_COMMIT = "queue.commit"
#: How many arguments of a commit stand before the claims that are done with, and how many say each of these.
_HEAD, _EACH_DONE = 4, 2


def at_home(call: Call, view: View, args: Args, home: str) -> Routed:
    """Route what is about one node's own things and says no node: to the one that was the only one.

    Args:
        call: The call.
        view: Of the mesh.
        args: Its arguments, behind epoch and time if it takes these.
        home: The node.
    """
    is_there = home in view.nodes
    if call.script is not None and call.script.name == _COMMIT:
        return _commit_at_home(view, args, home if is_there else "")
    if is_there:
        return Routed([(home, args)], _only)
    gone = Refused(f"node {home}, which was the only one, has left the mesh")
    return Routed([], lambda _: gone)


def _commit_at_home(view: View, args: Args, home: str) -> Routed:
    """Send outcomes to wherever their messages are by now, and say which claims are done with where they were made."""
    end = _HEAD + int(args[_HEAD - 1]) * _EACH_DONE
    head, done, entries = args[: _HEAD - 1], args[_HEAD:end], args[end:]
    ended = commit(view, (*head, b"0", *entries))
    if not home:
        return ended
    closed = (home, (*head, args[_HEAD - 1], *done))

    def merge(replies: Sequence[Reply]) -> Reply:
        *outcomes, closing = replies
        # what is asked again is closed again
        return closing if isinstance(closing, FAILURES) else ended.merge(outcomes)

    return Routed([*ended.calls, closed], merge)


def _only(replies: Sequence[Any]) -> Any:
    return replies[0]

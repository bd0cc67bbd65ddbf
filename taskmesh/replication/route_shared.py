"""Routes of scripts that are about no message by name: to all nodes, or to the one that keeps a task's rate limit.

What workers and operators see is the sum of what the nodes say. What operators set stands on every node, since every
node must mind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

from taskmesh.core.ids import slot_of
from taskmesh.core.steps import NodeError, Reply
from taskmesh.replication.routed import FAILURES, Args, Routed, any_of, to_all, to_one, whole, worst
from taskmesh.replication.view import View

#: What became of a queue that was to be forgotten, what counts most first: paused, has messages, has idle children,
#: forgotten, was not listed.
_FATES = b"pmio-"
#: In front of the letters of states: have the idle children named, for each is known to several nodes.
NAMED = b"+"


def everywhere(merge: Callable[[Sequence[Any]], Any], blank: Reply = None) -> Callable[[View, Args], Routed]:
    """Return the route of a script that goes to all nodes, all of which must answer unless there is a blank."""
    return lambda view, args: to_all(view, args, merge, blank)


def by_task(view: View, args: Args) -> Routed:
    """Route a script that begins with the digest of a task: its rate limit is kept by one node."""
    return to_one(view.primary(slot_of(int(args[0][:4], 16), view.slots)), args)


def changed(replies: Sequence[int]) -> int:
    """Tell whether anything was changed anywhere."""
    return max(replies)


def fate(replies: Sequence[bytes]) -> bytes:
    """Tell what became of a queue that was to be forgotten by all."""
    return min(replies, key=_FATES.index)


def peeked(view: View, args: Args) -> Routed:
    """Route a look at the first messages of a queue: it has a first one on each node."""
    most = int(args[1])

    def merge(replies: Sequence[list[bytes]]) -> list[bytes]:
        pairs = [zip(reply[::2], reply[1::2], strict=True) for reply in replies]
        turns = chain.from_iterable(zip_longest(*pairs))
        return [word for pair in turns if pair is not None for word in pair][: 2 * most]

    return to_all(view, args, merge, [])


def backlogs(replies: Sequence[list[int]]) -> list[int]:
    """Add up how many are ready, and take the first of those that are first."""
    found: list[int] = []
    for each in zip(*replies, strict=True):
        is_count = len(found) % 2 == 0
        found.append(sum(each) if is_count else min((first for first in each if first), default=0))
    return found


def oldest(replies: Sequence[list[int]]) -> list[int]:
    """Return of each queue the earliest moment, where there is any."""
    return [min((moment for moment in each if moment), default=0) for each in zip(*replies, strict=True)]


#: What a node says in `status` that has nothing and knows nobody.
NO_STATUS: list[Any] = [0, 0, 0, [], [], []]


def status(replies: Sequence[list[Any]]) -> list[Any]:
    """Add up counts, and make one of a worker that several nodes know."""
    delayed, parked, dead = (sum(reply[at] for reply in replies) for at in range(3))
    workers: dict[bytes, list[Any]] = {}
    for incarnation, state, beat, info, running in (row for reply in replies for row in reply[3]):
        known = workers.setdefault(incarnation, [incarnation, state, beat, info, 0])
        if state == b"live" and known[1] != b"live":
            known[1:4] = state, beat, info
        known[4] += running
    candidates = list(chain.from_iterable(reply[5] for reply in replies))
    return [delayed, parked, dead, list(workers.values()), union([reply[4] for reply in replies]), candidates]


def union(replies: Sequence[list[bytes]]) -> list[bytes]:
    """Return what anybody named, once."""
    return list(dict.fromkeys(chain.from_iterable(replies)))


def lengths(view: View, args: Args) -> Routed:
    """Route the counts of some queues; a child may be idle on several nodes, and is one."""

    def merge(replies: Sequence[list[list[Any]]]) -> list[list[int]]:
        return [_length(rows) for rows in zip(*replies, strict=True)]

    # ready, idle, blocked, and how many reached each state
    nothing = [0, [], 0, *[0] * len(args[0])]
    return to_all(view, (NAMED + args[0], *args[1:]), merge, [nothing for _ in args[1:]])


def _length(rows: Sequence[list[Any]]) -> list[int]:
    found = [sum(each) for each in zip(*([row[0], *row[2:]] for row in rows), strict=True)]
    idle = [row[1] for row in rows]
    if all(isinstance(named, list) for named in idle):
        count = len(set(chain.from_iterable(idle)))
    else:
        # more than are named: those of one node are at least not counted twice
        count = max(len(named) if isinstance(named, list) else named for named in idle)
    return [found[0], count, *found[1:]]


def expired(view: View, args: Args) -> Routed:
    """Route the list of messages that were not begun in time: of nodes that are away it is asked again."""
    return Routed(
        [(node, args) for node in view.nodes],
        any_of(lambda replies: list(chain.from_iterable(replies))),
    )


def order(view: View, args: Args) -> Routed:
    """Route a control message to a worker: it reads its list on each of its nodes, and one of them is enough."""

    def merge(replies: Sequence[Reply]) -> Reply:
        if 1 in replies:
            return 1
        failure = worst(replies)
        return 0 if failure is None else failure

    return Routed([(node, args) for node in view.nodes], merge)


def leaders(view: View, args: Args) -> Routed:
    """Route what tells nodes of a leader: some may be away just when one is needed, but none may know a newer one."""

    def merge(replies: Sequence[Reply]) -> Reply:
        for reply in replies:
            if isinstance(reply, NodeError) and reply.text.startswith("STALETOKEN"):
                return reply
        answers = [reply for reply in replies if not isinstance(reply, FAILURES)]
        return answers[0] if answers else worst(replies)

    return Routed([(node, args) for node in view.nodes], merge)


def alike(view: View, args: Args) -> Routed:
    """Route what comes out alike on all nodes."""
    return Routed([(node, args) for node in view.nodes], whole(lambda replies: replies[0]))

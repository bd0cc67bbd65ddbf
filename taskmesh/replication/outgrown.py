"""A protocol that was begun while a mesh had one node, and ends when that is one of several.

Whoever asks the node by its old epoch is told that it obeys a view now. What was refused is asked again by that view,
what was answered stays answered, and the protocol does not notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from taskmesh.core.steps import NoAnswer, NodeError, Pause, Reply, Request, Steps
from taskmesh.replication.view import OBEYS, WAITS

T = TypeVar("T")

_STALE = "STALEVIEW "
_MANY = (_STALE + OBEYS.decode(), _STALE + WAITS.decode())


def is_of_several(reply: Reply) -> bool:
    """Tell whether a node that was asked as the only one says that it is one of several."""
    return type(reply) is NodeError and reply.text.startswith(_MANY)


def tells_of_several(replies: Sequence[Reply]) -> bool:
    """Tell whether a node that was asked as the only one says so in any of its replies."""
    return any(is_of_several(reply) for reply in replies)


def unheard(replies: Sequence[Reply], why: str) -> list[Reply]:
    """Return the replies as they are for who cannot find out about the others now: what was refused has no answer."""
    return [NoAnswer(why) if is_of_several(reply) else reply for reply in replies]


def resumed(steps: Steps[T], request: Request, replies: Sequence[Reply] = ()) -> Steps[T]:
    """Go on with a protocol.

    Args:
        steps: The protocol.
        request: What it asked last, and has not heard the replies to.
        replies: What was answered to that by the only node; nothing if it was not asked.
    """
    try:
        if isinstance(request, Pause):
            request = steps.send((yield request))
        else:
            heard = list(replies) or [None] * len(request)
            again = [at for at, reply in enumerate(heard) if not replies or is_of_several(reply)]
            for at, reply in zip(again, (yield [request[at] for at in again]), strict=True):
                heard[at] = reply
            request = steps.send(heard)
        while True:
            request = steps.send((yield request))
    except StopIteration as stop:
        value: T = stop.value
        return value

"""Control messages: signed orders on the lists of single workers."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core import keys
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Session, Steps
from taskmesh.errors import NodeFault, NodeUnavailable

#: Orders that a worker leaves unread are dropped, the oldest first, beyond so many.
UNREAD_MAX = 100


def give_orders(session: Session, incarnations: Sequence[bytes], wire: bytes) -> Steps[None]:
    """Put a signed control message on the lists of some workers; each reads its own with every beat.

    Raises:
        NodeUnavailable, NodeFault: Some may not have it. Giving it again is harmless.
    """
    calls = []
    for incarnation in incarnations:
        key = keys.control(session.prefix, incarnation)
        calls.append(Call(None, session.prefix, (b"RPUSH", key, wire)))
        calls.append(Call(None, session.prefix, (b"LTRIM", key, b"%d" % -UNREAD_MAX, b"-1")))
    if not calls:
        return
    for reply in (yield calls):
        if isinstance(reply, NodeError):
            raise NodeFault(f"an order was refused: {reply.text}", text=reply.text)
        if isinstance(reply, (Refused, NoAnswer)):
            raise NodeUnavailable(
                f"an order may not have arrived: {reply.reason}",
                node=session.prefix.decode(),
                may_be_done=True,
            )


def take_orders(session: Session, incarnation: bytes) -> Steps[list[bytes]]:
    """Take what stands on a worker's own list; nothing when the node does not answer."""
    (reply,) = yield [
        Call(None, session.prefix, (b"LPOP", keys.control(session.prefix, incarnation), b"%d" % UNREAD_MAX))
    ]
    return reply if isinstance(reply, list) else []

"""Control messages: signed orders on the lists of single workers."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core import keys
from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.replication.ask import ask, plain

ORDER = load_script("taskmesh.queue", "order")
#: Orders that a worker leaves unread are dropped, the oldest first, beyond so many.
UNREAD_MAX = 100


def give_orders(
    session: Session, incarnations: Sequence[bytes], wire: bytes, *, patience_s: float = 10.0
) -> Steps[int]:
    """Put a signed control message on the lists of some workers; each reads its own at least every second.

    Returns:
        How many of them live, and are told.

    Raises:
        NodeUnavailable, NodeFault: Some may not have it. Giving it again is harmless.
    """
    told = 0
    for incarnation in incarnations:
        told += yield from ask(session, ORDER, incarnation, wire, b"%d" % UNREAD_MAX, patience_s=patience_s)
    return told


def take_orders(session: Session, incarnation: bytes) -> Steps[list[bytes]]:
    """Take what stands on a worker's own list.

    An order is removed once it has been read: an answer that is lost costs a repetition, not the order.

    Raises:
        NodeUnavailable, NodeFault: They cannot be read now.
    """
    key = keys.control(session.prefix, incarnation)
    wires: list[bytes] = yield from plain(session, b"LRANGE", key, b"0", b"%d" % (UNREAD_MAX - 1))
    if wires:
        # should this be lost, they are read again, and known by their ids
        yield [Call(None, session.prefix, (b"LREM", key, b"1", wire)) for wire in wires]
    return wires

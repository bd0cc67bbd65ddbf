"""Claim: take ready messages for one child; the record's token is the lease."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.replication.ask import ask

CLAIM = load_script("taskmesh.queue", "claim")
RECALL = load_script("taskmesh.queue", "recall")
HELD = load_script("taskmesh.queue", "held")


def claim_call(
    session: Session, holder: bytes, sequence: int, most: int, queues: Sequence[bytes], *, idle: bool
) -> Call:
    """Return the call that claims, to be sent together with others.

    Args:
        session: Where.
        holder: Incarnation (16) and child (6).
        sequence: Grows by one with each answered claim of this child; a repeat carries the same.
        most: How many messages at most.
        queues: In the order in which they are looked at.
        idle: The child's last claim found nothing, so it is registered as idle.
    """
    return session.call(CLAIM, holder, b"%08x" % sequence, b"%d" % most, b"1" if idle else b"0", *queues)


def claim(
    session: Session,
    holder: bytes,
    sequence: int,
    most: int,
    queues: Sequence[bytes],
    *,
    idle: bool,
    patience_s: float = 10.0,
) -> Steps[list[bytes]]:
    """Claim messages.

    Returns:
        A flat list: id, record, id, record ... Empty when there is nothing: the child is then registered as
        idle, and `keys.wake` is the list on which it is woken.

    Raises:
        NodeFault: `DEADWORKER` when the incarnation was declared dead, `OLDSEQUENCE` for a late duplicate.
        NodeUnavailable: No answer; claim again with the same sequence.
    """
    reply: list[bytes] = yield from ask(
        session,
        CLAIM,
        holder,
        b"%08x" % sequence,
        b"%d" % most,
        b"1" if idle else b"0",
        *queues,
        patience_s=patience_s,
    )
    return reply


def recall(session: Session, holder: bytes, sequence: int, position: int, *, patience_s: float = 10.0) -> Steps[int]:
    """Put what waits behind a position of one claim back in line, and return how many those were.

    Position counts from 1; 0 puts the whole claim back. Nothing is charged to the messages.
    """
    reply = yield from ask(session, RECALL, holder, b"%08x" % sequence, b"%d" % position, patience_s=patience_s)
    return int(reply)


def held(session: Session, holder: bytes, *, patience_s: float = 10.0) -> Steps[list[tuple[int, int, str, bytes]]]:
    """List what a child holds: (sequence, position from 1, id, head of the record)."""
    reply = yield from ask(session, HELD, holder, patience_s=patience_s)
    return [
        (int(reply[i], 16), int(reply[i + 1]), reply[i + 2].decode(), reply[i + 3]) for i in range(0, len(reply), 4)
    ]

"""A turn of a child: commit what it ran and claim the next, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Reply, Session, Steps
from taskmesh.queue.claim import Claims, claim, claim_call, claimed_messages
from taskmesh.queue.commit import DEAD_EXPIRES_S, commit, commit_call


def turn(
    session: Session,
    holder: bytes,
    build: bytes,
    done: Sequence[tuple[int, bytes]],
    entries: Sequence[bytes],
    sequence: int,
    most: int,
    queues: Sequence[bytes],
    *,
    idle: bool,
    dead_expires_s: int = DEAD_EXPIRES_S,
    patience_s: float = 10.0,
) -> Steps[tuple[bytes, Claims]]:
    """Commit, then claim. Arguments as `commit` and `claim`.

    Returns:
        Verdicts of the commit, and what was claimed.

    Raises:
        NodeFault, NodeUnavailable: As `commit` and `claim`; both may be repeated with the same arguments.
    """
    if not entries and not done:
        claimed = yield from claim(session, holder, sequence, most, queues, idle=idle, patience_s=patience_s)
        return b"", claimed
    first, second = yield [
        commit_call(session, holder, build, done, entries, dead_expires_s),
        claim_call(session, holder, sequence, most, queues, idle=idle),
    ]
    if isinstance(first, (Refused, NoAnswer, NodeError)):
        first = yield from commit(
            session, holder, build, done, entries, dead_expires_s=dead_expires_s, patience_s=patience_s
        )
    if isinstance(second, (Refused, NoAnswer, NodeError)):
        claimed = yield from claim(session, holder, sequence, most, queues, idle=idle, patience_s=patience_s)
        return first, claimed
    return first, claimed_messages(second)


def turn_at(
    session: Session,
    node: str,
    holder: bytes,
    build: bytes,
    done: Sequence[tuple[int, bytes]],
    entries: Sequence[bytes],
    sequence: int,
    most: int,
    queues: Sequence[bytes],
    *,
    idle: bool,
    look: bool,
    dead_expires_s: int = DEAD_EXPIRES_S,
) -> Steps[tuple[Reply, Reply, Reply]]:
    """Commit wherever the messages are, and claim at one of several nodes; all is asked once, and at the same time.

    Args:
        session: Of the mesh.
        node: At which to claim.
        holder: Incarnation and child.
        build: See `commit`.
        done: Claims made at that node whose messages were committed before.
        entries: See `commit`; claimed at any node.
        sequence: See `claim`; counted for that node.
        most: See `claim`.
        queues: See `claim`.
        idle: See `claim`.
        look: See `claim_call`.
        dead_expires_s: See `commit`.

    Returns:
        The replies as they are: to the entries, to what is done, to the claim; None for what was not asked.
    """
    calls = []
    if entries:
        calls.append(commit_call(session, holder, build, (), entries, dead_expires_s))
    if done:
        calls.append(commit_call(session, holder, build, done, (), dead_expires_s))
        calls[-1].node = node
    calls.append(claim_call(session, holder, sequence, most, queues, idle=idle, look=look))
    calls[-1].node = node
    replies = yield calls
    committed = replies[0] if entries else None
    let_go = replies[-2] if done else None
    return committed, let_go, replies[-1]


def once(call: Call) -> Steps[Reply]:
    """Make one call, once, and return its reply as it is."""
    (reply,) = yield [call]
    return reply

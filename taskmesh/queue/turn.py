"""A turn of a child: commit what it ran and claim the next, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.steps import NoAnswer, NodeError, Refused, Session, Steps
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

"""Expire: end messages that were not begun in time."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.queue.manage import REVOKE
from taskmesh.replication.ask import ask

EXPIRED = load_script("taskmesh.queue", "expired")
#: Messages looked at in one call of the script.
LOOK_MAX = 200


def expired(session: Session, *, patience_s: float = 10.0) -> Steps[list[tuple[str, bytes]]]:
    """Return (id, version) of some messages that wait although the time to begin is over, oldest first."""
    reply = yield from ask(session, EXPIRED, b"%d" % LOOK_MAX, patience_s=patience_s)
    return [(reply[i].decode(errors="backslashreplace"), reply[i + 1]) for i in range(0, len(reply), 2)]


def expire(
    session: Session, entries: Sequence[tuple[bytes, bytes, bytes]], *, patience_s: float = 10.0
) -> Steps[int]:
    """End messages as EXPIRED, unless they have moved on, and return how many those were.

    Args:
        session: Where.
        entries: (id, version as 8 hex digits, signed outcome).
        patience_s: How long to go on repeating.
    """
    args = [word for entry in entries for word in entry]
    reply: bytes = yield from ask(session, REVOKE, b"X", *args, patience_s=patience_s)
    return reply.count(b"o")

"""What a running message and its mesh tell each other: tellings one way, that it is to be revoked the other."""

from __future__ import annotations

from taskmesh.core import keys
from taskmesh.core.record import REVOKE_REQUESTED
from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import ask, plain

TELLING = load_script("taskmesh.queue", "telling")


def note_telling(
    session: Session, task_id: str, token: str, wire: bytes, *, patience_s: float = 0.0
) -> Steps[bool]:
    """Note a signed telling, and tell whether it counts: False if the message is not held under this token any more.

    Raises:
        NodeUnavailable: It may be noted or not.
    """
    reply = yield from ask(session, TELLING, task_id.encode(), token.encode(), wire, patience_s=patience_s)
    return bool(reply == 1)


def is_revoked(session: Session, task_id: str, token: str) -> Steps[bool]:
    """Tell whether a message that runs was revoked, or is to be.

    Raises:
        NodeUnavailable: The node does not answer.
    """
    head: bytes = yield from plain(session, b"GETRANGE", keys.record(session.prefix, task_id), b"1", b"61")
    if head[:1] == b"V":
        return True
    if head[:51] != b"T" + token.encode():
        return False  # it runs elsewhere, or has ended; whatever was asked is not about this run
    try:
        return bool(int(head[60:61], 16) & REVOKE_REQUESTED)
    except ValueError:
        return False  # anybody may have written there

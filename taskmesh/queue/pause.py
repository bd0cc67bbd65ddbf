"""Pause queues: messages go on being accepted, and none is claimed until the queue goes on."""

from __future__ import annotations

from taskmesh.core import keys
from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import ask, plain

PAUSE = load_script("taskmesh.queue", "pause")


def pause(session: Session, queue: str, *, patience_s: float = 10.0) -> Steps[bool]:
    """Pause a queue, and tell whether it was not paused before."""
    reply = yield from ask(session, PAUSE, b"pause", queue.encode(), patience_s=patience_s)
    return bool(reply == 1)


def resume(session: Session, queue: str, *, patience_s: float = 10.0) -> Steps[bool]:
    """Let a queue go on, wake who waits for it, and tell whether it was paused."""
    reply = yield from ask(session, PAUSE, b"resume", queue.encode(), patience_s=patience_s)
    return bool(reply == 1)


def paused_queues(session: Session) -> Steps[list[str]]:
    """Return the names of the queues that are paused, sorted."""
    reply = yield from plain(session, b"SMEMBERS", keys.paused(session.prefix))
    return sorted(name.decode() for name in reply)

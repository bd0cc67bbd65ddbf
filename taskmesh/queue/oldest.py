"""Since when the oldest message of a queue waits: what tells that nobody serves it, or too few."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.queue.manage import QUEUES_AT_ONCE
from taskmesh.replication.ask import look

OLDEST = load_script("taskmesh.queue", "oldest")


def oldest(session: Session, queues: Sequence[str]) -> Steps[dict[str, int]]:
    """Return per queue when the oldest message was sent that stands at the head of a line (ms); 0 where none waits.

    Raises:
        NodeUnavailable, NodeFault: As `look`.
    """
    found: dict[str, int] = {}
    for at in range(0, len(queues), QUEUES_AT_ONCE):
        some = queues[at : at + QUEUES_AT_ONCE]
        told = yield from look(session, Call(OLDEST, session.prefix, tuple(queue.encode() for queue in some)))
        found.update(zip(some, told, strict=True))
    return found

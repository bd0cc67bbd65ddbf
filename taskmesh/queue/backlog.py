"""How much waits in a few queues: what the strategies need that go by that."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Session, Steps

BACKLOG = load_script("taskmesh.queue", "backlog")


def backlogs(session: Session, queues: Sequence[str]) -> Steps[dict[str, tuple[int, int]] | None]:
    """Return per queue how many messages are ready, and when the first of them was sent (ms, 0 unknown).

    None when the node does not answer: it is asked again soon, and an older reading serves as well.
    """
    (reply,) = yield [Call(BACKLOG, session.prefix, tuple(queue.encode() for queue in queues))]
    if isinstance(reply, (Refused, NoAnswer, NodeError)):
        return None
    return {queue: (int(reply[2 * at]), int(reply[2 * at + 1])) for at, queue in enumerate(queues)}

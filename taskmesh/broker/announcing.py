"""Telling a broker which queues have work, after messages were recorded: where a mesh has a broker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.queue.enqueue import NewMessage, Sent


def announce(broker: Broker, messages: Iterable[NewMessage], sent: Sent | None = None) -> None:
    """Announce what may be claimed now, once per queue. What is delayed has no ticket: workers look when it is due.

    Args:
        broker: Of the mesh.
        messages: What was sent.
        sent: What became of it; None if all was accepted. What may be recorded counts: a ticket too many is harmless.
    """
    rejected = sent.rejected if sent is not None else {}
    counts: dict[bytes, int] = {}
    for message in messages:
        if not message.due_ms and not (rejected and message.task_id.decode() in rejected):
            counts[message.queue] = counts.get(message.queue, 0) + 1
    for queue, count in counts.items():
        broker.announce(queue.decode(), count)

"""What transactions need beside the registers: messages are recorded, and starts of the embedded node are counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from taskmesh.coordination.committing import LOOKED_MS_MAX, Deliver, Delivered, TransactionSteps
from taskmesh.coordination.means import AskGeneration, Nap
from taskmesh.core import keys
from taskmesh.core.steps import Pause, Reply, Round
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue
from taskmesh.replication.ask import plain
from taskmesh.replication.join import embedded_generation

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link

T = TypeVar("T")
#: Is told of messages, and what became of them.
Recorded = Callable[[Sequence[NewMessage], Sent], None]
#: How long one try to record messages lasts; what is left then is recorded later.
DELIVER_S = 5.0


def generation(link: Link) -> int:
    """Return how often the embedded node was started; 0 for a server of the user's own.

    Raises:
        NodeUnavailable: It does not answer.
    """
    epoch = link.run(plain(link.session, b"GET", keys.epoch(link.prefix)))
    return embedded_generation(epoch) if epoch else 0


def deliver(link: Link, request: Deliver, recorded: Recorded | None = None) -> Delivered:
    """Record the messages of a transaction, as far as that is possible now.

    Args:
        link: To the mesh.
        request: What is to be recorded.
        recorded: Told what was sent, and what became of it.

    Raises:
        NodeUnavailable: No node answers.
    """
    # they may be older than a record is remembered. What counts is when it was seen that they are to be recorded
    created_ms = request.looked_ms - LOOKED_MS_MAX
    messages = [
        NewMessage(
            each.task_id,
            each.record,
            each.slot,
            each.queue,
            created_ms,
            each.priority,
            each.due_ms,
            each.function,
            each.expires_ms,
            each.keys,
        )
        for each in request.messages
    ]
    sent = link.ask(
        lambda left_s: enqueue(link.session, messages, dict(request.functions), patience_s=left_s), DELIVER_S
    )
    if recorded is not None:
        recorded(messages, sent)
    rejected = {task_id: why for task_id, why in sent.rejected.items() if task_id not in sent.conflicts}
    return Delivered(
        frozenset(sent.accepted),
        frozenset(sent.known),
        sent.duplicates,
        sent.conflicts,
        {**rejected, **sent.unknown},
    )


def transact(agreement: Agreement, steps: TransactionSteps[T], recorded: Recorded | None = None) -> T:
    """Have a conversation of transactions in this thread. Nobody who waits is told that it may be his turn: he looks.

    Args:
        agreement: The way to the registers, and to the nodes.
        steps: The conversation.
        recorded: Told which messages were sent, and what became of them.

    Raises:
        AgreementError, NodeUnavailable: It could not be had to its end.
    """
    try:
        request = next(steps)
        while True:
            replies: Sequence[Reply] = []
            try:
                if isinstance(request, (Nap, Pause)):
                    time.sleep(request.seconds)
                elif isinstance(request, Round):
                    replies = agreement.driver.perform(request)
                elif isinstance(request, Deliver):
                    replies = [deliver(agreement.link, request, recorded)]
                elif isinstance(request, AskGeneration):
                    replies = [generation(agreement.link)]
            except NodeUnavailable as error:
                request = steps.throw(error)
                continue
            request = steps.send(replies)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        steps.close()

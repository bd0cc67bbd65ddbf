"""An id that was given before: which task the message is of that has it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

from taskmesh.codec.envelope import decode_envelope
from taskmesh.errors import IdempotencyConflict, NodeFault, NodeUnavailable, StaleView, TrustError
from taskmesh.queue.enqueue import Sent

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.core.steps import Steps
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh")
#: Ids remembered of which this process was told that they may be recorded.
REMEMBERED = 1000


class Unsure:
    """Ids of messages of this process that may have been recorded. To send one again is no duplicate."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, task_id: str) -> None:
        """Remember an id; of very many, the last."""
        self._ids[task_id] = None
        while len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)

    def was_given(self, sent: Sent, task_id: str) -> bool:
        """Tell whether an id that was sent had been given before, by another call than this one."""
        return task_id in sent.known and task_id not in sent.resent and task_id not in self._ids


def compare(link: Link, handle: AsyncResult[object]) -> Steps[None]:
    """Look of which task the message is that has the id of a handle, and make it the handle on that one.

    Of one that has ended the name is not known any more, nor then to the handle.

    Raises:
        IdempotencyConflict: It is of another task than the one that was called.
    """
    from taskmesh.queue.dead import whole_record

    called, handle.task = handle.task, ""
    handle.duplicate = True
    try:
        record = yield from whole_record(link.session, handle.id)
        if record is None or not record.envelope:
            return
        handle.task = decode_envelope(record.envelope, link.messages, expect_id=handle.id).task
    except (NodeUnavailable, NodeFault, StaleView, TrustError) as error:
        log.debug("cannot look whose id %s is: %s", handle.id, error)
        return
    if handle.task != called:
        raise IdempotencyConflict(
            f"message {handle.id} to task {called} was not recorded: its task_id was given for another call, to task "
            f"{handle.task}. An id may be repeated with the same task only; use another one for this call",
            task_id=handle.id,
            first_id=handle.id,
            first_task=handle.task,
        )

"""Sending from an event loop.

A message that is sent while no other is under way goes at once. Those that are sent while others are, go
together in the next turn of the loop: a hundred coroutines that send cost one call of the script, not a hundred.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.broker.announcing import announce
from taskmesh.client.async_wait import ear_of
from taskmesh.client.known import compare
from taskmesh.client.options import SendOptions
from taskmesh.client.result import AsyncResult
from taskmesh.client.sender import ACCEPTED, ROUTING_RUN
from taskmesh.core.steps import NoAnswer
from taskmesh.errors import SendUnknown, TaskMeshError
from taskmesh.queue.enqueue import NewMessage, Sent, answer_to, enqueue, enqueue_one

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.client.task import Task

R = TypeVar("R")

#: Bytes of a record over which a message goes alone, so that small ones need not wait for it.
TOGETHER_BYTES_MAX = 16 * 1024


async def send_async(
    task: Task[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: SendOptions,
    task_id: str | None,
) -> AsyncResult[R]:
    """Send one message; returns when it is recorded.

    When this is cancelled the message may be recorded or not.

    Raises:
        QueueFull, SendRejected: It is certainly not recorded.
        SendUnknown: It may be.
        NotPicklable, PayloadTooLarge, InvalidTaskId: It cannot be sent.
    """
    mesh = task.mesh
    if mesh.spans is not None and not options.in_span:
        with mesh.spans.sending(task.name, options) as sending:
            sent_handle = await send_async(task, args, kwargs, sending.options, task_id)
            sending.sent(sent_handle.id)
            return sent_handle
    portal = mesh.portal
    if mesh.eager:
        from taskmesh.client.eager import run_eagerly_async

        return await run_eagerly_async(task, args, kwargs, options, task_id)
    if portal.link.meta is None:
        await portal.open_to_send_async()
    sender = portal.sender
    function, functions = "", None
    if task.by_value:
        _, function, blob = sender.pack_function(task.cargo)
        functions = {function.encode(): blob}
    outbox = outbox_of(portal)
    message = sender.build(
        task.name,
        args,
        kwargs,
        options,
        task_id=task_id,
        routing=outbox.routing(),
        function=function,
        main=task.main,
        target=task.run,
    )
    ear = ear_of(portal)
    handle: AsyncResult[R] = AsyncResult(
        portal, message.task_id.decode(), task.name, round_=ear.round, sent_here=True
    )
    ear.expect(handle)
    batch = sender.open_batch
    if batch is not None:
        batch.add(message, functions or {}, handle)
    elif task_id is not None or message.keys is not None:
        # alone, since its id may be among those that go together, or another message may stand for it
        sent = await outbox.send_alone(message, functions)
        if sent is not None and sender.note_sent(handle, sent):
            await portal.link.async_driver.run(compare(portal.link, handle), within_s=sender.send_timeout_s)
    else:
        await outbox.send(message, functions)
    return handle


def outbox_of(portal: Portal) -> Outbox:
    """Return the outbox of the running loop."""
    loop = asyncio.get_running_loop()
    outbox = portal.outboxes.get(loop)
    if outbox is None:
        outbox = portal.outboxes[loop] = Outbox(portal)
    return outbox


class Outbox:
    """Sends for all coroutines of one event loop. Belongs to that loop's thread."""

    def __init__(self, portal: Portal) -> None:
        """Make an empty one."""
        self._portal = portal
        self._under_way = 0
        self._together: list[tuple[NewMessage, asyncio.Future[None]]] = []
        self._functions: dict[bytes, bytes] = {}
        self._routing: int | None = None
        self._work: set[asyncio.Task[None]] = set()

    def routing(self) -> int | None:
        """Return what the next message should be routed by: the same for neighbours that go together."""
        if not self._under_way:
            return None
        if self._routing is None or len(self._together) % ROUTING_RUN == 0:
            self._routing = self._portal.sender.new_routing()
        return self._routing

    async def send(self, message: NewMessage, functions: dict[bytes, bytes] | None) -> None:
        """Send one message: alone if no other is under way, else with those that come in this turn of the loop.

        Args:
            message: The message.
            functions: What it needs, by content hash.
        """
        if not self._under_way or len(message.record) > TOGETHER_BYTES_MAX:
            sent = await self.send_alone(message, functions)
            if sent is not None and not sent.accepted:
                raise self._portal.sender.refusal(sent, message.task_id.decode())
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if not self._together:
            loop.call_soon(self._flush)
        self._together.append((message, future))
        if functions:
            self._functions.update(functions)
        await future

    async def send_alone(self, message: NewMessage, functions: dict[bytes, bytes] | None) -> Sent | None:
        """Send one message, and return what became of it; None if it was plainly accepted."""
        self._under_way += 1
        try:
            link, sender = self._portal.link, self._portal.sender
            began_s = time.monotonic()
            reply = await link.async_driver.run(
                enqueue_one(link.session, message), within_s=sender.send_timeout_s
            )
            broker = sender.broker
            if reply == ACCEPTED:
                if broker is not None:
                    announce(broker, (message,))
                return None
            if type(reply) is bytes:
                sent = answer_to(message, reply)
                if broker is not None:
                    announce(broker, (message,), sent)
                return sent
            left_s = max(0.0, sender.send_timeout_s - (time.monotonic() - began_s))
            sent = await link.async_driver.run(
                enqueue(
                    link.session,
                    [message],
                    functions,
                    patience_s=left_s,
                    sent_before=type(reply) is NoAnswer,
                ),
                within_s=left_s,
            )
            if broker is not None:
                announce(broker, (message,), sent)
        finally:
            self._under_way -= 1
        return sent

    def _flush(self) -> None:
        together, self._together = self._together, []
        functions, self._functions = self._functions, {}
        # what was cancelled before it went is not sent
        together = [(message, future) for message, future in together if not future.done()]
        if not together:
            return
        self._under_way += 1
        task = asyncio.get_running_loop().create_task(
            self._send_together(together, functions), name=f"taskmesh {self._portal.link.mesh}: send"
        )
        self._work.add(task)
        task.add_done_callback(lambda task: self._flushed(task, together))

    def _flushed(
        self, task: asyncio.Task[None], together: list[tuple[NewMessage, asyncio.Future[None]]]
    ) -> None:
        self._work.discard(task)
        self._under_way -= 1
        for message, future in together:
            # by somebody who cancels every task, perhaps before its first step
            if not future.done():
                task_id = message.task_id.decode()
                reason = f"message {task_id} may or may not be recorded: the task that sent it was ended"
                future.set_exception(SendUnknown(reason, task_id=task_id))

    async def _send_together(
        self, together: list[tuple[NewMessage, asyncio.Future[None]]], functions: dict[bytes, bytes]
    ) -> None:
        link, sender = self._portal.link, self._portal.sender
        try:
            sent = await link.async_driver.run(
                enqueue(
                    link.session,
                    [message for message, _ in together],
                    functions,
                    patience_s=sender.send_timeout_s,
                ),
                within_s=sender.send_timeout_s,
            )
        except TaskMeshError as error:
            for _, future in together:
                if not future.done():
                    future.set_exception(error)
            return
        if sender.broker is not None:
            announce(sender.broker, (message for message, _ in together), sent)
        failed = sent.rejected.keys() | sent.unknown.keys()
        for message, future in together:
            if future.done():
                continue
            if failed and (task_id := message.task_id.decode()) in failed:
                future.set_exception(sender.refusal(sent, task_id))
            else:
                future.set_result(None)

"""Turns calls into messages and sends them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from taskmesh.broker.announcing import announce
from taskmesh.client.batch import Batch, batch_of
from taskmesh.client.keys import call_keys
from taskmesh.client.kind import Kind
from taskmesh.client.known import Unsure, compare
from taskmesh.client.options import SendOptions
from taskmesh.codec.functions import encode_function, function_name, seal_function
from taskmesh.core.ids import check_task_id, created_ms_of, make_id, make_ids, routing_of, slot_of
from taskmesh.core.steps import NoAnswer
from taskmesh.errors import IdempotencyConflict, QueueFull, SendRejected, SendUnknown
from taskmesh.queue.enqueue import NewMessage, Sent, answer_to, enqueue, enqueue_one

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.client.result import AsyncResult
    from taskmesh.nodes.link import Link

#: The node's answer to a message that is new to it.
ACCEPTED = b"a"
#: Messages built and sent in one go of a long `map`, so that memory stays flat.
SLICE = 2000
#: Neighbours of one bulk send that share a routing: fewer commands on the node, and still spread evenly.
ROUTING_RUN = 250
#: Kinds of messages that are kept prepared.
KINDS_MAX = 1000


class _Randomness:
    """Random bytes in large draws: one system call serves some hundreds of ids."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0
        self._pid = 0

    def take(self) -> bytes:
        """Return 10 bytes."""
        at = self._at
        if at + 10 > len(self._pool) or self._pid != os.getpid():
            self._pool = os.urandom(5120)
            self._pid = os.getpid()
            at = 0
        self._at = at + 10
        return self._pool[at : at + 10]


class Sender:
    """Builds and sends messages over one link.

    Attributes:
        send_timeout_s: How long a send goes on trying.
        sender_name: Who sends, for people to read.
        unsure: What may have been recorded.
        broker: Who is told which queues have work; None where the nodes wake workers themselves.
    """

    def __init__(
        self,
        link: Link,
        *,
        max_message_size: int,
        compress_over: int,
        send_timeout_s: float,
        sender_name: str,
        broker: Broker | None = None,
    ) -> None:
        """Prepare.

        Args:
            link: The process's link.
            max_message_size: Bytes of arguments.
            compress_over: Bytes over which arguments are compressed.
            send_timeout_s: How long a send goes on trying.
            sender_name: Who sends, for people to read.
            broker: Who is told which queues have work.
        """
        self.broker = broker
        self._link = link
        self._max_message_size = max_message_size
        self._compress_over = compress_over
        self.send_timeout_s = send_timeout_s
        self.sender_name = sender_name
        self.unsure = Unsure()
        self._random = threading.local()
        self._kinds: dict[tuple[str, str, bool, bool, int, int, bytes, str, str], Kind] = {}

    # -- building -----------------------------------------------------------------

    def _take_random(self) -> bytes:
        try:
            pool = self._random.pool
        except AttributeError:
            pool = self._random.pool = _Randomness()
        taken: bytes = pool.take()
        return taken

    def kind(self, name: str, options: SendOptions, *, function: str = "", main: str = "") -> Kind:
        """Return what builds messages of one kind.

        Args:
            name: Name of the task.
            options: How they are sent.
            function: Content hash of a function that is sent by value.
            main: What workers call the main script, if the task stands in there.
        """
        link = self._link
        # the channel is another one after a fork
        what = (
            name,
            options.queue,
            options.ignore_result,
            options.at_most_once,
            options.result_ttl_s,
            options.priority,
            link.channel,
            function,
            main,
        )
        plain = options.headers is None and options.extras is None and not options.is_timed
        kind = self._kinds.get(what) if plain else None
        if kind is None:
            kind = Kind(
                name,
                options,
                function=function,
                main=main,
                channel=link.channel,
                sender=self.sender_name,
                signer=link.messages,
                max_size=self._max_message_size,
                compress_over=self._compress_over,
            )
            if plain:
                if len(self._kinds) > KINDS_MAX:
                    self._kinds.clear()
                self._kinds[what] = kind
        return kind

    def build(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: SendOptions,
        *,
        task_id: str | None = None,
        routing: int | None = None,
        function: str = "",
        main: str = "",
        target: Callable[..., Any] | None = None,
    ) -> NewMessage:
        """Make a message.

        Args:
            name: Name of the task.
            args: Positional arguments.
            kwargs: Keyword arguments.
            options: How it is sent.
            task_id: Its id; made if None.
            routing: For a made id; drawn if None.
            function: Content hash of a function that is sent by value.
            main: What workers call the main script, if the task stands in there.
            target: The function itself, by whose parameters keys tell arguments apart.

        Raises:
            NotPicklable, PayloadTooLarge, InvalidTaskId: The call cannot be sent.
            UsageError: Its keys cannot be.
        """
        keys = None
        if options.has_keys:
            call = call_keys(name, target, args, kwargs, options, task_id)
            keys, routing = call.wire, call.routing
            options = msgspec.structs.replace(options, extras={**(options.extras or {}), "keys": call.told})
        link = self._link
        now_ms = created_ms = link.clock.now_ms()
        if task_id is None:
            random = self._take_random()
            if routing is None:
                routing = (random[8] << 8) | random[9]
            task_id = make_id(now_ms, routing, random[:8])
        else:
            check_task_id(task_id)
            routing = routing_of(task_id)
            created_ms = created_ms_of(task_id) or now_ms
        kind = self.kind(name, options, function=function, main=main)
        slot = b"%04x" % slot_of(routing, link.session.slots)
        message = kind.message(
            task_id,
            args,
            kwargs,
            slot=slot,
            now_ms=now_ms,
            created_ms=created_ms,
            head=kind.head(slot, now_ms),
        )
        message.keys = keys
        return message

    def build_run(self, kind: Kind, calls: Sequence[Iterable[Any]]) -> list[NewMessage]:
        """Make neighbours of a bulk send: one message per tuple of positional arguments, of one routing.

        Raises:
            NotPicklable, PayloadTooLarge: A call cannot be sent.
        """
        link = self._link
        now_ms = link.clock.now_ms()
        random = os.urandom(7 * len(calls) + 3)
        routing = int.from_bytes(random[-2:], "big")
        slot = b"%04x" % slot_of(routing, link.session.slots)
        head = kind.head(slot, now_ms)
        return [
            kind.message(task_id, tuple(call), {}, slot=slot, now_ms=now_ms, created_ms=now_ms, head=head)
            for task_id, call in zip(make_ids(now_ms, routing, random[:-2]), calls, strict=True)
        ]

    def pack_function(self, function: Callable[..., Any]) -> tuple[str, str, bytes]:
        """Pickle a function by value; return its display name, its content hash and the signed blob."""
        content_hash, blob = encode_function(function, max_size=self._max_message_size)
        return function_name(function), content_hash, seal_function(blob, self._link.functions)

    # -- sending ------------------------------------------------------------------

    @property
    def open_batch(self) -> Batch | None:
        """The batch that the calling thread or coroutine is filling, if any."""
        return batch_of(self)

    def send_one(
        self,
        message: NewMessage,
        functions: dict[bytes, bytes] | None = None,
        handle: AsyncResult[Any] | None = None,
    ) -> None:
        """Send one message now, or put it into the open batch.

        Args:
            message: The message.
            functions: What it needs, by content hash.
            handle: The handle on it, which is told if the id was known before, or another message stands for it.

        Raises:
            QueueFull, SendRejected: It is certainly not recorded.
            IdempotencyConflict: Nor is this, since its key or its id was given for something else.
            SendUnknown: It may be.
        """
        batch = batch_of(self)
        if batch is not None:
            batch.add(message, functions or {}, handle)
            return
        link = self._link
        began_s = time.monotonic()
        reply = link.driver.run(enqueue_one(link.session, message), within_s=self.send_timeout_s)
        broker = self.broker
        if reply == ACCEPTED:
            if broker is not None:
                announce(broker, (message,))
            return
        if type(reply) is bytes:
            sent = answer_to(message, reply)
        else:
            left_s = max(0.0, self.send_timeout_s - (time.monotonic() - began_s))
            sent = link.run(
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
        if handle is not None:
            if self.note_sent(handle, sent):
                link.run(compare(link, handle), within_s=self.send_timeout_s)
        elif not sent.accepted and not sent.duplicates:
            raise self.refusal(sent, message.task_id.decode())

    def note_sent(self, handle: AsyncResult[Any], sent: Sent) -> bool:
        """Tell a handle what became of its message, and tell whether its id had been given before: then `compare`.

        Raises:
            SendError: It was not accepted.
        """
        if handle.id in sent.duplicates:
            handle.stand_for(sent.duplicates[handle.id])
        elif not sent.accepted:
            raise self.refusal(sent, handle.id)
        elif sent.known:
            # another process may have sent it, and will hear of its outcome in our place
            handle.round = 0
            return self.unsure.was_given(sent, handle.id)
        return False

    def deliver(
        self,
        messages: Sequence[NewMessage],
        functions: dict[bytes, bytes] | None = None,
        *,
        sent_before: bool = False,
    ) -> Sent:
        """Send messages in few round trips, and return what became of each.

        Args:
            messages: Any number.
            functions: What they need, by content hash.
            sent_before: An earlier try may have recorded them.
        """
        link = self._link
        sent = link.run(
            enqueue(
                link.session, messages, functions, patience_s=self.send_timeout_s, sent_before=sent_before
            ),
            within_s=self.send_timeout_s,
        )
        if self.broker is not None:
            announce(self.broker, messages, sent)
        return sent

    def new_id(self, routing: int | None = None) -> str:
        """Make an id of a routing, drawn if None."""
        random = self._take_random()
        if routing is None:
            routing = (random[8] << 8) | random[9]
        return make_id(self._link.clock.now_ms(), routing, random[:8])

    def new_routing(self) -> int:
        """Draw a routing."""
        random = self._take_random()
        return (random[8] << 8) | random[9]

    def refusal(self, sent: Sent, task_id: str) -> SendRejected | SendUnknown:
        """Return the error that says why a message was not accepted."""
        if task_id in sent.unknown:
            self.unsure.add(task_id)
            return SendUnknown(
                f"message {task_id} may or may not be recorded: {sent.unknown[task_id]}; send it again with "
                f"task_id={task_id!r} to be sure",
                task_id=task_id,
            )
        reason = sent.rejected[task_id]
        if task_id in sent.conflicts:
            first, task = sent.conflicts[task_id]
            return IdempotencyConflict(
                f"message {task_id} was not recorded: {reason}. A key may be repeated with the same task and arguments "
                "only; use another one for this call",
                task_id=task_id,
                first_id=first,
                first_task=task,
            )
        if sent.full:
            return QueueFull(
                f"message {task_id} was not recorded: the node's memory is full ({reason}); wait for workers to catch "
                "up, or raise maxmemory",
                task_id=task_id,
            )
        return SendRejected(f"message {task_id} was not recorded: {reason}", task_id=task_id)


def slices(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    """Yield lists of at most `size` items."""
    part: list[Any] = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part

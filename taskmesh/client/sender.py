"""Turns calls into messages and sends them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskmesh.client.batch import Batch, batch_of
from taskmesh.codec.envelope import Envelope, encode_envelope
from taskmesh.codec.functions import encode_function, function_name, seal_function
from taskmesh.codec.pickling import encode_call
from taskmesh.config.values import queue_name
from taskmesh.core import record
from taskmesh.core.ids import check_task_id, created_ms_of, make_id, routing_of, slot_of
from taskmesh.core.state import LETTER, State
from taskmesh.core.steps import NoAnswer
from taskmesh.errors import PayloadTooLarge, QueueFull, SendRejected, SendUnknown, UsageError
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue, enqueue_one

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.nodes.link import Link

PENDING = LETTER[State.PENDING]
#: The node's answer to a message whose id it knows.
KNOWN = b"k"
#: Messages built and sent in one go of a long `map`, so that memory stays flat.
SLICE = 2000
#: Neighbours of one bulk send that share a routing: fewer commands on the node, and still spread evenly.
ROUTING_RUN = 250
DEFAULT_PRIORITY = 4


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How messages of one kind are sent.

    Attributes:
        queue: Name of the queue.
        ignore_result: Keep the state of the outcome only.
        result_ttl_s: How long the outcome is kept.
        headers: The user's own facts.
        extras: TaskMesh's own facts.
    """

    queue: str
    ignore_result: bool
    result_ttl_s: int
    headers: dict[str, Any] | None = None
    extras: dict[str, Any] | None = None


def check_queue(queue: object) -> str:
    """Return the name of a queue, or raise `UsageError`."""
    try:
        return queue_name(queue)
    except ValueError as error:
        raise UsageError(f"queue {queue!r}: {error}") from None


def unsendable_headers(headers: dict[str, Any] | None, error: Exception) -> UsageError:
    """Return the error for headers that cannot be encoded."""
    return UsageError(
        f"headers {headers!r} cannot be sent ({error}); use dicts, lists, texts, numbers, bytes, None"
    )


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
    """

    def __init__(
        self,
        link: Link,
        *,
        max_message_size: int,
        compress_over: int,
        send_timeout_s: float,
        sender_name: str,
    ) -> None:
        """Prepare.

        Args:
            link: The process's link.
            max_message_size: Bytes of arguments.
            compress_over: Bytes over which arguments are compressed.
            send_timeout_s: How long a send goes on trying.
            sender_name: Who sends, for people to read.
        """
        self._link = link
        self._max_message_size = max_message_size
        self._compress_over = compress_over
        self.send_timeout_s = send_timeout_s
        self.sender_name = sender_name
        self._random = threading.local()
        self._heads: dict[tuple[str, bool, int, bytes, bytes], tuple[bytes, bytes, bytes, bytes]] = {}

    # -- building -----------------------------------------------------------------

    def _take_random(self) -> bytes:
        try:
            pool = self._random.pool
        except AttributeError:
            pool = self._random.pool = _Randomness()
        taken: bytes = pool.take()
        return taken

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

        Raises:
            NotPicklable, PayloadTooLarge, InvalidTaskId: The call cannot be sent.
        """
        link = self._link
        encoding, body, clear_size = encode_call(
            args, kwargs, max_size=self._max_message_size, compress_over=self._compress_over, main=main
        )
        now_ms = link.clock.now_ms()
        if task_id is None:
            random = self._take_random()
            if routing is None:
                routing = (random[8] << 8) | random[9]
            task_id = make_id(now_ms, routing, random[:8])
            created_ms = now_ms
        else:
            check_task_id(task_id)
            routing = routing_of(task_id)
            created_ms = created_ms_of(task_id) or now_ms
        channel = link.channel
        try:
            envelope = encode_envelope(
                Envelope(
                    task_id,
                    name,
                    body,
                    encoding,
                    function,
                    options.queue,
                    options.headers,
                    now_ms,
                    0,
                    options.result_ttl_s,
                    options.ignore_result,
                    channel.decode(),
                    self.sender_name,
                    options.extras,
                    clear_size,
                ),
                link.messages,
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise unsendable_headers(options.headers, error) from error
        if len(envelope) > self._max_message_size + 65536:
            raise PayloadTooLarge(
                f"the message of task {name} has {len(envelope)} bytes with its headers; max_message_size is "
                f"{self._max_message_size}",
                size=len(envelope),
                limit=self._max_message_size,
            )
        what = (options.queue, options.ignore_result, options.result_ttl_s, channel, function.encode())
        parts = self._heads.get(what)
        if parts is None:
            if len(self._heads) > 1000:
                self._heads.clear()
            parts = self._heads[what] = record.head_parts(
                state=PENDING,
                queue=options.queue.encode(),
                channel=channel,
                function=function.encode(),
                priority=DEFAULT_PRIORITY,
                flags=record.IGNORE_RESULT if options.ignore_result else 0,
                result_ttl_s=options.result_ttl_s,
            )
        start, middle, end, names = parts
        slot = b"%04x" % slot_of(routing, link.session.slots)
        return NewMessage(
            task_id.encode(),
            b"%b%b%b%012x%012x%b%b%b" % (start, slot, middle, now_ms, 0, end, names, envelope),
            slot,
            options.queue.encode(),
            created_ms,
            function=function.encode(),
        )

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
            handle: The handle on it, which is told if the id was known before: another process may have sent it,
                and will hear of its outcome in our place.

        Raises:
            QueueFull, SendRejected: It is certainly not recorded.
            SendUnknown: It may be.
        """
        batch = batch_of(self)
        if batch is not None:
            batch.add(message, functions or {}, handle)
            return
        link = self._link
        reply = link.driver.run(enqueue_one(link.session, message))
        if type(reply) is bytes:
            if reply == KNOWN and handle is not None:
                handle.round = 0
            return
        sent = link.run(
            enqueue(
                link.session,
                [message],
                functions,
                patience_s=self.send_timeout_s,
                sent_before=type(reply) is NoAnswer,
            )
        )
        if not sent.accepted:
            raise self.refusal(sent, message.task_id.decode())
        if sent.known and handle is not None:
            handle.round = 0

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
        return link.run(
            enqueue(
                link.session, messages, functions, patience_s=self.send_timeout_s, sent_before=sent_before
            )
        )

    def new_id(self) -> str:
        """Make an id."""
        random = self._take_random()
        return make_id(self._link.clock.now_ms(), (random[8] << 8) | random[9], random[:8])

    def new_routing(self) -> int:
        """Draw a routing."""
        random = self._take_random()
        return (random[8] << 8) | random[9]

    def refusal(self, sent: Sent, task_id: str) -> SendRejected | SendUnknown:
        """Return the error that says why a message was not accepted."""
        if task_id in sent.unknown:
            return SendUnknown(
                f"message {task_id} may or may not be recorded: {sent.unknown[task_id]}; send it again with "
                f"task_id={task_id!r} to be sure",
                task_id=task_id,
            )
        reason = sent.rejected[task_id]
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

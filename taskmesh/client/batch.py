"""Batches: messages that are collected and sent together."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from taskmesh.errors import BatchError, UsageError
from taskmesh.queue.enqueue import NewMessage, Sent

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.client.sender import Sender

# A context variable, and not one of the thread: coroutines of one thread take turns.
_OPEN: ContextVar[tuple[Batch, ...]] = ContextVar("taskmesh_open_batches", default=())


class Batch:
    """Messages that are sent together: what `with mesh.batch():` gives, and what `BatchError` carries.

    After a `BatchError` it holds what was not accepted, and `send()` sends that again as it stands.

    Attributes:
        title: What users know it by.
        a_this: The same in words.
        or_else: How it can be sent again, for an error that says that it was not.
    """

    title = "mesh.batch()"
    a_this = "a batch"
    or_else = ", or after `batch.send()`"

    def __init__(self, sender: Sender) -> None:
        """Make an empty batch."""
        self.sender = sender
        self.is_open = False
        self._messages: dict[bytes, NewMessage] = {}
        self._functions: dict[bytes, bytes] = {}
        self._handles: dict[bytes, tuple[weakref.ref[AsyncResult[Any]], int]] = {}
        # of these, the ones that an earlier try may have recorded
        self._maybe: set[bytes] = set()

    def __len__(self) -> int:
        """How many messages wait to be sent, or to be sent again."""
        return len(self._messages)

    def add(
        self, message: NewMessage, functions: dict[bytes, bytes], handle: AsyncResult[Any] | None = None
    ) -> None:
        """Add a message. One with an id that is in here already changes nothing, as with a node."""
        self._messages.setdefault(message.task_id, message)
        self._functions.update(functions)
        if handle is not None:
            self._handles[message.task_id] = weakref.ref(handle), handle.round
            handle.batch = self
            # no notice will come before it is sent: who waits for it meanwhile shall look, and be told
            handle.round = 0

    def holds(self, task_id: str) -> bool:
        """Tell whether a message stands in here, not accepted yet."""
        return task_id.encode() in self._messages

    def send(self) -> None:
        """Send what has not been accepted yet.

        Raises:
            BatchError: Some were not accepted; the batch then holds those.
        """
        count = len(self._messages)
        total = Sent()
        fresh = [message for message in self._messages.values() if message.task_id not in self._maybe]
        again = [message for message in self._messages.values() if message.task_id in self._maybe]
        for messages, sent_before in ((fresh, False), (again, True)):
            if messages:
                # what is under way stays in here until it is known to be accepted, whatever interrupts it
                self._maybe.update(message.task_id for message in messages)
                sent = self.sender.deliver(messages, self._functions, sent_before=sent_before)
                self.hold(messages, {}, sent)
                total.accepted += sent.accepted
                total.rejected.update(sent.rejected)
                total.unknown.update(sent.unknown)
        if self._messages:
            raise self.error(count, total.accepted, total)
        self._functions = {}

    def hold(self, messages: Sequence[NewMessage], functions: dict[bytes, bytes], sent: Sent) -> None:
        """Hold what was not accepted, and let go of what was."""
        failed = sent.rejected.keys() | sent.unknown.keys()
        known = set(sent.known)
        for message in messages:
            task_id = message.task_id.decode()
            if task_id in failed:
                self._messages[message.task_id] = message
            else:
                self._messages.pop(message.task_id, None)
                handle = self._accepted(
                    message.task_id, known=task_id in known, first=sent.duplicates.get(task_id)
                )
                if handle is not None and self.sender.unsure.was_given(sent, task_id):
                    handle.duplicate = True
                    handle.task = ""  # it may be of another one
            if task_id in sent.unknown:
                self._maybe.add(message.task_id)
            else:
                self._maybe.discard(message.task_id)
        if failed:
            self._functions.update(functions)

    def _accepted(self, task_id: bytes, *, known: bool, first: str | None) -> AsyncResult[Any] | None:
        ref, round_ = self._handles.pop(task_id, (None, 0))
        handle = ref() if ref is not None else None
        if handle is not None:
            handle.batch = None
            if first is not None:
                handle.stand_for(first)
            elif not known and not handle.is_settled():
                # listening has gone on since it was made, or this is not the round any more
                handle.round = round_
        return handle

    def error(self, count: int, accepted: list[str], failed: Sent) -> BatchError:
        """Return the error that says which of `count` messages were not accepted."""
        reason = next(iter([*failed.rejected.values(), *failed.unknown.values()]))
        return BatchError(
            f"of {count} messages {len(accepted)} were accepted, {len(failed.rejected)} rejected, "
            f"{len(failed.unknown)} may or may not be recorded (first reason: {reason}); call `.batch.send()` of "
            "this error to send the others again",
            accepted=accepted,
            rejected=failed.rejected,
            unknown=list(failed.unknown),
            batch=self,
        )

    # -- collecting ---------------------------------------------------------------

    def open(self) -> None:
        """Collect what the calling thread or coroutine sends from now on."""
        outer = batch_of(self.sender)
        if outer is not None:
            raise UsageError(
                f"{self.title} inside {outer.title}: the outer one already collects what is sent here"
            )
        self.is_open = True
        _OPEN.set((*_OPEN.get(), self))

    def close(self) -> None:
        """Collect no more."""
        # Said on the batch itself, too: a task that an event loop started inside the block has its own copy of
        # the context, and what it sends later must not go where nobody sends it.
        self.is_open = False
        _OPEN.set(tuple(batch for batch in _OPEN.get() if batch is not self))


@contextmanager
def outside_batches() -> Iterator[None]:
    """Have what is sent inside the block go at once."""
    before = _OPEN.get()
    _OPEN.set(())
    try:
        yield
    finally:
        _OPEN.set(before)


def batch_of(sender: Sender) -> Batch | None:
    """Return the open batch of a mesh in this context, if any."""
    for batch in _OPEN.get():
        if batch.sender is sender and batch.is_open:
            return batch
    return None

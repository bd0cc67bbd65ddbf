"""What all handles of one mesh in one process share: the link, the sender, the inbox."""

from __future__ import annotations

import logging
import os
import socket
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.client.inbox import Inbox
from taskmesh.client.inline import Inline
from taskmesh.client.result import LOCAL, AsyncResult
from taskmesh.client.sender import Sender
from taskmesh.client.unserved import STATES as WAITING
from taskmesh.client.unserved import parked_among, tell_who_serves
from taskmesh.config import Settings
from taskmesh.core.ids import check_task_id
from taskmesh.core.record import Record
from taskmesh.core.waiting import is_own_queue
from taskmesh.errors import NodeUnavailable, SendRejected, TaskMeshError
from taskmesh.results.read import forget, read

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Coroutine

    from taskmesh.broker.contract import Broker
    from taskmesh.client.async_send import Outbox
    from taskmesh.client.ear import Ear
    from taskmesh.codec.telling import Telling
    from taskmesh.core.steps import Steps
    from taskmesh.nodes.link import Link

R = TypeVar("R")
log = logging.getLogger("taskmesh")
#: How long a look at who serves a queue may take: it is a courtesy, and its caller's time may be short.
WHO_SERVES_S = 1.0
_portals: weakref.WeakSet[Portal] = weakref.WeakSet()


class Portal:
    """What all handles of one mesh in one process share."""

    def __init__(
        self,
        link: Link,
        settings: Settings,
        *,
        worker_command: Callable[[str], str],
        broker: Broker | None = None,
    ) -> None:
        """Prepare; connects when first used.

        Args:
            link: The process's link.
            settings: Of the mesh.
            worker_command: Returns the command that starts a worker for a queue, shown to a caller whose queue nobody
                serves.
            broker: Who is told which queues have work.
        """
        self.link = link
        self.settings = settings
        self.client_name = _client_name()
        self.worker_command = worker_command
        self._warned: set[str] = set()
        self.sender = Sender(
            link,
            max_message_size=settings.max_message_size,
            compress_over=settings.compress_over,
            send_timeout_s=settings.send_timeout,
            sender_name=self.client_name,
            broker=broker,
        )
        self.inbox = Inbox(link, self._nobody_serves, self._task_waits)
        self.inline = Inline()
        self._prepare_loops()
        _portals.add(self)

    def find(self, task_id: str, *, inline: bool) -> AsyncResult[Any]:
        """Return a handle on any message.

        Args:
            task_id: Its id.
            inline: Whether the mesh runs tasks inline, so that no node knows of it.
        """
        handle: AsyncResult[Any] = AsyncResult(self, check_task_id(task_id))
        if inline:
            handle.round = LOCAL
            outcome = self.inline.find(task_id)
            if outcome is None:
                handle.set_missing(expired=False)
            else:
                handle.set_outcome(outcome)
        return handle

    def refresh(self, handles: Sequence[AsyncResult[Any]]) -> None:
        """Read the records of many handles in few round trips."""
        self.inbox.look(handles)

    def forget(self, handles: Sequence[AsyncResult[Any]]) -> None:
        """Have the outcomes of many handles dropped, as far as they have ended."""
        for handle in handles:
            if handle.round == LOCAL:
                self.inline.forget(handle)
        there = [handle for handle in handles if handle.round != LOCAL]
        if there:
            session, ids = self.link.session, [handle.id for handle in there]
            self.link.ask(lambda left_s: forget(session, ids, patience_s=left_s))
            for handle in there:
                handle.outcome = None
                handle.missing = False
            self.inbox.look(there)

    def put_aside(self, task_id: str, within_s: float) -> str:
        """Return that no worker could take a message, if that is why it waits; empty otherwise, or if nobody says."""
        try:
            parked = self.link.run(parked_among(self.link.session, [task_id]), within_s=within_s)
        except NodeUnavailable:
            return ""  # the caller is told of the timeout all the same
        if not parked:
            return ""
        return "no worker that took it knows its task: start one of the app that has it, on that queue"

    def crashes(self, task_id: str) -> int:
        """Return how often the process of a message died; 0 if nothing is known of it any more.

        Raises:
            Malformed: Its record was changed by others.
        """
        session = self.link.session
        (found,) = self.link.ask(lambda left_s: read(session, [task_id], patience_s=left_s))
        if isinstance(found, TaskMeshError):
            raise found
        return found.crashes if found is not None else 0

    def telling(self, task_id: str) -> Telling | None:
        """Return what a message that runs tells of itself; None if it does not run, or tells nothing.

        Raises:
            TrustError: What stands there must not be used.
        """
        from taskmesh.results.tellings import tellings

        link = self.link
        (found,) = link.ask(lambda left_s: tellings(link.session, [task_id], patience_s=left_s))
        return self.open_telling(task_id, found)

    def open_telling(self, task_id: str, found: tuple[str, bytes] | None) -> Telling | None:
        """Verify and return what was read of a message: the token of its run, and what it tells.

        Raises:
            TrustError: It must not be used.
        """
        from taskmesh.codec.telling import decode_telling

        if found is None:
            return None
        token, wire = found
        return decode_telling(wire, self.link.tellings, expect_id=task_id, expect_token=token)

    def open_to_send(self) -> None:
        """Join the mesh before a first send.

        Raises:
            SendRejected: The node cannot be reached: nothing was sent.
        """
        try:
            self.link.reach()
        except NodeUnavailable as error:
            raise not_sent(error) from error

    async def open_to_send_async(self) -> None:
        """As `open_to_send`, in an event loop."""
        try:
            await self.link.reach_async()
        except NodeUnavailable as error:
            raise not_sent(error) from error

    def revoke(
        self,
        handles: Sequence[AsyncResult[Any]],
        *,
        terminate: bool = False,
        signal: str = "TERM",
        patience_s: float | None = None,
    ) -> list[bool | None]:
        """Revoke many messages; for each, tell whether it is revoked, None if nothing is known of it.

        Args:
            handles: On the messages.
            terminate: Whether to end those that run.
            signal: By which their processes are told.
            patience_s: How long that may take; None for `send_timeout`.
        """
        verdicts: dict[str, bool | None] = {}
        waiting: list[str] = []
        for handle in handles:
            if handle.outcome is not None or handle.round == LOCAL:
                verdicts[handle.id] = handle.outcome is not None and handle.outcome.state == "REVOKED"
            else:
                waiting.append(handle.id)
        if waiting:
            from taskmesh.client.revoking import UNKNOWN, revoke_all

            letters = revoke_all(self, waiting, terminate=terminate, signal=signal, patience_s=patience_s)
            for task_id, letter in letters.items():
                verdicts[task_id] = None if letter == UNKNOWN else letter in "oV"
        return [verdicts[handle.id] for handle in handles]

    def wait_async(self, handle: AsyncResult[R]) -> Coroutine[Any, Any, R]:
        """Wait for a handle in the running event loop."""
        from taskmesh.client.async_wait import wait_async

        return wait_async(self, handle)

    def _nobody_serves(self, handles: Sequence[AsyncResult[Any]]) -> None:
        waiting = [handle.id for handle in handles if handle.last_state in WAITING]
        if waiting:
            self.link.run(self.look_who_serves(waiting), within_s=WHO_SERVES_S)

    def _task_waits(self, waiting: str, handle: AsyncResult[Any]) -> None:
        self.link.run(self.look_who_waits(waiting, handle), within_s=WHO_SERVES_S)

    def look_who_serves(self, task_ids: Sequence[str]) -> Steps[None]:
        """Tell a waiting caller, once per queue, why nothing becomes of what it waits for, if that can be seen.

        Args:
            task_ids: Messages that are waited for.
        """
        return tell_who_serves(self.link.session, self.link.mesh, task_ids, self._warned, self.worker_command)

    def look_who_waits(self, waiting: str, handle: AsyncResult[Any]) -> Steps[None]:
        """Warn of a task that waits for what stands in a queue of its own worker.

        Args:
            waiting: Name of the task that is about to wait.
            handle: What it waits for.
        """
        try:
            (record,) = yield from read(self.link.session, [handle.id], patience_s=0.5)
        except TaskMeshError as error:
            log.debug("cannot look which queue %s waits on: %s", waiting, error)
            return
        if isinstance(record, Record) and is_own_queue(record.queue):
            log.warning(
                "task %s waits for task %s, whose queue %r is served by the same worker: a process runs nothing else "
                "while its task waits, and when all of them wait, none goes on. Send %s to a queue that has workers of "
                "its own, or run %s in a pool of coroutines or threads",
                waiting,
                handle.task or handle.id,
                record.queue,
                handle.task or "it",
                waiting,
            )

    def end(self, why: str) -> None:
        """End every wait: the node is gone for good."""
        self.inbox.end(why)

    def _prepare_loops(self) -> None:
        # what hears and what sends in each event loop: theirs, and gone with them
        self.ears: weakref.WeakKeyDictionary[AbstractEventLoop, Ear] = weakref.WeakKeyDictionary()
        self.outboxes: weakref.WeakKeyDictionary[AbstractEventLoop, Outbox] = weakref.WeakKeyDictionary()

    def _forked(self) -> None:
        self._prepare_loops()
        self.client_name = self.sender.sender_name = _client_name()
        self.inbox.forked()


def _client_name() -> str:
    return f"client {socket.gethostname()}:{os.getpid()}"


def not_sent(error: NodeUnavailable) -> SendRejected:
    """Return what a caller is told whose message never left, since the mesh could not be joined."""
    return SendRejected(f"nothing was sent: {error}")


def _after_fork() -> None:
    for portal in list(_portals):
        portal._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)

"""What all handles of one mesh in one process share: the link, the sender, the inbox."""

from __future__ import annotations

import json
import logging
import os
import socket
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.client.inbox import Inbox
from taskmesh.client.sender import Sender
from taskmesh.core.state import FINAL
from taskmesh.errors import TaskMeshError
from taskmesh.queue.manage import status
from taskmesh.results.read import forget, read

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from taskmesh.client.result import AsyncResult
    from taskmesh.nodes.link import Link

R = TypeVar("R")
log = logging.getLogger("taskmesh")
_portals: weakref.WeakSet[Portal] = weakref.WeakSet()


class Portal:
    """What all handles of one mesh in one process share."""

    def __init__(
        self,
        link: Link,
        *,
        result_expires_s: float,
        max_message_size: int,
        max_result_size: int,
        compress_over: int,
        send_timeout_s: float,
        worker_command: str,
    ) -> None:
        """Prepare; connects when first used.

        Args:
            link: The process's link.
            result_expires_s: How long results are kept, for telling expiry from never sent.
            max_message_size: Bytes of arguments.
            max_result_size: Bytes of a value.
            compress_over: Bytes over which arguments are compressed.
            send_timeout_s: How long a send goes on trying.
            worker_command: Command that starts a worker, shown to a caller whose queue nobody serves.
        """
        self.link = link
        self.result_expires_s = result_expires_s
        self.max_result_size = max_result_size
        self.client_name = f"client {socket.gethostname()}:{os.getpid()}"
        self._worker_command = worker_command
        self._warned: set[str] = set()
        self.sender = Sender(
            link,
            max_message_size=max_message_size,
            compress_over=compress_over,
            send_timeout_s=send_timeout_s,
            sender_name=self.client_name,
        )
        self.inbox = Inbox(link, self._nobody_serves)
        _portals.add(self)

    def refresh(self, handles: Sequence[AsyncResult[Any]]) -> None:
        """Read the records of many handles in few round trips."""
        found = self.link.run(read(self.link.session, [handle.id for handle in handles]))
        for handle, record in zip(handles, found, strict=True):
            self.inbox.settle(handle, record)

    def forget(self, handles: Sequence[AsyncResult[Any]]) -> None:
        """Have the outcomes of many handles dropped."""
        self.link.run(forget(self.link.session, [handle.id for handle in handles]))
        for handle in handles:
            handle.outcome = None
            handle.missing = handle.expired = True

    def wait_async(self, handle: AsyncResult[R]) -> Coroutine[Any, Any, R]:
        """Wait for a handle in the running event loop."""
        from taskmesh.client.async_wait import wait_async

        return wait_async(self, handle)

    def _nobody_serves(self, task_id: str) -> None:
        """Tell a waiting caller, once per queue, that nobody serves the queue it waits on."""
        link = self.link
        try:
            (record,) = link.run(read(link.session, [task_id], patience_s=0.5))
            if record is None or record.state in FINAL or record.queue in self._warned:
                return
            counted = link.run(status(link.session))
        except TaskMeshError as error:
            log.debug("cannot look who serves the queue: %s", error)
            return
        serving: list[str] = []
        others: list[str] = []
        for incarnation, state, _, info, _ in counted.workers:
            if state != "live":
                continue
            about = json.loads(info or b"{}")
            name, queues = about.get("name", incarnation), about.get("queues", [])
            (serving if record.queue in queues else others).append(f"{name} ({', '.join(queues)})")
        if serving:
            return
        self._warned.add(record.queue)
        log.warning(
            "task %s waits in queue %r of mesh %r, and nobody serves that queue. Workers: %s. Start one with: %s -Q %s",
            task_id,
            record.queue,
            link.mesh,
            ", ".join(others) or "none",
            self._worker_command,
            record.queue,
        )

    def _forked(self) -> None:
        self.client_name = f"client {socket.gethostname()}:{os.getpid()}"
        self.inbox.forked()


def _after_fork() -> None:
    for portal in list(_portals):
        portal._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)

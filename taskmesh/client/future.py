"""The future of one call which the mesh's workers run."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.client.timeout import read_timeout
from taskmesh.core.state import State
from taskmesh.errors import TaskMeshError

if TYPE_CHECKING:
    from taskmesh.client.collector import Collector
    from taskmesh.client.result import AsyncResult

R = TypeVar("R")
log = logging.getLogger("taskmesh")

_OVER = (CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED)


class MeshFuture(Future[R]):
    """A `concurrent.futures.Future` whose call is a message of the mesh.

    Its outcome is put in by the executor's thread, in which its callbacks run, too. A callback that waits for
    another future of the same executor waits for ever, as with a `ProcessPoolExecutor`.

    Attributes:
        handle: The handle on the message; `future.handle.id` finds it from other processes.
        collector: What puts the outcome in; None if it is in.
        is_sent: Whether the message has been accepted: before that, no record of it can be expected.
    """

    def __init__(self, handle: AsyncResult[Any], collector: Collector | None = None) -> None:
        """Make a future; the executor does.

        Args:
            handle: Of the message.
            collector: Puts the outcome in; None if the handle has it.
        """
        super().__init__()
        self.handle = handle
        self.collector = collector
        self.is_sent = False
        self._is_ending = False
        self._cancel_asked = False

    # -- what callers ask ---------------------------------------------------------

    def cancel(self) -> bool:
        """Revoke the message if it still waits, and tell whether the call is cancelled.

        False if a worker has taken it, if it has ended, and if the node does not answer.
        """
        if self.collector is not None and not self.done():
            self.collector.cancel((self,))
        return self.cancelled()

    def running(self) -> bool:
        """Tell whether a worker has taken the call and has not ended it. Asks the node."""
        if self.collector is None or self.done():
            return False
        try:
            return self.handle.state == State.STARTED
        except TaskMeshError as error:
            log.debug("cannot look whether %s runs: %s", self.handle.id, error)
            return False

    def result(self, timeout: float | None = None) -> R:
        """As documented for `Future.result`."""
        self._be_waited_for()
        return super().result(read_timeout(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As documented for `Future.exception`."""
        self._be_waited_for()
        return super().exception(read_timeout(timeout))

    def _be_waited_for(self) -> None:
        if self.collector is not None and self._state == PENDING:
            self.collector.wake_in_child()

    # -- how it ends --------------------------------------------------------------

    def _begin_to_end(self) -> bool:
        """Tell whether the caller is the one to end this: once, whoever is first."""
        with self._condition:
            if self._is_ending or self._state in _OVER:
                return False
            self._is_ending = True
            return True

    def ask_to_cancel(self) -> None:
        """Note that a revocation of the message, once it is heard of, was this future's own."""
        self._cancel_asked = True

    def end_revoked(self) -> None:
        """Be cancelled: the message is revoked."""
        if self._begin_to_end():
            super().cancel()
            self.set_running_or_notify_cancel()
        else:
            with self._condition:
                # somebody else is about to end it
                self._condition.wait_for(lambda: self._state in _OVER)

    def end(self) -> None:
        """Take over the outcome of the handle, which is settled."""
        outcome = self.handle.outcome
        if self._cancel_asked and outcome is not None and outcome.state == "REVOKED":
            self.end_revoked()
            return
        if not self._begin_to_end():
            return
        try:
            value = self.handle.conclude()
        except Exception as error:  # noqa: BLE001 - the task's own, or why there is no value
            self.set_exception(error)
        else:
            self.set_result(value)

    def fail(self, error: Exception) -> None:
        """End with an error of our own: the outcome cannot be had."""
        if self._begin_to_end():
            self.set_exception(error)

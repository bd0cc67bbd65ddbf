"""Waits, in one thread, for the outcomes of an executor's futures, and puts them in.

The thread begins with the first future and ends with the executor. It is an ordinary waiter at the inbox: it may
lead or follow, and the outcomes that others hear are handed to it. Futures are ended in this thread only, and
never while it leads: their callbacks may take as long as they like.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taskmesh.errors import NodeUnavailable, TaskMeshError

if TYPE_CHECKING:
    from taskmesh.client.future import MeshFuture
    from taskmesh.client.portal import Portal
    from taskmesh.client.result import AsyncResult

log = logging.getLogger("taskmesh")

#: How long a cancellation goes on trying: callers, event loops among them, wait for it.
CANCEL_PATIENCE_S = 2.0

_collectors: weakref.WeakSet[Collector] = weakref.WeakSet()
_exiting = False


class Collector:
    """The futures of one executor that have not ended."""

    def __init__(self, portal: Portal) -> None:
        """Prepare; there is no thread before the first future.

        Args:
            portal: Where their messages are.
        """
        self.portal = portal
        self._pending: dict[AsyncResult[Any], MeshFuture[Any]] = {}
        self._settled: deque[AsyncResult[Any]] = deque()
        self._is_late = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        _collectors.add(self)

    def add(self, futures: Sequence[MeshFuture[Any]]) -> None:
        """Add futures whose messages are about to be sent; call `sent` or `discard` afterwards.

        Raises:
            RuntimeError: The executor was shut down, or the interpreter is being.
        """
        with self._changed:
            self.check_open()
            for future in futures:
                self._pending[future.handle] = future
        watchers = (self._settled.append,)
        for future in futures:
            # nobody else has the handle yet
            future.handle.watchers = watchers

    def sent(self, futures: Sequence[MeshFuture[Any]]) -> None:
        """Wait for futures whose messages have been accepted."""
        inbox = self.portal.inbox
        with self._changed:
            for future in futures:
                future.is_sent = True
            self._have_thread()
            self._changed.notify_all()
        if any(future.handle.round != inbox.round for future in futures):
            # listening began anew in between, and the thread may have caught up before these were sent
            self._is_late = True
            inbox.nudge()

    def check_open(self) -> None:
        """Raise `RuntimeError` if the executor was shut down, or the interpreter is being."""
        if _exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if self._closing:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def discard(self, futures: Sequence[MeshFuture[Any]]) -> None:
        """Take futures back: their messages were not sent."""
        with self._changed:
            for future in futures:
                self._pending.pop(future.handle, None)
            self._changed.notify_all()

    def cancel(self, futures: Sequence[MeshFuture[Any]]) -> None:
        """Revoke the messages of futures, in few round trips; those that still waited are cancelled."""
        for future in futures:
            future.ask_to_cancel()
        try:
            verdicts = self.portal.revoke([future.handle for future in futures], patience_s=CANCEL_PATIENCE_S)
        except NodeUnavailable as error:
            log.warning("%d calls could not be cancelled: %s", len(futures), error)
            return
        for future, revoked in zip(futures, verdicts, strict=True):
            if revoked:
                future.end_revoked()

    def cancel_all(self) -> None:
        """Cancel what still waits."""
        with self._changed:
            futures = list(self._pending.values())
        if futures:
            self.cancel(futures)

    def close(self) -> None:
        """Take no more futures; the thread ends with the last one."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until all futures have ended."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # -- the thread ---------------------------------------------------------------

    def _have_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name=f"taskmesh {self.portal.link.mesh}: results"
            )
            self._thread.start()

    def wake_in_child(self) -> None:
        """Have a thread, if a fork has left futures without."""
        if self._thread is None:
            with self._changed:
                if self._pending:
                    self._have_thread()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._pending and not self._closing:
                    self._changed.wait()
                if not self._pending:
                    return
            try:
                self._collect()
            except Exception as error:  # the edge of the thread: nobody may wait for ever
                if not isinstance(error, TaskMeshError):
                    log.exception("results cannot be collected")
                self._fail_all(error)

    def _collect(self) -> None:
        """Wait for outcomes until nothing is pending."""
        waiter = self.portal.inbox.follow(self._handles)
        while self._pending:
            if self._is_late:
                self._is_late = False
                waiter = self.portal.inbox.follow(self._handles)
            waiter.wait(None, self._has_news)
            self._end_settled()

    def _has_news(self) -> bool:
        return bool(self._settled) or self._is_late or not self._pending

    def _handles(self) -> list[AsyncResult[Any]]:
        with self._changed:
            return [handle for handle, future in self._pending.items() if future.is_sent]

    def _end_settled(self) -> None:
        while self._settled:
            handle = self._settled.popleft()
            # told of twice when a notice and a reading cross
            with self._changed:
                future = self._pending.pop(handle, None)
            if future is not None:
                future.end()

    def _fail_all(self, error: Exception) -> None:
        with self._changed:
            futures, self._pending = list(self._pending.values()), {}
        for future in futures:
            future.fail(error)

    def forked(self) -> None:
        """Live without the parent's thread and locks."""
        self._changed = threading.Condition()
        self._thread = None
        for future in self._pending.values():
            future._condition = threading.Condition()  # noqa: SLF001 - the parent's thread may have held it


def _forked() -> None:
    for collector in list(_collectors):
        collector.forked()


def _at_exit() -> None:
    """Wait for what was submitted, as a `ThreadPoolExecutor` does."""
    global _exiting  # noqa: PLW0603 - it is the interpreter's state
    _exiting = True
    collectors = list(_collectors)
    for collector in collectors:
        collector.close()
    for collector in collectors:
        collector.join()


os.register_at_fork(after_in_child=_forked)
# As concurrent.futures does: called before the interpreter joins the threads, of which ours would wait for ever.
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]  # noqa: SLF001

"""MeshExecutor: the mesh's workers as a `concurrent.futures.Executor`."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from taskmesh.client.batch import outside_batches
from taskmesh.client.bulk import send_all
from taskmesh.client.chunk import run_chunk
from taskmesh.client.collector import Collector
from taskmesh.client.future import MeshFuture
from taskmesh.client.task import Task, callable_task
from taskmesh.client.timeout import read_timeout
from taskmesh.errors import BatchError, NodeUnavailable, TaskMeshError, UsageError

if TYPE_CHECKING:
    from taskmesh.client.host import Host
    from taskmesh.client.options import SendOptions
    from taskmesh.client.result import AsyncResult

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("taskmesh")


class MeshExecutor(Executor):
    """Runs calls on the mesh's workers: tasks, functions, lambdas, bound methods.

    It behaves as documented for `concurrent.futures.Executor`. Futures are real ones, for `wait`,
    `as_completed` and `asyncio.wrap_future`.
    """

    def __init__(self, mesh: Host, *, queue: str | None = None) -> None:
        """Make an executor; `mesh.executor()` does.

        Args:
            mesh: Whose workers.
            queue: Where calls go; None for the queues of the tasks, and the default queue.
        """
        self._mesh = mesh
        self._queue = queue
        self._lock = threading.RLock()
        self._collector: Collector | None = None
        self._is_shut = False

    # -- one call -----------------------------------------------------------------

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Send a call, and return its future. The future of an `async def` gives what the coroutine returns.

        Raises:
            RuntimeError: The executor was shut down.
            NotPicklable, PayloadTooLarge: The call cannot be sent.
            SendRejected: It is certainly not recorded.
            SendUnknown: It may be.
        """
        task = callable_task(self._mesh, fn)
        collector = self._open_collector()
        if self._mesh.eager:
            return _ended(task.send(args, kwargs, self._options(task), None))
        futures: list[MeshFuture[Any]] = []

        def before_sent(handle: AsyncResult[Any]) -> None:
            futures.append(MeshFuture(handle, collector))
            collector.add(futures)

        try:
            with outside_batches():
                task.send(args, kwargs, self._options(task), None, before_sent)
        except BaseException:
            collector.discard(futures)
            raise
        collector.sent(futures)
        return futures[0]

    def _options(self, task: Task[..., Any]) -> SendOptions:
        return task.send_options({"queue": self._queue})

    def _open_collector(self) -> Collector:
        """Return what collects for this executor.

        Raises:
            RuntimeError: The executor was shut down.
        """
        with self._lock:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            portal = self._mesh.portal
            if self._collector is None or self._collector.portal is not portal:
                # the second time, since the mesh was closed and is used again
                self._collector = Collector(portal)
                weakref.finalize(self, self._collector.close).atexit = False
            collector = self._collector
            collector.check_open()
        if not self._mesh.eager:
            portal.open_to_send()
            try:
                # before the first message is sent: its outcome will be heard, and needs no reading
                portal.inbox.begin()
            except NodeUnavailable as error:
                log.debug("cannot listen for results yet: %s", error)
        return collector

    # -- many calls ---------------------------------------------------------------

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[R]:
        """Send a call per item of the iterables, in few round trips, and yield the values in order.

        Args:
            fn: Called with as many arguments as there are iterables.
            iterables: Read at once, unless there is a `buffersize`.
            timeout: Seconds from this call until a value must have come; None for ever.
            chunksize: How many calls travel in one message.
            buffersize: How many messages are under way at most; None for all (as in Python 3.14).

        Raises:
            TimeoutError: From the iterator: a value did not come in time. What waits is cancelled.
            Exception: From the iterator: what a call raised. What waits is cancelled.
            BatchError: From this call: some were not accepted. What was is cancelled.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        timeout = read_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        calls: Iterator[tuple[Any, ...]] = zip(*iterables, strict=False)
        task = callable_task(self._mesh, fn)
        options = self._options(task)
        if chunksize == 1:
            return self._map(task, options, calls, buffersize, deadline)
        if options.has_keys:
            raise UsageError(f"task {task.name} has a key, which holds for single calls: use chunksize=1")
        chunks = ((chunk,) for chunk in iter(lambda: tuple(itertools.islice(calls, chunksize)), ()))
        whole = Task(self._mesh, partial(run_chunk, fn), task.name, task.options, by_value=True)
        return _flattened(self._map(whole, options, chunks, buffersize, deadline))

    def _map(
        self,
        task: Task[..., Any],
        options: SendOptions,
        calls: Iterator[tuple[Any, ...]],
        buffersize: int | None,
        deadline: float | None,
    ) -> Generator[Any, None, None]:
        # sent here, and not when the first value is asked for
        futures = deque(self._send_all(task, options, itertools.islice(calls, buffersize)))
        more = weakref.WeakMethod(self._send_all) if buffersize is not None else None

        def values() -> Generator[Any, None, None]:
            try:
                while futures:
                    send = more() if more is not None else None
                    if send is not None:
                        futures.extend(send(task, options, itertools.islice(calls, 1)))
                    # popped in the call, so that nothing here holds a future that was yielded
                    yield _value_or_cancel(
                        futures.popleft(), None if deadline is None else deadline - time.monotonic()
                    )
            finally:
                _cancel_all(futures)

        return values()

    def _send_all(
        self, task: Task[..., Any], options: SendOptions, calls: Iterable[tuple[Any, ...]]
    ) -> list[MeshFuture[Any]]:
        collector = self._open_collector()
        if self._mesh.eager:
            return [_ended(task.send(call, {}, options, None)) for call in calls]
        spans = self._mesh.spans
        if spans is None:
            return self._send_to(collector, task, options, calls)
        with spans.sending(task.name, options) as sending:
            sent = self._send_to(collector, task, sending.options, calls)
            sending.sent_many(len(sent))
            return sent

    def _send_to(
        self,
        collector: Collector,
        task: Task[..., Any],
        options: SendOptions,
        calls: Iterable[tuple[Any, ...]],
    ) -> list[MeshFuture[Any]]:
        futures: list[MeshFuture[Any]] = []

        def before_sent(handles: Sequence[AsyncResult[Any]]) -> None:
            new: list[MeshFuture[Any]] = [MeshFuture(handle, collector) for handle in handles]
            futures.extend(new)
            collector.add(new)

        function = task.cargo if task.by_value else None
        try:
            with outside_batches():
                send_all(
                    self._mesh.portal,
                    task.name,
                    calls,
                    options,
                    function,
                    main=task.main,
                    target=task.run,
                    before_sent=before_sent,
                )
        except BatchError:
            try:
                _cancel_all(futures)
            except TaskMeshError as error:
                # what could not be sent is the news; what was accepted runs, and nobody reads it
                log.warning("messages of a map that failed cannot be revoked: %s", error)
            collector.discard(futures)
            raise
        except BaseException:
            collector.discard(futures)
            raise
        collector.sent(futures)
        return futures

    # -- the end ------------------------------------------------------------------

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take no more calls.

        Args:
            wait: Return only when all futures have ended.
            cancel_futures: Cancel what no worker has taken.
        """
        with self._lock:
            self._is_shut = True
            collector = self._collector
        if collector is None:
            return
        collector.close()
        if cancel_futures:
            collector.cancel_all()
        if wait:
            collector.join()


def _ended(handle: AsyncResult[Any]) -> MeshFuture[Any]:
    """Return the future of a call that was run inline."""
    future: MeshFuture[Any] = MeshFuture(handle)
    future.end()
    return future


def _flattened(chunks: Generator[list[Any], None, None]) -> Generator[Any, None, None]:
    try:
        for chunk in chunks:
            yield from chunk
    finally:
        chunks.close()


def _value_or_cancel(future: MeshFuture[Any], timeout: float | None) -> Any:
    try:
        return future.result(timeout)
    except BaseException:
        future.cancel()
        raise
    finally:
        # break the cycle with the exception, whose traceback holds this frame
        del future


def _cancel_all(futures: Iterable[MeshFuture[Any]]) -> None:
    """Cancel futures of one executor, in few round trips."""
    waiting = [future for future in futures if not future.done()]
    if waiting:
        collector = waiting[0].collector
        if collector is not None:
            collector.cancel(waiting)

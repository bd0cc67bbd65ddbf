"""Runs messages as coroutines on one event loop; plain functions in a few threads, so that they do not block it."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from taskmesh.limits.alarm import soft_limit_error
from taskmesh.queue.claim import Claimed
from taskmesh.worker.called_off import CalledOff, CallOffs, Message, message_of
from taskmesh.worker.crew import NO_THREAD_PAUSE_S, OnEnd, end_process
from taskmesh.worker.job import Job
from taskmesh.worker.limits import SharedGuard
from taskmesh.worker.loop_watch import LoopWatch
from taskmesh.worker.runner import Runner
from taskmesh.worker.verdict import NoThread

log = logging.getLogger("taskmesh.worker")

#: Plain functions that run at once in an async pool, each in a thread; more wait for one of these to end.
THREADS_MAX = 500
#: How long what tasks left on the loop may take to be cancelled when the child ends.
CLOSE_S = 2.0
#: Functions of which it is remembered whether they are `async def`.
REMEMBERED_MAX = 1000
#: Tasks that a report names where it is not certain which one it was.
NAMED_MAX = 5


class LoopCrew:
    """One event loop, in a thread of its own: the process's first one speaks with the node and heeds signals."""

    def __init__(
        self, runner: Runner, slots: int, on_end: OnEnd, guard: SharedGuard, call_offs: CallOffs
    ) -> None:
        """Prepare.

        Args:
            runner: Verifies messages and makes outcomes.
            slots: How many messages run at once at most.
            on_end: Told how each ended.
            guard: Keeps them within their time limits.
            call_offs: The runs that are called off.
        """
        self._runner = runner
        self._guard = guard
        self._on_end = on_end
        self._call_offs = call_offs
        self._slots = slots
        self._threads = ThreadPoolExecutor(min(slots, THREADS_MAX), thread_name_prefix="taskmesh")
        self._thread = threading.Thread(target=self._live, name="taskmesh-loop", daemon=True)
        self._is_open = threading.Event()
        self._closing = False
        self._is_async: dict[Callable[..., Any], bool] = {}
        self._tasks: dict[Claimed, asyncio.Task[None]] = {}
        self._jobs: dict[asyncio.Task[Any] | None, Job] = {}
        # of plain functions, what they are to their threads
        self._calls: dict[asyncio.Task[Any] | None, Future[Any]] = {}
        self._loop: asyncio.AbstractEventLoop

    def open(self) -> None:
        """See `Crew`."""
        self._thread.start()
        self._is_open.wait()

    def start(self, batch: Sequence[Claimed]) -> None:
        """See `Crew`."""
        self._loop.call_soon_threadsafe(self._start, batch)

    def reach(self, message: Message) -> None:
        """See `Crew`."""
        self._call_offs.reach_thread(message)
        self._loop.call_soon_threadsafe(self._cancel, message)

    def run_coroutine(self, coroutine: Any) -> Any:
        """See `Crew`."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """See `Crew`."""
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- on the loop --------------------------------------------------------------

    def _live(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                watch = LoopWatch(self._loop, self._who_holds)
                self._loop.call_soon(watch.start)
                self._loop.call_soon(self._is_open.set)
                while not self._closing:
                    self._run_loop()
                watch.stop()
        except BaseException as error:  # noqa: BLE001 - the edge of the thread
            end_process(error)

    def _run_loop(self) -> None:
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # raised by something that a task left on the loop: the other tasks are to go on
            log.exception("something that runs beside the tasks wanted to end the process")

    def _start(self, batch: Sequence[Claimed]) -> None:
        loop, tasks = self._loop, self._tasks
        for claimed in batch:
            tasks[claimed] = loop.create_task(self._run(claimed))

    async def _run(self, claimed: Claimed) -> None:
        try:
            letter, outcome = await self._runner.run_async(
                claimed.task_id.decode(errors="backslashreplace"),
                claimed.token.decode(),
                claimed.record,
                self._call,
            )
            if self._closing:
                return  # cancelled, since the child ends: that is no outcome
            del self._tasks[claimed]
            self._on_end(claimed, letter, outcome)
        except BaseException as error:  # noqa: BLE001 - the edge of the task: whatever its function raises is an outcome
            end_process(error)

    async def _call(self, job: Job) -> Any:
        task = asyncio.current_task()
        self._jobs[task] = job
        try:
            if self._call_offs.sender(job) is not None:
                raise CalledOff
            return await self._result_of(job)
        finally:
            del self._jobs[task]
            if self._call_offs and task is not None:
                while task.uncancel():
                    pass  # hooks are awaited yet

    def _cancel(self, message: Message) -> None:
        """Cancel what was called off: its coroutine, or its wait for a thread. Its thread has been told."""
        for task, job in self._jobs.items():
            if task is not None and message_of(job) == message:
                call = self._calls.get(task)
                if call is None:
                    task.cancel()
                else:
                    call.cancel()
                return

    def _who_holds(self) -> str:
        """Return which message holds the loop, as far as that can be told: it may be a task of its own making."""
        job = self._jobs.get(asyncio.current_task(self._loop))
        if job is not None:
            return _in_words(job)
        jobs = list(self._jobs.values())
        more = f" and {len(jobs) - NAMED_MAX} more" if len(jobs) > NAMED_MAX else ""
        return (
            f"one of {', '.join(map(_in_words, jobs[:NAMED_MAX]))}{more}" if jobs else "no task that runs now"
        )

    async def _result_of(self, job: Job) -> Any:
        function = job.function
        is_async = self._is_async.get(function)
        if is_async is None:
            if len(self._is_async) >= REMEMBERED_MAX:
                self._is_async.clear()
            is_async = self._is_async[function] = inspect.iscoroutinefunction(function)
        limits = job.limits
        if is_async:
            coroutine = function(*job.args, **job.kwargs)
            return await (coroutine if limits is None else self._guard.call_async(limits, job, coroutine))
        if limits is not None:
            self._guard.begin(limits, job)
        context = contextvars.copy_context()
        call = partial(self._call_offs.reachable(job), *job.args, **job.kwargs)
        if limits is not None and limits.soft_s:
            error = soft_limit_error(job.task_id, job.name, limits.soft_s)
            call = partial(self._guard.call_within, limits.soft_s, error, call)
        result, raised = await self._in_thread(context, call)
        if raised is not None:
            raise raised
        return await result if inspect.iscoroutine(result) else result

    async def _in_thread(
        self, context: contextvars.Context, call: Callable[[], Any]
    ) -> tuple[Any, BaseException | None]:
        task = asyncio.current_task()
        running: Future[tuple[Any, BaseException | None]] = Future()
        self._calls[task] = running
        try:
            try:
                self._threads.submit(_call_into, running, context, call)
            except RuntimeError as error:
                # it stands in line all the same, for threads that are there: it is withdrawn, or has begun
                if running.cancel():
                    await asyncio.sleep(NO_THREAD_PAUSE_S)
                    raise NoThread(str(error)) from error
            return await asyncio.wrap_future(running)
        finally:
            del self._calls[task]


def _in_words(job: Job) -> str:
    return f"task {job.task_id} ({job.envelope.task})"


def _call_into(
    running: Future[tuple[Any, BaseException | None]], context: contextvars.Context, call: Callable[[], Any]
) -> None:
    """Call a plain function in this thread, unless that was withdrawn."""
    if running.set_running_or_notify_cancel():
        running.set_result(_called(context, call))


def _called(context: contextvars.Context, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Call a plain function in this thread, and return its value or its error: a future cannot hold every error."""
    pid = os.getpid()
    try:
        return context.run(call), None
    except BaseException as error:  # noqa: BLE001 - it is raised again on the loop
        return None, error
    finally:
        if os.getpid() != pid:
            # the task forked, and this is the copy: it has no part in the worker
            os._exit(0)

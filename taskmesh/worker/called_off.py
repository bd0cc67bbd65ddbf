"""Runs that a child of many has been told to call off, and how that reaches them in threads.

Python can have an error raised in another thread, before its next step: a loop is reached, a call that blocks only when
it returns. A coroutine is cancelled on its loop instead. What goes on for all that ends with the process: `endings.py`.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from taskmesh.worker.job import Job

#: A message, by id and token.
Message = tuple[bytes, bytes]
_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class CalledOff(SystemExit):
    """Raised in a task whose run is called off: as where SIGTERM ends a process, a task may clean up, and is to end."""


def message_of(job: Job) -> Message:
    """Return which message a job is."""
    return job.task_id.encode(), job.token.encode()


class CallOffs:
    """The runs of one child that are called off. Any thread may ask; one thread, the process's first, adds.

    Who adds notes the run first and looks for its thread then; the thread says first that it has left and looks then
    whether it is noted. So one of them sees the other, and runs that nobody calls off take no lock.
    """

    def __init__(self) -> None:
        """Prepare."""
        self._senders: dict[Message, str] = {}
        self._threads: dict[Message, int] = {}
        self._tasks: dict[Message, asyncio.Task[Any]] = {}
        self._raising = threading.Lock()

    def __len__(self) -> int:
        """How many are called off and have not ended yet."""
        return len(self._senders)

    def __contains__(self, message: Message) -> bool:
        return message in self._senders

    def sender(self, job: Job) -> str | None:
        """Return who called off a run; None if nobody did."""
        return self._senders.get(message_of(job)) if self._senders else None

    def add(self, message: Message, sender: str) -> None:
        """Note that a run is called off: should it not have begun, it does not."""
        self._senders[message] = sender

    def forget(self, message: Message) -> None:
        """A run has ended."""
        self._senders.pop(message, None)
        self._threads.pop(message, None)

    def reach_thread(self, message: Message) -> None:
        """Raise in the thread that runs a message which was added, if any does."""
        with self._raising:
            thread = self._threads.get(message)
            if thread is not None:
                _raise_in(thread, ctypes.py_object(CalledOff))

    def reach_loop_of_thread(self, message: Message) -> None:
        """Cancel the coroutine of a message which was added, if one runs on a thread's own loop."""
        task = self._tasks.get(message)
        if task is not None:
            task.get_loop().call_soon_threadsafe(self._cancel, message, task)

    # -- in the thread ------------------------------------------------------------

    def reachable(self, job: Job) -> Callable[..., Any]:
        """Return a job's function in a form that can be called off while it runs in a thread."""
        return partial(self._call, message_of(job), job.function)

    def _call(self, message: Message, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self._threads[message] = threading.get_ident()
        try:
            if message in self._senders:
                raise CalledOff
            result = function(*args, **kwargs)
        finally:
            # it may be raised in this very moment; then the function has ended too late anyway
            self._leave(message)
        return self._await(message, result) if inspect.iscoroutine(result) else result

    def _leave(self, message: Message) -> None:
        self._threads.pop(message, None)
        if message in self._senders:
            with self._raising:
                # should nothing have been raised yet, nothing is to be
                _raise_in(threading.get_ident(), ctypes.py_object())

    async def _await(self, message: Message, coroutine: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a coroutine of a task runs in a task of an event loop")
        self._tasks[message] = task
        try:
            if message in self._senders:
                coroutine.close()
                raise CalledOff
            return await coroutine
        finally:
            del self._tasks[message]

    def _cancel(self, message: Message, task: asyncio.Task[Any]) -> None:
        if self._tasks.get(message) is task:
            task.cancel()

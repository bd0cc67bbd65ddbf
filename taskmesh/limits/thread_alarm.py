"""An alarm in any thread: raises in what runs there when its time is over.

Python can have an error raised in another thread, before its next step: an endless loop is reached, a call that blocks
only when it returns. One thread waits for the next alarm of all.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from taskmesh.errors import SoftTimeLimitExceeded

R = TypeVar("R")
_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _Alarm:
    """One alarm: in which thread, what to raise, and whether it is to ring at all."""

    __slots__ = ("error", "is_set", "kind", "thread")

    def __init__(self, error: SoftTimeLimitExceeded) -> None:
        self.thread = threading.get_ident()
        self.error = error
        self.kind: type[SoftTimeLimitExceeded] | None = None
        self.is_set = True

    def ring(self) -> None:
        """Raise the error in the thread; who calls has the lock."""
        self.is_set = False
        self.kind = _kind_of(self.error)
        _raise_in(self.thread, self.kind)


class ThreadAlarms:
    """The alarms of all threads of one process."""

    def __init__(self) -> None:
        """Prepare; the thread is started with the first alarm."""
        # Taken as it is wherever an alarm may ring: nothing is raised between having this lock and being in its `with`,
        # as it can be in a condition's methods, which are Python. A lock that is never given back would hold up all.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: list[tuple[float, int, _Alarm]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def call_within(self, seconds: float, error: SoftTimeLimitExceeded, function: Callable[[], R]) -> R:
        """Call a function in this thread, and raise an error in it if it takes longer.

        Raises:
            SoftTimeLimitExceeded: `error`, unless the function catches it. And whatever the function raises.
        """
        alarm = _Alarm(error)
        try:
            try:
                self._arm(seconds, alarm)
                return function()
            finally:
                # its time may come in this very moment; then the function has ended too late anyway
                self._disarm(alarm)
        except SoftTimeLimitExceeded as found:
            if type(found) is not alarm.kind:
                raise
            raise error.with_traceback(found.__traceback__) from found.__cause__

    def _arm(self, seconds: float, alarm: _Alarm) -> None:
        with self._lock:
            heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._numbers), alarm))
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="taskmesh-alarms", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _disarm(self, alarm: _Alarm) -> None:
        with self._lock:
            if not alarm.is_set:
                # it has rung; should nothing have been raised yet, nothing is to be
                _raise_in(alarm.thread, ctypes.py_object())
            alarm.is_set = False

    def _watch(self) -> None:
        with self._changed:
            while True:
                if not self._waiting:
                    self._changed.wait()
                    continue
                until_s, _, alarm = self._waiting[0]
                left_s = until_s - time.monotonic()
                if left_s > 0 and alarm.is_set:
                    self._changed.wait(left_s)
                    continue
                heapq.heappop(self._waiting)
                if alarm.is_set:
                    alarm.ring()


def _kind_of(error: SoftTimeLimitExceeded) -> type[SoftTimeLimitExceeded]:
    """Return a class of errors that says the same: only a class can be raised in another thread."""

    class Raised(SoftTimeLimitExceeded):
        def __init__(self) -> None:
            super().__init__(str(error), **error.__dict__)

    return Raised

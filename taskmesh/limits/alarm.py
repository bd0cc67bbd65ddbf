"""An alarm in the main thread: raises in what runs there when its time is over.

It is one SIGALRM of the interval timer, set for each run that has a limit and taken back at its end; between such runs
neither timer nor handler is there, so an app may use both, and alarms nest. The handler raises at most once per `arm`,
whenever the signal comes: while the alarm is being taken back, too, and then the run has ended too late anyway.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from taskmesh.errors import SoftTimeLimitExceeded

R = TypeVar("R")
#: A timer of 0 s would be none.
_AT_ONCE_S = 1e-6


class Alarm:
    """Raises `SoftTimeLimitExceeded` in the main thread."""

    __slots__ = ("_armed_s", "_before", "_error", "_is_armed", "_left_s")

    def __init__(self) -> None:
        """Prepare; `arm` sets it."""
        self._is_armed = False
        self._error: SoftTimeLimitExceeded | None = None
        self._before: Any = signal.SIG_DFL
        self._armed_s = 0.0
        self._left_s = 0.0

    @staticmethod
    def is_possible() -> bool:
        """Tell whether this thread can be reached by a signal."""
        return threading.current_thread() is threading.main_thread()

    def arm(self, seconds: float, error: SoftTimeLimitExceeded) -> None:
        """Have an error raised here after so many seconds, unless `disarm` comes first."""
        self._error = error
        self._is_armed = True
        self._armed_s = time.monotonic()
        # an outer alarm stands still before its handler is exchanged: its time may come in this very moment
        self._left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        self._before = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm(self) -> None:
        """Take the alarm back. The error may be raised by this very call, if its time has just come."""
        self._is_armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._before is not None:
            signal.signal(signal.SIGALRM, self._before)
        if self._left_s:
            left_s = self._left_s - (time.monotonic() - self._armed_s)
            signal.setitimer(signal.ITIMER_REAL, max(_AT_ONCE_S, left_s))

    def _ring(self, _signum: int, _frame: FrameType | None) -> None:
        error = self._error
        if self._is_armed and error is not None:
            self._is_armed = False
            raise error


def soft_limit_error(task_id: str, task: str, seconds: float) -> SoftTimeLimitExceeded:
    """Return what is raised in a task that runs for too long."""
    return SoftTimeLimitExceeded(
        f"task {task_id} ({task}) ran longer than its soft_time_limit of {seconds:g} s",
        task_id=task_id,
        limit_s=seconds,
    )


def call_within(alarm: Alarm, seconds: float, error: SoftTimeLimitExceeded, function: Callable[[], R]) -> R:
    """Call a function, and raise an error in it if it takes longer.

    Raises:
        SoftTimeLimitExceeded: `error`, unless the function catches it. And whatever the function raises.
    """
    alarm.arm(seconds, error)
    try:
        return function()
    finally:
        alarm.disarm()

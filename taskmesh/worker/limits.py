"""Time limits, as each kind of child keeps them.

The soft limit is an alarm in the main thread, or a timer of the event loop. The hard one is a note in the page: when
it is over the supervisor ends the process, whatever that is doing.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from taskmesh.core.limits import Limits
from taskmesh.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from taskmesh.limits.alarm import Alarm, call_within, soft_limit_error
from taskmesh.limits.thread_alarm import ThreadAlarms
from taskmesh.worker.keepable import cannot_keep, is_keepable
from taskmesh.worker.own_loop import run_in_this_thread
from taskmesh.worker.page import NO_DEADLINE, Deadline, Desk

if TYPE_CHECKING:
    from taskmesh.worker.called_off import CallOffs
    from taskmesh.worker.in_flight import InFlight
    from taskmesh.worker.job import Job

log = logging.getLogger("taskmesh.worker")

#: A coroutine is cancelled when its hard limit is over; its process is ended if it goes on for so long after that.
CANCEL_GRACE_S = 1.0


def wait_for_the_end(desk: Desk, sequence: int) -> None:
    """Go no further: the supervisor is about to end this process for a run of this claim, or to let it go."""
    while desk.condemned() == sequence:
        time.sleep(0.001)


class Guard:
    """Keeps tasks within their limits that run one at a time, in this process's main thread."""

    def __init__(self, desk: Desk) -> None:
        """Prepare.

        Args:
            desk: The child's place in the page.
        """
        self._desk = desk
        self._alarm = Alarm()
        self._has_warned = False

    def call(self, limits: Limits, job: Job) -> Any:
        """Call a job's function within its limits, and return its value.

        The hard limit holds on until `done`: what comes of the value is part of the run.

        Raises:
            SoftTimeLimitExceeded: It was over, and the task did not catch it. And whatever the task raises.
        """
        function = partial(job.function, *job.args, **job.kwargs)
        self.begin(limits, job)
        if not limits.soft_s:
            result = function()
            return run_in_this_thread(result) if inspect.iscoroutine(result) else result
        begun_s = time.monotonic()
        error = soft_limit_error(job.task_id, job.name, limits.soft_s)
        result = self.call_within(limits.soft_s, error, function)
        if inspect.iscoroutine(result):
            from taskmesh.limits.coroutine import within

            left_s = max(0.0, begun_s + limits.soft_s - time.monotonic())
            result = run_in_this_thread(within(result, left_s, error))
        return result

    def call_within(self, seconds: float, error: SoftTimeLimitExceeded, function: Callable[[], Any]) -> Any:
        """Call a plain function, and raise an error in it if it takes longer."""
        if Alarm.is_possible():
            return call_within(self._alarm, seconds, error, function)
        self._warn()
        return function()

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "soft_time_limit holds here for `async def` tasks only: a thread cannot be interrupted as the main "
                "thread of a process can be"
            )

    def refusal(self, limits: Limits, job: Job) -> str:  # noqa: ARG002 - the main thread can be interrupted
        """See `GuardLike`."""
        return ""

    def leave_will(self, will: bytes) -> None:
        """See `GuardLike`."""
        self._desk.leave_will(will)

    def begin(self, limits: Limits, job: Job) -> None:  # noqa: ARG002 - the one that runs
        """Note the hard limit in the page."""
        if limits.hard_s:
            run = self._desk.noted()
            until_s = time.monotonic() + limits.hard_s
            self._desk.set_deadline(Deadline(until_s, limits.hard_s, run.sequence, run.position, run.name))

    def called_off(self, job: Job) -> str | None:  # noqa: ARG002 - it is ended with its process
        """See `GuardLike`."""
        return None

    def done(self, job: Job) -> None:  # noqa: ARG002 - the one that runs
        """Take the hard limit back."""
        self._desk.set_deadline(NO_DEADLINE)


class SharedGuard(Guard):
    """Keeps tasks within their limits that run side by side, in threads or as coroutines.

    A hard limit ends the whole process, for nothing less ends a thread; what ran beside goes back in line, uncharged.
    A coroutine is cancelled first.
    """

    def __init__(self, desk: Desk, flight: InFlight, call_offs: CallOffs, pool: str) -> None:
        """Prepare.

        Args:
            desk: The child's place in the page.
            flight: What runs.
            call_offs: And which of that is called off.
            pool: The kind of pool, for people to read.
        """
        super().__init__(desk)
        self._pool = pool
        self._flight = flight
        self._call_offs = call_offs
        self._alarms = ThreadAlarms()

    def call_within(self, seconds: float, error: SoftTimeLimitExceeded, function: Callable[[], Any]) -> Any:
        """See `Guard`. What blocks is reached when it returns."""
        return self._alarms.call_within(seconds, error, function)

    def refusal(self, limits: Limits, job: Job) -> str:
        """See `GuardLike`."""
        return "" if is_keepable(limits, job.function) else cannot_keep(self._pool, [job.name])

    def leave_will(self, will: bytes) -> None:
        """Leave none: there is room for one, and of those that run side by side nobody knows which is to blame."""

    def begin(self, limits: Limits, job: Job) -> None:
        """See `Guard`."""
        if limits.hard_s:
            self._flight.set_deadline(
                (job.task_id.encode(), job.token.encode()), time.monotonic() + limits.hard_s, limits.hard_s
            )

    def called_off(self, job: Job) -> str | None:
        """See `GuardLike`."""
        return self._call_offs.sender(job)

    def done(self, job: Job) -> None:
        """See `Guard`."""
        self._flight.clear_deadline((job.task_id.encode(), job.token.encode()))

    async def call_async(self, limits: Limits, job: Job, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a job's coroutine within its limits, on the loop whose task this is.

        Raises:
            SoftTimeLimitExceeded, TimeLimitExceeded: As they say. And whatever the coroutine raises.
        """
        import asyncio

        from taskmesh.limits.coroutine import within

        if limits.soft_s:
            coroutine = within(
                coroutine, limits.soft_s, soft_limit_error(job.task_id, job.name, limits.soft_s)
            )
        if not limits.hard_s:
            return await coroutine
        self._flight.set_deadline(
            (job.task_id.encode(), job.token.encode()),
            time.monotonic() + limits.hard_s + CANCEL_GRACE_S,
            limits.hard_s,
        )
        timeout = asyncio.timeout(limits.hard_s)
        try:
            async with timeout:
                return await coroutine
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise TimeLimitExceeded(
                f"task {job.task_id} ran longer than its time_limit of {limits.hard_s:g} s, so it was cancelled",
                task_id=job.task_id,
                limit_s=limits.hard_s,
            ) from error

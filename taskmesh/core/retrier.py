"""What a running task asks for: to be tried again, or later."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from taskmesh.core.call import by_name, positional
from taskmesh.core.lines import check_priority, check_queue
from taskmesh.core.retry import RetryPolicy, next_due_ms
from taskmesh.errors import (
    AHEAD_S_MAX,
    MaxRetriesExceededError,
    Retry,
    Snooze,
    UsageError,
    check_seconds,
)


class Retryable(Protocol):
    """The message that is run.

    Attributes:
        trace: `traceparent` of the span in which it runs; empty if nobody traces it.
        will: What is to be known of the run should its process die in it; see `Hooks.heirs`.
    """

    trace: str
    will: bytes

    @property
    def trace_before(self) -> str:
        """The same of the attempt before."""

    @property
    def task_id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """Name of its task."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments."""

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its keyword arguments."""

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""

    @property
    def is_eager(self) -> bool:
        """Whether the caller runs it, without a worker."""

    @property
    def policy(self) -> RetryPolicy:
        """When it is tried again."""

    @property
    def expires_ms(self) -> int:
        """Unix time after which it must not begin; 0 for never."""

    @property
    def first_due_ms(self) -> int:
        """Unix time at which it was sent, or first due if that is later."""


class Retrier:
    """Says whether and when messages are tried again; one for all that a process runs."""

    def __init__(self, now_ms: Callable[[], int], chance: Callable[[], float]) -> None:
        """Prepare.

        Args:
            now_ms: The time.
            chance: Returns a number from 0 to 1, evenly.
        """
        self._now_ms = now_ms
        self._chance = chance

    def due_ms(
        self,
        job: Retryable,
        *,
        max_retries: int | None = None,
        countdown_s: float | None = None,
        eta_ms: int | None = None,
    ) -> int | None:
        """Return when the message may run again, None when it may not; arguments as `next_due_ms`."""
        policy = job.policy
        return next_due_ms(
            policy,
            retries=job.attempt - 1,
            now_ms=self._now_ms(),
            last_ms=policy.last_ms(job.first_due_ms, job.expires_ms),
            chance=self._chance,
            max_retries=max_retries,
            countdown_s=countdown_s,
            eta_ms=eta_ms,
        )

    def retry(
        self,
        job: Retryable,
        *,
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        exc: BaseException | None = None,
        eta: datetime | None = None,
        countdown: float | timedelta | None = None,
        max_retries: int | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> Retry:
        """Return what a task raises in order to be tried again; arguments as `CurrentTask.retry`.

        Raises:
            MaxRetriesExceededError: It may not be; or `exc`, if that is given.
            UsageError: The time to wait is none, negative, or more than 100 years; or `max_retries` is no number,
                `queue` no name, `priority` none.
        """
        _check_count(max_retries)
        check_line(queue, priority)
        due_ms = self.due_ms(
            job,
            max_retries=max_retries,
            countdown_s=None if countdown is None else seconds_of("countdown", countdown),
            eta_ms=None if eta is None else _eta_ms(eta, self._now_ms()),
        )
        if due_ms is None:
            raise exc or exceeded(job)
        call = None
        if args is not None or kwargs is not None:
            call = (
                job.args if args is None else positional(job.name, args),
                job.kwargs if kwargs is None else by_name(job.name, kwargs),
            )
        because = exc or sys.exception()
        return Retry(
            f"task {job.task_id} is to be tried again",
            exc=because,
            due_ms=due_ms,
            call=call,
            queue=queue,
            priority=priority,
        )


def snooze(seconds: float | timedelta) -> Snooze:
    """Return what a task raises in order to run later.

    Raises:
        UsageError: That is no span of time.
    """
    return Snooze(seconds_of("seconds", seconds))


def exceeded(job: Retryable) -> MaxRetriesExceededError:
    """Return the error of a message that asks for a retry which it does not have."""
    return MaxRetriesExceededError(
        f"task {job.task_id} ({job.name}) cannot be tried again after attempt {job.attempt}: its retries (max_retries) "
        "or their time (retry_deadline, expires) are used up",
        task_id=job.task_id,
    )


def seconds_of(name: str, value: float | timedelta) -> float:
    """Return a span of time in seconds, or raise `UsageError` if that is none or no message can wait so long."""
    return check_seconds(name, value.total_seconds() if isinstance(value, timedelta) else value)


def check_ahead(name: str, value: object, moment_ms: int, now_ms: int) -> int:
    """Return a moment, or raise `UsageError` if no message can wait so long.

    Args:
        name: Of what says the moment.
        value: What was said.
        moment_ms: The same as Unix time; one that has passed is as good as now.
        now_ms: The time.
    """
    if moment_ms > now_ms + AHEAD_S_MAX * 1000:
        raise UsageError(f"{name}={value!r} is more than 100 years ahead")
    return moment_ms


def check_line(queue: object, priority: object) -> None:
    """Raise `UsageError` if a message cannot wait in such a queue, or with such a priority; None is no matter."""
    if queue is not None:
        check_queue(queue)
    if priority is not None:
        check_priority(priority)


def _check_count(max_retries: object) -> None:
    if max_retries is None or (
        isinstance(max_retries, int) and not isinstance(max_retries, bool) and max_retries >= 0
    ):
        return
    raise UsageError(
        f"max_retries={max_retries!r}: expected a whole number, 0 or more, or None for the task's own number"
    )


def _eta_ms(eta: datetime, now_ms: int) -> int:
    if not isinstance(eta, datetime) or eta.utcoffset() is None:
        raise UsageError(
            f"eta={eta!r}: expected a datetime with its time zone; in seconds there is countdown="
        )
    return check_ahead("eta", eta, math.ceil(eta.timestamp() * 1000), now_ms)


def reason_of(error: BaseException) -> BaseException:
    """Return the error behind a `Retry`, where there is one; any other as it is."""
    # a class derived from it may have left out its __init__
    exc = getattr(error, "exc", None) if isinstance(error, Retry) else None
    return exc if isinstance(exc, BaseException) else error

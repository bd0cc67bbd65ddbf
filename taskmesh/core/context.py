"""What a running task can know of itself, without being passed anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from taskmesh.errors import UsageError

if TYPE_CHECKING:
    from taskmesh.core.retrier import Retrier, Retryable


class Contact(Protocol):
    """How a running task speaks with its mesh."""

    def is_revoked(self) -> bool:
        """Tell whether somebody revoked the message."""

    def report_progress(self, done: float, total: float | None, note: str | None) -> None:
        """Tell how far the task is."""

    def update_state(self, state: str | None, meta: object) -> None:
        """Tell what to show as the state, and facts."""

    def close(self) -> None:
        """The run is over."""


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The message that is being run here.

    Attributes:
        id: Its id; the same on every attempt, so it serves as an idempotency key.
        name: Name of the task.
        queue: The queue it came from.
        headers: What the sender gave as `headers`.
        attempt: Which run of the retry policy this is, from 1.
        crashes: How many runs ended because their process died.
        worker: Name of the worker.
    """

    id: str
    name: str
    queue: str
    headers: dict[str, Any]
    attempt: int
    crashes: int
    worker: str
    _running: Running = field(repr=False, compare=False)

    @property
    def retries(self) -> int:
        """How often it has been tried again: 0 on the first attempt."""
        return self.attempt - 1

    def retry(
        self,
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        exc: BaseException | None = None,
        *,
        eta: datetime | None = None,
        countdown: float | timedelta | None = None,
        max_retries: int | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> NoReturn:
        """Have the message run again later, under the same id; this attempt ends here, for it raises `Retry`.

        Args:
            args: New positional arguments; those of now if not given.
            kwargs: New keyword arguments; those of now if not given.
            exc: The error because of which; raised instead when the retries are used up.
            eta: The moment before which it does not run: a datetime with its zone.
            countdown: How long it waits; the task's `retry_backoff` or `default_retry_delay` if neither is given.
            max_retries: How many retries there may be, instead of the task's own number.
            queue: Where it waits from now on, for a worker that serves it; where it was if not given.
            priority: From now on, 0 to 9; that of before if not given.

        Raises:
            Retry: Always, unless the retries or their time are used up.
            MaxRetriesExceededError: They are, and no `exc` was given.
        """
        running = self._running
        raise running.retrier.retry(
            running.job,
            args=args,
            kwargs=kwargs,
            exc=exc,
            eta=eta,
            countdown=countdown,
            max_retries=max_retries,
            queue=queue,
            priority=priority,
        )

    def snooze(self, seconds: float | timedelta) -> NoReturn:
        """Have the message run again after a while, without spending an attempt; this run ends here.

        Args:
            seconds: How long it waits.

        Raises:
            Snooze: Always.
        """
        from taskmesh.core.retrier import snooze

        raise snooze(seconds)

    @property
    def revoked(self) -> bool:
        """Whether somebody revoked the message, as of a fifth of a second ago at most; the task may stop then.

        It costs nothing until it is looked at, and a question to the node five times a second at most.
        """
        return self._contact.is_revoked()

    def report_progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Tell callers how far the task is; they read it as `AsyncResult.progress`.

        May be called as often as you like: it is written ten times a second at most, the last always, and a node that
        does not answer is no concern of the task. It is gone when the message ends.

        Args:
            done: How much is done, in a measure of your own.
            total: How much there is to do.
            note: What it is at, in words.

        Raises:
            UsageError: One of them is no number, or no text.
            PayloadTooLarge: The note, with the facts of `update_state`, has more than 8 KiB.
        """
        self._contact.report_progress(done, total, note)

    def update_state(self, state: str | None = None, meta: object = None) -> None:
        """Show callers a state of your own, and facts, as long as the task runs: `AsyncResult.state` and `.info`.

        Args:
            state: A word such as `PROGRESS`; None leaves it as it is. STARTED shows the message's own state again.
            meta: Plain data, 8 KiB at most; None leaves it as it is.

        Raises:
            UsageError: The word is a state that follows from what happens to the message, or none at all.
            NotPicklable, PayloadTooLarge: The facts are no plain data, or too large.
        """
        self._contact.update_state(state, meta)

    @property
    def _contact(self) -> Contact:
        running = self._running
        return running.contact or running.open_contact(running)


class Terminated(SystemExit):
    """Raised in a task whose message was revoked with terminate, so that its `finally` blocks run."""


class Running:
    """What `CurrentTask` is made from, once somebody asks: most tasks never do."""

    __slots__ = (
        "attempt",
        "contact",
        "crashes",
        "headers",
        "job",
        "name",
        "open_contact",
        "queue",
        "retrier",
        "task_id",
        "token",
        "worker",
    )

    def __init__(
        self,
        task_id: str,
        name: str,
        queue: str,
        headers: dict[str, Any] | None,
        attempt: int,
        crashes: int,
        worker: str,
        job: Retryable,
        retrier: Retrier,
        token: str,
        open_contact: Callable[[Running], Contact],
    ) -> None:
        self.task_id = task_id
        self.name = name
        self.queue = queue
        self.headers = headers
        self.attempt = attempt
        self.crashes = crashes
        self.worker = worker
        self.job = job
        self.retrier = retrier
        self.token = token
        self.open_contact = open_contact
        self.contact: Contact | None = None


CURRENT: ContextVar[Running | None] = ContextVar("taskmesh_current_task", default=None)


def run_of(task: CurrentTask) -> Retryable:
    """Return the message itself, for what belongs to TaskMesh."""
    return task._running.job  # noqa: SLF001 - it is private to users


def current_task() -> CurrentTask:
    """Return the message that is being run by the calling task.

    Raises:
        UsageError: Nothing is being run by a worker here.
    """
    running = CURRENT.get()
    if running is None:
        raise UsageError(
            "current_task() was called outside of a task: it answers only while one is being run"
        )
    return CurrentTask(
        running.task_id,
        running.name,
        running.queue,
        dict(running.headers or {}),
        running.attempt,
        running.crashes,
        running.worker,
        running,
    )

"""What a running task can know of itself, without being passed anything."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from taskmesh.errors import UsageError


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


class Running:
    """What `CurrentTask` is made from, once somebody asks: most tasks never do."""

    __slots__ = ("attempt", "crashes", "headers", "name", "queue", "task_id", "worker")

    def __init__(
        self,
        task_id: str,
        name: str,
        queue: str,
        headers: dict[str, Any] | None,
        attempt: int,
        crashes: int,
        worker: str,
    ) -> None:
        self.task_id = task_id
        self.name = name
        self.queue = queue
        self.headers = headers
        self.attempt = attempt
        self.crashes = crashes
        self.worker = worker


CURRENT: ContextVar[Running | None] = ContextVar("taskmesh_current_task", default=None)


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
    )

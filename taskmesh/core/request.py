"""`self.request` of a bound task: what Celery's users know under these names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from taskmesh.core.context import CURRENT


@dataclass(frozen=True, slots=True)
class Request:
    """The message that a bound task runs for; of a call without a message, what is empty.

    Attributes:
        id: Its id; None for a plain call.
        task: Name of the task.
        args: Positional arguments.
        kwargs: Keyword arguments.
        retries: How often it has been tried again: 0 on the first attempt.
        attempt: Which attempt this is, from 1.
        crashes: How many runs ended because their process died.
        headers: What the sender gave as `headers`.
        hostname: Name of the worker.
        queue: The queue it came from.
        expires: Until when it may begin; None for ever.
        delivery_info: The queue as `routing_key`, and whether it ran before without having ended.
        called_directly: Whether this is a plain call, with no message behind it.
        is_eager: Whether the caller runs it.
    """

    id: str | None = None
    task: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    retries: int = 0
    attempt: int = 1
    crashes: int = 0
    headers: dict[str, Any] = field(default_factory=dict)
    hostname: str = ""
    queue: str = ""
    expires: datetime | None = None
    delivery_info: dict[str, Any] = field(default_factory=dict)
    called_directly: bool = True
    is_eager: bool = False

    @property
    def correlation_id(self) -> str | None:
        """The same as `id`."""
        return self.id

    @property
    def root_id(self) -> str | None:
        """The same as `id`."""
        return self.id


def request_of(name: str) -> Request:
    """Return what a task of this name runs for."""
    running = CURRENT.get()
    if running is None or running.name != name:
        return Request(task=name)
    job = running.job
    return Request(
        id=running.task_id,
        task=name,
        args=job.args,
        kwargs=job.kwargs,
        retries=running.attempt - 1,
        attempt=running.attempt,
        crashes=running.crashes,
        headers=dict(running.headers or {}),
        hostname=running.worker,
        queue=running.queue,
        expires=datetime.fromtimestamp(job.expires_ms / 1000, UTC) if job.expires_ms else None,
        delivery_info={"routing_key": running.queue, "redelivered": running.crashes > 0},
        called_directly=False,
        is_eager=job.is_eager,
    )

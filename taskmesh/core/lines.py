"""Where a message waits: the name of its queue, and its priority."""

from __future__ import annotations

from typing import Any

from taskmesh.core.record import QUEUE_LENGTH_MAX
from taskmesh.errors import UsageError

PRIORITY_MAX = 9


def queue_name(value: Any) -> str:
    """Read the name of a queue.

    Raises:
        ValueError: It cannot be one.
    """
    if (
        isinstance(value, str)
        and 1 <= len(value) <= QUEUE_LENGTH_MAX
        and value.isascii()
        and value.isprintable()
        and not set(" ,:=") & set(value)
    ):
        return value
    raise ValueError(
        f"a queue's name has 1 to {QUEUE_LENGTH_MAX} printable ASCII characters, "
        "without space, comma, colon or '='"
    )


def check_queue(queue: object) -> str:
    """Return the name of a queue, or raise `UsageError`."""
    try:
        return queue_name(queue)
    except ValueError as error:
        raise UsageError(f"queue {queue!r}: {error}") from None


def check_priority(priority: object) -> int:
    """Return a priority, or raise `UsageError` if it is no whole number from 0 to 9."""
    if isinstance(priority, int) and not isinstance(priority, bool) and 0 <= priority <= PRIORITY_MAX:
        return priority
    raise UsageError(
        f"priority={priority!r}: expected a whole number from 0 to {PRIORITY_MAX}; higher is sooner"
    )

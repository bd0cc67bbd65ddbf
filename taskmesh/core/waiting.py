"""Tasks that wait for tasks, in a process that runs nothing else meanwhile: when all wait, nothing goes on."""

from __future__ import annotations

from collections.abc import Iterable

from taskmesh.core.context import CURRENT

#: What this process claims from, if it runs one task at a time.
_own_queues: set[str] = set()
_known: set[tuple[str, str]] = set()


def note_one_at_a_time(queues: Iterable[str]) -> None:
    """Note that this process runs one task at a time, and claims from these queues as well."""
    _own_queues.update(queues)


def who_waits(waited_for: str) -> str:
    """Return the task that is about to wait here; empty if it may, or if it has been asked of before.

    Args:
        waited_for: Name of the task whose result it waits for; empty if that is not known.
    """
    running = CURRENT.get() if _own_queues else None
    if running is None or (running.name, waited_for) in _known:
        return ""
    _known.add((running.name, waited_for))
    return running.name


def is_own_queue(queue: str) -> bool:
    """Tell whether a queue is one that this process serves, one task at a time."""
    return queue in _own_queues

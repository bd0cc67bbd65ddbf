"""The number of a worker's children, between two bounds: more while all are busy and messages wait, else fewer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from taskmesh.nodes.link import Link
from taskmesh.worker.options import WorkerOptions
from taskmesh.worker.waiting import count_waiting

log = logging.getLogger("taskmesh.worker")

#: How often it is decided.
LOOK_S = 1.0


class Flock(Protocol):
    """The children, as far as their number goes."""

    @property
    def size(self) -> int:
        """How many there are to be."""

    def are_busy(self, now_s: float) -> bool:
        """Tell whether every one of them runs something."""

    def grow(self, count: int) -> None:
        """Have so many more."""

    def dismiss_idle(self, now_s: float, idle_s: float) -> bool:
        """Have one end that has been idle for so long, and tell whether there is one."""


class Autoscaler:
    """Decides once a second."""

    def __init__(
        self, least: int, most: int, *, idle_s: float, waiting: Callable[[], int], worker: str
    ) -> None:
        """Prepare.

        Args:
            least: How many children there are at least.
            most: And at most.
            idle_s: A child that idles for so long is dismissed, unless it is one of the least.
            waiting: Returns how many messages wait; asked only when it matters.
            worker: Name of the worker.
        """
        self._least = least
        self._most = most
        self._idle_s = idle_s
        self._waiting = waiting
        self._worker = worker
        self._look_at_s = 0.0

    def look(self, flock: Flock, now_s: float) -> bool:
        """Change the number of children if that is due, and tell whether it was changed."""
        if now_s < self._look_at_s:
            return False
        self._look_at_s = now_s + LOOK_S
        size = flock.size
        if size < self._most and flock.are_busy(now_s):
            # at most twice as many: what was just started may turn out to be enough
            more = min(self._waiting(), size, self._most - size)
            if more:
                flock.grow(more)
        elif size > self._least:
            flock.dismiss_idle(now_s, self._idle_s)
        if flock.size == size:
            return False
        log.info("worker %s has %d children now, %d before", self._worker, flock.size, size)
        return True


def make_autoscaler(
    options: WorkerOptions, link: Link, queues: Sequence[str], worker: str
) -> Autoscaler | None:
    """Return what decides for a worker; None where the number of its children is fixed."""
    if not options.children_max:
        return None
    return Autoscaler(
        options.children_min,
        options.children_max,
        idle_s=options.idle_s,
        waiting=lambda: count_waiting(link, queues),
        worker=worker,
    )

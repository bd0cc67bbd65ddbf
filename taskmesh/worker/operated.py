"""What operators have set for queues and tasks, as one child knows it: read twice a second while it claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from taskmesh.queue.setting import Operated

#: How often a child that has something to do reads it.
READ_S = 0.5
_NOTHING: Mapping[str, int] = MappingProxyType({})


class OperatedHere:
    """What one child knows of it; any thread may look.

    Attributes:
        weights: Of queues.
        is_listened: Whether anybody listens to events.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        """Know nothing yet.

        Args:
            now_ms: The node's clock.
        """
        self._now_ms = now_ms
        self.is_listened = False
        self._read_s = float("-inf")
        self._limited: frozenset[str] = frozenset()
        self.weights = _NOTHING

    def is_due(self, now_s: float) -> bool:
        """Tell whether it is to be read, as it was not for a while."""
        return now_s - self._read_s >= READ_S

    def take(self, found: Operated | None, now_s: float) -> None:
        """Take in what was read; if the node did not answer (None), what was read before goes on to hold."""
        self._read_s = now_s
        if found is not None:
            self._limited = frozenset(found.rate_limits)
            self.weights = found.weights
            self.is_listened = bool(found.listened_ms) and self._now_ms() < found.listened_ms

    def age_s(self, now_s: float) -> float:
        """Return for how long it has not been read."""
        return now_s - self._read_s

    def limits(self, task: str) -> bool:
        """Tell whether an operator has said how often a task may start."""
        return task in self._limited

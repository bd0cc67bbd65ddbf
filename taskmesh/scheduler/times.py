"""What cron lines, intervals and single moments have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from taskmesh.scheduler.zones import moment_ms, zone_of


class Times(ABC):
    """When something fires. Moments are Unix milliseconds."""

    __slots__ = ()

    @abstractmethod
    def next_after(self, moment_ms: int) -> int | None:
        """Return the first firing after a moment; None when there is none."""

    @abstractmethod
    def last_before(self, moment_ms: int) -> int | None:
        """Return the last firing before a moment; None when there is none since 1970."""

    @abstractmethod
    def said(self) -> tuple[str, str]:
        """Return text and zone, which `when.read_when` reads again."""

    def coming(self, after: datetime | float, count: int = 1) -> list[datetime]:
        """Return the next firings after a moment, in the zone of these times; fewer when there are no more.

        Args:
            after: A datetime with its zone, or Unix time in seconds.
            count: How many at most.

        Raises:
            UsageError: The moment has no zone, or is none.
        """
        clock = zone_of(self.said()[1])
        found: list[datetime] = []
        next_ms = self.next_after(moment_ms("after", after))
        while next_ms is not None and len(found) < count:
            moment = datetime.fromtimestamp(next_ms // 1000, clock)
            found.append(moment.replace(microsecond=next_ms % 1000 * 1000))  # a sum would forget `fold`
            next_ms = self.next_after(next_ms)
        return found

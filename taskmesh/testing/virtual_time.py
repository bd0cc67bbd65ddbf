"""Time that passes only when nothing is left to do: a heap of events, each at its moment."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class VirtualTime:
    """The clock and the schedule of a simulation.

    Events at one moment happen in the order in which they were scheduled, so that a run depends on its seed only.

    Attributes:
        now_s: Seconds since the simulation began.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Action]] = []
        self._count = 0

    def at(self, when_s: float, action: Action) -> None:
        """Have `action` called at a moment; at once, but not before this event ends, if that is past."""
        self._count += 1
        heapq.heappush(self._events, (max(when_s, self.now_s), self._count, action))

    def after(self, delay_s: float, action: Action) -> None:
        """Have `action` called after so many seconds."""
        self.at(self.now_s + delay_s, action)

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Let time pass until a condition holds.

        Args:
            until: Asked after each event.
            limit_s: How much time may pass.

        Returns:
            Whether the condition came to hold; the clock then stands at that moment, else at the limit.
        """
        end_s = self.now_s + limit_s
        while not until():
            if not self._events or self._events[0][0] > end_s:
                self.now_s = end_s
                return until()
            self.now_s, _, action = heapq.heappop(self._events)
            action()
        return True

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass."""
        self.run(lambda: False, seconds)

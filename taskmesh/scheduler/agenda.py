"""Which schedule is due next, among tens of thousands: a heap of the next firing of each."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from taskmesh.scheduler.timetable import next_firing
from taskmesh.scheduler.when import When


class Entry(NamedTuple):
    """A schedule, as far as the agenda needs it.

    Attributes:
        when: When it fires.
        start_ms: Nothing fires before it; None for any time.
        end_ms: Nothing fires at it or later; None for never.
    """

    when: When
    start_ms: int | None = None
    end_ms: int | None = None

    def next_after(self, moment_ms: int) -> int | None:
        """Return its first firing after a moment."""
        return next_firing(self.when, moment_ms, start_ms=self.start_ms, end_ms=self.end_ms)


class Agenda:
    """The next firing of each schedule.

    A schedule that is changed or removed leaves its old place in the heap behind: it is passed over when its turn
    comes, and the heap is made anew before it consists of such places mostly.
    """

    def __init__(self) -> None:
        """Begin with no schedule."""
        self._heap: list[tuple[int, str, int]] = []
        self._entries: dict[str, tuple[Entry, int]] = {}
        self._places = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, name: str, entry: Entry, after_ms: int) -> None:
        """Add a schedule, or change it: its next firing is the first one after a moment."""
        self._places += 1
        self._entries[name] = entry, self._places
        self._place(name, entry, after_ms)
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [place for place in self._heap if self._holds(place)]
            heapify(self._heap)

    def remove(self, name: str) -> None:
        """Forget a schedule, if it is known."""
        self._entries.pop(name, None)

    def next_ms(self) -> int | None:
        """Return when something is due; None for never."""
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> Iterator[tuple[str, int]]:
        """Return the schedules that are due, each with its first firing that nobody has run, in the order of these.

        Each is placed anew behind `now_ms`: what lies between the two moments is for `misfire.to_run` to say.
        """
        while (first_ms := self.next_ms()) is not None and first_ms <= now_ms:
            _, name, _ = heappop(self._heap)
            self._place(name, self._entries[name][0], now_ms)
            yield name, first_ms

    def _place(self, name: str, entry: Entry, after_ms: int) -> None:
        next_ms = entry.next_after(after_ms)
        if next_ms is not None:
            heappush(self._heap, (next_ms, name, self._entries[name][1]))

    def _holds(self, place: tuple[int, str, int]) -> bool:
        entry = self._entries.get(place[1])
        return entry is not None and entry[1] == place[2]

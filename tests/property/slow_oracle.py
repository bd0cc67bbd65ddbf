"""When a cron line fires, found by watching a clock: minute by minute, with nothing but `zoneinfo`.

It knows nothing of how the package computes firings. A clock that jumps is noticed by its jump.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Line:
    """A line as sets of numbers, and as the text of the same meaning."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] = frozenset(range(1, 32))
    months: frozenset[int] = frozenset(range(1, 13))
    hourly: bool = False

    def names(self, wall: datetime) -> bool:
        return (
            wall.minute in self.minutes
            and wall.hour in self.hours
            and wall.day in self.days
            and wall.month in self.months
        )


def changes(zone: str, first_year: int, last_year: int) -> Iterator[int]:
    """Return the Unix times, in whole hours, within an hour after which the zone's offset changes."""
    clock = ZoneInfo(zone)
    begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first_year, last_year + 1))
    before = datetime.fromtimestamp(begin, clock).utcoffset()
    for moment in range(begin, end, 3600):
        offset = datetime.fromtimestamp(moment + 3600, clock).utcoffset()
        if offset != before:
            yield moment
        before = offset


def watch(zone: str, begin_s: int, end_s: int) -> list[tuple[int, datetime]]:
    """Return what the clock shows at the begin of each minute; it is not before `begin_s`, and before `end_s`."""
    clock = ZoneInfo(zone)
    return [
        (moment, datetime.fromtimestamp(moment, clock).replace(tzinfo=None))
        for moment in range(begin_s, end_s, 60)
    ]


def fires(line: Line, watched: list[tuple[int, datetime]]) -> list[int]:
    """Return when a line fires, in Unix time, while the clock is watched; it must not begin within a repeated hour."""
    found = []
    seen = set()
    last = watched[0][1] - MINUTE
    for moment, wall in watched:
        skipped = []
        missing = last + MINUTE
        while missing < wall:
            if missing not in seen:
                skipped.append(missing)
            missing += MINUTE
        jump = wall - last - MINUTE
        if line.hourly:
            due = line.names(wall) or any(
                line.names(minute) and not line.names(minute + jump) for minute in skipped
            )
        else:
            due = (line.names(wall) and wall not in seen) or any(map(line.names, skipped))
        if due:
            found.append(moment)
        seen.add(wall)
        last = wall
    return found

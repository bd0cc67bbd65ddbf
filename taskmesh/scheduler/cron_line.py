"""Which wall times a cron line names: parsed by `cronsim`, found by counting.

Nothing here knows of zones. A wall time is a number of seconds, as if the clock on the wall showed UTC.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from cronsim import CronSim, CronSimError

from taskmesh.core.printable import shown
from taskmesh.errors import UsageError
from taskmesh.scheduler.cron_error import ANY_TIME, BOTH_DAYS, refuse_line, refuse_step, shortened
from taskmesh.scheduler.zones import DAY_S

LINE_LENGTH_MAX = 500
#: The calendar repeats itself after so many years, weekdays included.
_CYCLE_YEARS = 400
_EPOCH = date(1970, 1, 1).toordinal()
_YEAR_MAX = 9989
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronLine:
    """The wall times that a line names.

    Attributes:
        hourly: Whether it is an hourly or finer line: a wildcard or a step in its minute, hour or second, or all
            hours.
    """

    __slots__ = ("_days", "_hours", "_minutes", "_months", "_seconds", "hourly")

    def __init__(self, text: str) -> None:
        """Parse a line.

        Raises:
            UsageError: It cannot be read, or never comes; the error says where and why.
        """
        plain = _NICKNAMES.get(text.strip().lower(), text)
        fields = shortened(plain).split()
        both_days = len(fields) > 5 and fields[-1].lower() == BOTH_DAYS
        if both_days:
            fields.pop()
        try:
            sim = CronSim(" ".join(fields), ANY_TIME)
        except CronSimError as error:
            raise refuse_line(text) from error
        if len(fields) == 5:
            fields.insert(0, "0")
        refuse_step(text, fields)
        self._days = _named_days(" ".join(fields[3:]).upper(), both_days=both_days)
        self._months = self._days.months
        self._hours, self._minutes, self._seconds = (
            tuple(sorted(numbers)) for numbers in (sim.hours, sim.minutes, sim.seconds)
        )
        self.hourly = len(self._hours) == 24 or any(set("*/") & set(field) for field in fields[:3])
        if self.next_wall(0) is None:
            raise refuse_line(text, never=True)

    def matches(self, wall_s: int) -> bool:
        """Tell whether the line names a wall time."""
        day, second = divmod(wall_s, DAY_S)
        return self._has_day(day) and self._time_from(second) == second

    def next_wall(self, wall_s: int) -> int | None:
        """Return the first wall time that is named and not before this one; None when there is none."""
        day, second = divmod(wall_s, DAY_S)
        if self._has_day(day):
            found = self._time_from(second)
            if found is not None:
                return day * DAY_S + found
        next_day = next(self._days_from(day + 1), None)
        if next_day is None:
            return None
        return next_day * DAY_S + self._hours[0] * 3600 + self._minutes[0] * 60 + self._seconds[0]

    def last_wall(self, wall_s: int) -> int | None:
        """Return the last wall time that is named and not after this one; None when there is none."""
        day, second = divmod(wall_s, DAY_S)
        if self._has_day(day):
            found = self._time_until(second)
            if found is not None:
                return day * DAY_S + found
        last_day = next(self._days_until(day - 1), None)
        if last_day is None:
            return None
        return last_day * DAY_S + self._hours[-1] * 3600 + self._minutes[-1] * 60 + self._seconds[-1]

    def _has_day(self, day: int) -> bool:
        when = date.fromordinal(_EPOCH + day)
        return when.month in self._months and self._days.match_day(when)

    def _days_from(self, day: int) -> Iterator[int]:
        start = date.fromordinal(_EPOCH + day)
        year, month, first = start.year, start.month, start.day
        while year <= min(start.year + _CYCLE_YEARS, _YEAR_MAX):
            if month in self._months:
                for number in range(first, monthrange(year, month)[1] + 1):
                    when = date(year, month, number)
                    if self._days.match_day(when):
                        yield when.toordinal() - _EPOCH
            year, month, first = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)

    def _days_until(self, day: int) -> Iterator[int]:
        end = date.fromordinal(_EPOCH + day)
        year, month, last = end.year, end.month, end.day
        while year >= max(end.year - _CYCLE_YEARS, 1):
            if month in self._months:
                for number in range(last or monthrange(year, month)[1], 0, -1):
                    when = date(year, month, number)
                    if self._days.match_day(when):
                        yield when.toordinal() - _EPOCH
            year, month, last = (year, month - 1, 0) if month > 1 else (year - 1, 12, 0)

    def _time_from(self, second_of_day: int) -> int | None:
        hour, rest = divmod(second_of_day, 3600)
        minute, second = divmod(rest, 60)
        hours, minutes, seconds = self._hours, self._minutes, self._seconds
        if hour in hours:
            at = bisect_left(seconds, second)
            if minute in minutes and at < len(seconds):
                return hour * 3600 + minute * 60 + seconds[at]
            at = bisect_right(minutes, minute)
            if at < len(minutes):
                return hour * 3600 + minutes[at] * 60 + seconds[0]
        at = bisect_right(hours, hour)
        return hours[at] * 3600 + minutes[0] * 60 + seconds[0] if at < len(hours) else None

    def _time_until(self, second_of_day: int) -> int | None:
        hour, rest = divmod(second_of_day, 3600)
        minute, second = divmod(rest, 60)
        hours, minutes, seconds = self._hours, self._minutes, self._seconds
        if hour in hours:
            at = bisect_right(seconds, second) - 1
            if minute in minutes and at >= 0:
                return hour * 3600 + minute * 60 + seconds[at]
            at = bisect_left(minutes, minute) - 1
            if at >= 0:
                return hour * 3600 + minutes[at] * 60 + seconds[-1]
        at = bisect_left(hours, hour) - 1
        return hours[at] * 3600 + minutes[-1] * 60 + seconds[-1] if at >= 0 else None


@lru_cache(maxsize=4096)
def _named_days(fields: str, *, both_days: bool) -> CronSim:
    """Return what says which days the last three fields name; lines that differ in their times only share it."""
    sim = CronSim(f"0 0 0 {fields}", ANY_TIME)
    sim.day_and = sim.day_and or both_days
    return sim


@lru_cache(maxsize=16_384)
def cron_line(text: str) -> CronLine:
    """Return a line, parsed once for all schedules that have it.

    Raises:
        UsageError: It cannot be read, or never comes.
    """
    if len(text) > LINE_LENGTH_MAX:
        raise UsageError(
            f"a cron line of {len(text)} characters: at most {LINE_LENGTH_MAX}, not {shown(text[:40])}..."
        )
    return CronLine(text)

"""`every(...)`: a fixed interval of real time, on a grid that does not depend on who looks, or since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isclose

from taskmesh.config.arguments import Duration
from taskmesh.config.values import duration
from taskmesh.core.printable import shown
from taskmesh.errors import UsageError
from taskmesh.scheduler.times import Times
from taskmesh.scheduler.zones import moment_ms

INTERVAL_S_MIN, INTERVAL_S_MAX = 0.1, 10 * 365 * 86_400.0
_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


@dataclass(frozen=True, slots=True)
class Every(Times):
    """The moments `phase + k * interval`, counted from 1970 in UTC. Made by `every`.

    Attributes:
        interval_ms: Between two firings, in real time.
        phase_ms: Of the first one after the begin of 1970; less than the interval.
    """

    interval_ms: int
    phase_ms: int = 0

    def said(self) -> tuple[str, str]:
        """Return text and zone, which `when.read_when` reads again."""
        phase = f" phase {spelled(self.phase_ms)}" if self.phase_ms else ""
        return f"every {spelled(self.interval_ms)}{phase}", "UTC"

    def next_after(self, moment_ms: int) -> int:
        """Return the first firing after a moment."""
        return self._at((max(moment_ms, -1) - self.phase_ms) // self.interval_ms + 1)

    def last_before(self, moment_ms: int) -> int | None:
        """Return the last firing before a moment; None when there is none since 1970."""
        last_ms = self._at((moment_ms - 1 - self.phase_ms) // self.interval_ms)
        return last_ms if last_ms >= 0 else None

    def _at(self, number: int) -> int:
        return self.phase_ms + number * self.interval_ms


def every(
    interval: Duration, *, phase: Duration | None = None, anchor: datetime | float | None = None
) -> Every:
    """Return firings at a fixed interval of real time, whatever the clocks on the walls do.

    They stand on a grid: `every("10m")` fires at :00, :10, :20, ... whenever it was made and whoever the leader is.

    Args:
        interval: Seconds, a timedelta or a text such as `"10m"`; 0.1 s to 10 years, in whole milliseconds.
        phase: By how much the grid is moved: `every("1h", phase="5m")` fires 5 minutes past each hour of UTC.
        anchor: Instead of a phase, a moment that is to be on the grid: a datetime with its zone, or Unix time in
            seconds.

    Raises:
        UsageError: The interval is no such duration, or both a phase and an anchor are given.
    """
    interval_ms = _whole_ms("interval", interval, INTERVAL_S_MIN)
    if anchor is not None:
        if phase is not None:
            raise UsageError(f"every({shown(interval)}): give a phase or an anchor, not both")
        return Every(interval_ms, moment_ms("every(anchor=...)", anchor) % interval_ms)
    return Every(interval_ms, 0 if phase is None else _whole_ms("phase", phase, 0) % interval_ms)


def _whole_ms(name: str, given: Duration, at_least_s: float) -> int:
    try:
        seconds: float = duration(at_least_s, INTERVAL_S_MAX)(given)
    except ValueError as error:
        raise UsageError(f"every({name}={shown(given)}): {error}") from error
    whole_ms = round(seconds * 1000)
    exact = given % timedelta(milliseconds=1) == timedelta() if isinstance(given, timedelta) else True
    if not exact or not isclose(seconds * 1000, whole_ms, rel_tol=1e-12, abs_tol=1e-6):
        raise UsageError(f"every({name}={shown(given)}): expected whole milliseconds")
    return whole_ms


def spelled(length_ms: int) -> str:
    """Return a length as `duration` reads it: `1h30m`."""
    parts = []
    for unit, unit_ms in _UNITS_MS:
        count, length_ms = divmod(length_ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"

"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from taskmesh.scheduler.timetable import firings
from taskmesh.scheduler.when import When

FAR_MS = 8_000 * 366 * 86_400_000


def ms(text: str, zone: str = "UTC") -> int:
    """Return the Unix time of a wall time; one that is shown twice is the first, unless it has an offset."""
    moment = datetime.fromisoformat(text)
    return round(
        (
            moment if moment.tzinfo else moment.replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
        ).timestamp()
        * 1000
    )


def walls(when: When, after: str, count: int) -> list[str]:
    """Return what the clock shows at the first firings after a wall time, with its offset from UTC."""
    zone = when.said()[1]
    found = islice(firings(when, ms(after, zone), FAR_MS), count)
    return [
        datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).strftime("%m-%d %H:%M%z") for moment in found
    ]

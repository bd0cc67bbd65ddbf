"""When a schedule fires, as an object and as the text that registers and commands hold."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from taskmesh.errors import UsageError
from taskmesh.scheduler.crontab import Crontab, crontab
from taskmesh.scheduler.every import Every, every
from taskmesh.scheduler.once import Once, once
from taskmesh.scheduler.zones import check_zone, zone_of

#: Each is a `Times`; `said()` is what `read_when` reads again.
When: TypeAlias = Crontab | Every | Once


def read_when(text: str, zone: str = "UTC") -> When:
    """Return what a text says; such as `Times.said` returns, or a person writes.

    Args:
        text: A cron line, `every 10m`, `every 1h phase 5m`, or `once 2026-03-29T02:30` (in the zone, unless it ends
            with an offset or `Z`).
        zone: The zone of a cron line or a moment; intervals have none.

    Raises:
        UsageError: It is none of these, or the zone is unknown.
    """
    kind, _, rest = text.strip().partition(" ")
    if kind == "every":
        interval, _, phase = rest.partition(" phase ")
        check_zone(zone)
        return every(interval, phase=phase or None)
    if kind == "once":
        return _read_once(rest.strip(), check_zone(zone))
    return crontab(text, tz=zone)


def _read_once(text: str, zone: str) -> Once:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"once {text!r}: expected a moment such as 2026-03-29T02:30 or 2026-03-29T00:30Z"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(zone))
    return Once(once(moment).at_ms, zone)

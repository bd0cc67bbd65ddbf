"""`once(...)`: one firing, at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from taskmesh.scheduler.times import Times
from taskmesh.scheduler.zones import check_zone, moment_ms


@dataclass(frozen=True, slots=True)
class Once(Times):
    """One moment. Made by `once`.

    Attributes:
        at_ms: Unix time.
        zone: The zone in which it was given and is shown.
    """

    at_ms: int
    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse a zone that is not known."""
        check_zone(self.zone)

    def said(self) -> tuple[str, str]:
        """Return text and zone, which `when.read_when` reads again."""
        seconds, rest_ms = divmod(self.at_ms, 1000)
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ms * 1000, tzinfo=None)
        return f"once {moment.isoformat(timespec='milliseconds' if rest_ms else 'seconds')}Z", self.zone

    def next_after(self, moment_ms: int) -> int | None:
        """Return the firing, if it is after a moment."""
        return self.at_ms if self.at_ms > moment_ms else None

    def last_before(self, moment_ms: int) -> int | None:
        """Return the firing, if it is before a moment."""
        return self.at_ms if self.at_ms < moment_ms else None


def once(at: datetime | float) -> Once:
    """Return a single firing.

    Args:
        at: A datetime with its zone, or Unix time in seconds. A wall time that its zone skips is taken for the end
            of the gap; of one that is shown twice the first is meant, unless the datetime says `fold=1`.

    Raises:
        UsageError: It is no such moment.
    """
    zone = at.tzinfo.key if isinstance(at, datetime) and isinstance(at.tzinfo, ZoneInfo) else None
    return Once(moment_ms("once", at), zone or "UTC")

"""`crontab(...)`: wall times in a zone, and what happens to those that the clock skips or shows twice.

The policy, said for users in docs/guides/schedules.md:

- A wall time that is skipped runs at the next valid instant, the end of the gap, once, however many are skipped.
- A wall time that is shown twice runs once, the first time.
- An hourly or finer line (a wildcard or a step in its minute or hour, or all hours) follows real time: it runs each
  time the clock shows what it names. What a gap skips of it is made up for, at the end of the gap, only if the line
  does not name the same real instant as the clock shows it afterwards: of `30 * * * *`, 02:30 before the shift is
  03:30 after it, so nothing is missing; of `*/15 2 * * *` all would be.

So all that a piece of constant offset holds (`zones.Piece`) is found by counting in wall time, and only where a
piece begins is there a question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import TypeAlias

from taskmesh.core.printable import shown
from taskmesh.errors import UsageError
from taskmesh.scheduler.cron_error import BOTH_DAYS
from taskmesh.scheduler.cron_line import CronLine, cron_line
from taskmesh.scheduler.times import Times
from taskmesh.scheduler.zones import BEGIN_S, END_S, REACH_S, Piece, check_zone, piece_at

#: One field as Celery takes it: `0`, `"*/15"`, `"mon-fri"`, `[0, 30]`.
CronField: TypeAlias = "int | str | Iterable[int]"


@dataclass(frozen=True, slots=True)
class Crontab(Times):
    """Wall times in a zone. Made by `crontab`.

    Attributes:
        line: 5 fields, or 6 with the second first.
        zone: Name of the time zone.
    """

    line: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        cron_line(self.line)
        check_zone(self.zone)

    def said(self) -> tuple[str, str]:
        """Return text and zone, which `when.read_when` reads again."""
        return self.line, self.zone

    def next_after(self, moment_ms: int) -> int | None:
        """Return the first firing after a moment; None when there is none before the year 9990."""
        line = cron_line(self.line)
        at_s = max(moment_ms // 1000 + 1, BEGIN_S)
        while at_s < END_S:
            piece = piece_at(self.zone, at_s)
            if at_s == piece.start_s and _is_made_up(line, piece):
                return at_s * 1000
            found = line.next_wall(max(at_s + piece.offset_s, _first_wall(line, piece)))
            if found is None:
                return None
            if found - piece.offset_s < piece.end_s:
                return (found - piece.offset_s) * 1000
            # Where the clock's shifts cannot reach, nothing lies between here and what was found: years are skipped.
            far_s = found - piece.offset_s - REACH_S if piece.end_s - at_s > REACH_S else 0
            at_s = max(piece.end_s, far_s)
        return None

    def last_before(self, moment_ms: int) -> int | None:
        """Return the last firing before a moment; None when there is none since 1970."""
        line = cron_line(self.line)
        at_s = min(-(-moment_ms // 1000), END_S) - 1
        while at_s >= BEGIN_S:
            piece = piece_at(self.zone, at_s)
            found = line.last_wall(at_s + piece.offset_s)
            if found is not None and found >= _first_wall(line, piece):
                return (found - piece.offset_s) * 1000
            if _is_made_up(line, piece):
                return piece.start_s * 1000
            if found is None:
                return None
            far_s = found - piece.offset_s + REACH_S if at_s - piece.start_s > REACH_S else END_S
            at_s = min(piece.start_s - 1, far_s)
        return None


def _first_wall(line: CronLine, piece: Piece) -> int:
    """Return the wall time from which a piece may hold firings: what was shown before counts for hourly lines only."""
    begins_s = piece.start_s + piece.offset_s
    return begins_s if line.hourly else max(begins_s, piece.shown_s)


def _is_made_up(line: CronLine, piece: Piece) -> bool:
    """Tell whether the begin of a piece is a firing for wall times that the clock skipped."""
    begins_s = piece.start_s + piece.offset_s
    wall_s = line.next_wall(piece.shown_s) if piece.shown_s < begins_s else None
    while wall_s is not None and wall_s < begins_s:
        if not line.hourly or not line.matches(wall_s + begins_s - piece.shown_s):
            return True
        wall_s = line.next_wall(wall_s + 1)
    return False


def crontab(
    line: str | None = None,
    *,
    tz: str | tzinfo = "UTC",
    minute: CronField = "*",
    hour: CronField = "*",
    day_of_month: CronField = "*",
    month_of_year: CronField = "*",
    day_of_week: CronField = "*",
) -> Crontab:
    """Return the times of a cron line, or of fields by name as Celery has them.

    Args:
        line: `"0 3 * * *"`: minute, hour, day of month, month, day of week; with a sixth field, the second comes
            first. Where both fields of days are restricted, either is enough, as in cron; ` both-days` behind them
            asks for both.
        tz: The time zone whose wall times are meant: a name such as `"Europe/Paris"` or a `ZoneInfo`.
        minute: Instead of a line, as everything that follows: a number, a text or numbers; every one if not given.
        hour: 0 to 23.
        day_of_month: 1 to 31.
        month_of_year: 1 to 12.
        day_of_week: 0 to 6 (Sunday is 0), or names. With `day_of_month`, both must hold, as in Celery.

    Raises:
        UsageError: The line cannot be read or never comes, or the zone is unknown; the error says where and why.
    """
    fields = {
        "minute": minute,
        "hour": hour,
        "day_of_month": day_of_month,
        "month_of_year": month_of_year,
        "day_of_week": day_of_week,
    }
    if line is None:
        return Crontab(_joined(fields), check_zone(tz))
    if not isinstance(line, str):
        raise UsageError(
            f"crontab({shown(line)}): expected a line such as '0 3 * * *', or fields by name: minute=0, hour=3"
        )
    given = [name for name, field in fields.items() if field != "*"]
    if given:
        raise UsageError(f"crontab({line!r}, {given[0]}=...): give a line or fields by name, not both")
    cron_line(line)  # as it was written: an error says at which of its columns
    return Crontab(" ".join(line.split()), check_zone(tz))


def _joined(fields: dict[str, CronField]) -> str:
    texts = {name: _field_text(name, field) for name, field in fields.items()}
    both = "*" not in {texts["day_of_month"], texts["day_of_week"]}
    return " ".join([*texts.values(), *([BOTH_DAYS] if both else [])])


def _field_text(name: str, field: CronField) -> str:
    if isinstance(field, str):
        text = "".join(field.split())
    elif isinstance(field, int):
        text = "" if isinstance(field, bool) else str(field)
    else:
        numbers = list(field) if isinstance(field, Iterable) else []
        known = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        text = ",".join(map(str, sorted(numbers))) if known else ""
    if not text:
        raise UsageError(
            f"crontab({name}={shown(field)}): expected a number, a text such as '*/15', or numbers"
        )
    return text

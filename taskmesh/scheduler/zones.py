"""Time zones, as pieces of time in each of which the clock runs evenly.

`zoneinfo` answers what the offset is at a moment; a schedule also needs to know where it changes. So each year is
probed once a day: since 1970 no zone has changed twice within six days, and never within three.
"""

from __future__ import annotations

import difflib
import math
from bisect import bisect_right
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from taskmesh.core.printable import shown
from taskmesh.errors import UsageError

DAY_S = 86_400
#: No change of offset moves the clock further than this (the largest is a day, of islands that crossed the date line),
#: nor do two changes follow each other sooner.
REACH_S = 3 * DAY_S
#: The moments within which schedules are computed: 1970 to 9989. `datetime` ends with 9999.
BEGIN_S, END_S = 0, int(datetime(9990, 1, 1, tzinfo=UTC).timestamp())
#: Names that mean something else on each machine, or count leap seconds.
_NOT_EVERYWHERE = ("localtime", "posixrules", "Factory", "posix/", "right/")


class Piece(NamedTuple):
    """A time during which a zone's offset does not change.

    `start_s + offset_s` is the first wall time that the clock shows in it. Where that is beyond `shown_s`, the wall
    times between them are skipped; where it is before, those between them are shown again.

    Attributes:
        start_s: Its first second, Unix time.
        end_s: The first second after it.
        offset_s: What is added to Unix time to get the wall time, as if that were Unix time.
        shown_s: The end of the wall times which the clock had shown before.
    """

    start_s: int
    end_s: int
    offset_s: int
    shown_s: int


def zone_of(name: str) -> tzinfo:
    """Return a time zone.

    Raises:
        UsageError: There is none of this name; the error says which are near.
    """
    if name == "UTC":
        return UTC  # needs no database of zones
    try:
        if name.startswith(_NOT_EVERYWHERE):
            raise ZoneInfoNotFoundError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: it is the name of a folder
        raise UsageError(f"time zone {name!r} is not known{_near(name)}", zone=name) from error


def check_zone(zone: object) -> str:
    """Return the name of a zone that is given as a name, a `ZoneInfo` or `datetime.UTC`.

    Raises:
        UsageError: There is no such zone, or it has no name.
    """
    if zone is UTC:
        return "UTC"
    name = zone.key if isinstance(zone, ZoneInfo) else zone
    if not isinstance(name, str):
        raise UsageError(
            f"time zone {shown(zone)}: expected a name such as 'Europe/Paris', or a ZoneInfo that has one"
        )
    zone_of(name)
    return name


def _near(name: str) -> str:
    known = available_timezones()
    if not known:
        return ": this machine has no database of time zones; install the package `tzdata`"
    by_text = {zone.lower(): zone for zone in sorted(known)}
    by_city = {zone.lower().rpartition("/")[2]: zone for zone in sorted(known)}
    wanted = name.strip().lower().replace(" ", "_")
    for names in (by_text, by_city):
        near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.75)
        if near:
            return f"; did you mean {names[near[0]]!r}?"
    return "; expected a name such as 'Europe/Paris' or 'UTC'"


def piece_at(zone: str, moment_s: int) -> Piece:
    """Return the piece of a zone's time that holds a moment; pieces also end where a year ends in UTC."""
    found = _pieces(zone, datetime.fromtimestamp(moment_s, UTC).year)
    return found[bisect_right(found, moment_s, key=_start_s) - 1]


def _start_s(piece: Piece) -> int:
    return piece.start_s


@lru_cache(maxsize=4096)
def _pieces(zone: str, year: int) -> tuple[Piece, ...]:
    """Return the pieces of a year; the work of a third of a millisecond."""
    clock = zone_of(zone)
    begin_s, end_s = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    # What was shown shortly before the year may be shown again in it.
    cuts = [begin_s - REACH_S, begin_s, end_s]
    for from_s, to_s in pairwise(range(begin_s - REACH_S, end_s + 1, DAY_S)):
        if _offset_s(clock, from_s) != _offset_s(clock, to_s):
            cuts.append(_change_s(clock, from_s, to_s))
    pieces: list[Piece] = []
    for start_s, stop_s in pairwise(sorted(set(cuts))):
        offset_s = _offset_s(clock, start_s)
        shown_s = max((piece.end_s + piece.offset_s for piece in pieces), default=start_s + offset_s)
        pieces.append(Piece(start_s, stop_s, offset_s, shown_s))
    return tuple(piece for piece in pieces if piece.start_s >= begin_s)


def _change_s(clock: tzinfo, before_s: int, after_s: int) -> int:
    """Return the first second of the new offset, between two moments of which only the second has it."""
    old_s = _offset_s(clock, before_s)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset_s(clock, middle_s) == old_s:
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s


def _offset_s(clock: tzinfo, moment_s: int) -> int:
    offset = datetime.fromtimestamp(moment_s, clock).utcoffset()
    if offset is None:
        raise UsageError(f"time zone {clock} tells no offset")
    return offset.days * DAY_S + offset.seconds


def _ms_of(moment: datetime) -> int:
    """Return the Unix time of a datetime with a zone; one that its clock skips is the end of the gap."""
    exact_ms = round(moment.timestamp() * 1000)
    if not _is_known(exact_ms) or not isinstance(moment.tzinfo, ZoneInfo) or not moment.tzinfo.key:
        return exact_ms
    first = moment.replace(fold=0)
    if first.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) == first.replace(tzinfo=None):
        return exact_ms
    # Read with the offset before the gap, a skipped time lies behind it.
    return piece_at(moment.tzinfo.key, int(first.timestamp())).start_s * 1000


def moment_ms(what: str, moment: object) -> int:
    """Return the Unix time of a datetime with its zone, or of seconds.

    Args:
        what: How an error calls it.
        moment: From 1970 to 9989.

    Raises:
        UsageError: It is no such moment.
    """
    if isinstance(moment, datetime) and moment.tzinfo is None:
        raise UsageError(
            f"{what}: {moment.isoformat()} has no time zone; say which is meant, such as "
            "datetime(..., tzinfo=ZoneInfo('Europe/Paris'))"
        )
    if isinstance(moment, datetime):
        found_ms = _ms_of(moment)
    elif isinstance(moment, (int, float)) and not isinstance(moment, bool) and math.isfinite(moment):
        found_ms = round(moment * 1000)
    else:
        raise UsageError(
            f"{what}: expected a datetime with its zone or Unix time in seconds, not {shown(moment)}"
        )
    if not _is_known(found_ms):
        raise UsageError(
            f"{what}: {shown(moment)} is not in the years 1970 to 9989; Unix time is in seconds here"
        )
    return found_ms


def _is_known(at_ms: int) -> bool:
    return BEGIN_S * 1000 <= at_ms < END_S * 1000

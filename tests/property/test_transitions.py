"""Every change of the clock from 2020 to 2037, in zones of all kinds, against a clock that is watched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmesh.scheduler.crontab import Crontab, crontab
from taskmesh.scheduler.timetable import firings
from tests.property.slow_oracle import MINUTE, Line, changes, fires, watch

ZONES = (
    "Africa/Cairo",  # a skipped midnight
    "Africa/Casablanca",  # Ramadan: back for a month, each year at another time
    "America/Havana",  # back from 01:00 to midnight
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",  # changes in the evening; another offset since 2023
    "America/Santiago",  # a skipped midnight, in September
    "America/St_Johns",  # -03:30
    "Antarctica/Troll",  # two hours at once
    "Asia/Beirut",
    "Asia/Gaza",  # Ramadan, and summer time as well
    "Asia/Tehran",  # +03:30, summer time ended in 2022
    "Australia/Adelaide",
    "Australia/Lord_Howe",  # half an hour
    "Europe/Dublin",  # its summer time is the standard one
    "Europe/London",
    "Europe/Paris",
    "Pacific/Chatham",  # +12:45
    "Pacific/Norfolk",
)
HOURS, QUARTERS = frozenset(range(24)), frozenset({0, 15, 30, 45})


def numbers(*given: int) -> frozenset[int]:
    return frozenset(given)


LINES = (
    *(Line(f"{m} {h} * * *", numbers(m), numbers(h)) for h in (0, 1, 2, 3, 4, 23) for m in (0, 20, 30, 50)),
    Line("0,30 1-3 * * *", numbers(0, 30), numbers(1, 2, 3)),
    Line("30 2,3 * * *", numbers(30), numbers(2, 3)),
    Line("10 0,1,2,3,12 1-15 * *", numbers(10), numbers(0, 1, 2, 3, 12), frozenset(range(1, 16))),
    Line("* * * * *", frozenset(range(60)), HOURS, hourly=True),
    Line("0 * * * *", numbers(0), HOURS, hourly=True),
    Line("30 * * * *", numbers(30), HOURS, hourly=True),
    Line("15 0-23 * * *", numbers(15), HOURS, hourly=True),
    Line("*/15 * * * *", QUARTERS, HOURS, hourly=True),
    Line("*/20 * * * *", numbers(0, 20, 40), HOURS, hourly=True),
    Line("*/7 * * * *", frozenset(range(0, 60, 7)), HOURS, hourly=True),
    Line("*/15 2 * * *", QUARTERS, numbers(2), hourly=True),
    Line("*/15 0,1,3 * * *", QUARTERS, numbers(0, 1, 3), hourly=True),
    Line("0 */2 * * *", numbers(0), frozenset(range(0, 24, 2)), hourly=True),
    Line("45 1-23/2 * * *", numbers(45), frozenset(range(1, 24, 2)), hourly=True),
    Line("0-59/30 2,3 28-31 * *", numbers(0, 30), numbers(2, 3), numbers(28, 29, 30, 31), hourly=True),
)


def both_ways(when: Crontab, begin_s: int, end_s: int) -> list[int]:
    """Return the firings with begin <= moment < end, in Unix time; found backwards they are the same."""
    found = list(firings(when, begin_s * 1000 - 1, end_s * 1000 - 1))
    back = []
    moment = when.last_before(end_s * 1000)
    while moment is not None and moment >= begin_s * 1000:
        back.append(moment)
        moment = when.last_before(moment)
    assert back[::-1] == found
    assert all(moment % 1000 == 0 for moment in found)
    return [moment // 1000 for moment in found]


def shown(zone: str, line: Line, moments: list[int]) -> tuple[str, str, list[str]]:
    return zone, line.text, [datetime.fromtimestamp(moment, UTC).isoformat() for moment in moments]


def compare(zone: str, line: Line, begin_s: int, end_s: int, watched: list[tuple[int, datetime]]) -> None:
    expected = [moment for moment in fires(line, watched) if moment >= begin_s]
    assert shown(zone, line, both_ways(crontab(line.text, tz=zone), begin_s, end_s)) == shown(
        zone, line, expected
    )


def lines_of_one_day(watched: list[tuple[int, datetime]]) -> Iterator[Line]:
    """Return lines that name one day of the year, and times close to where the clock jumps."""
    jump = next(at for (_, before), (_, at) in pairwise(watched) if at - before != MINUTE)
    for day in sorted({jump.date() - timedelta(days=1), jump.date()}):
        on = numbers(day.day), numbers(day.month)
        for hour in sorted({(jump.hour + step) % 24 for step in (-2, -1, 0, 1)}):
            at = f"{hour} {day.day} {day.month} *"
            yield Line(f"10,40 {at}", numbers(10, 40), numbers(hour), *on)
            yield Line(f"*/30 {at}", numbers(0, 30), numbers(hour), *on, hourly=True)


@pytest.mark.parametrize("zone", ZONES)
def test_lines_of_one_day_are_found_from_afar(zone):
    """Years are skipped in the search; not so the hour that the clock repeats, or skips."""
    for change_s in changes(zone, 2020, 2037):
        begin_s, end_s = change_s - 4 * 3600, change_s + 5 * 3600
        watched = watch(zone, begin_s, end_s)
        for line in lines_of_one_day(watched):
            expected = fires(line, watched)
            if not expected:
                continue
            when = crontab(line.text, tz=zone)
            compare(zone, line, begin_s, end_s, watched)
            for days in (40, 200):
                afar = [moment // 1000 for moment in (
                    when.next_after((begin_s - days * 86_400) * 1000),
                    when.last_before((end_s + days * 86_400) * 1000),
                )]  # fmt: skip
                assert shown(zone, line, afar) == shown(zone, line, [expected[0], expected[-1]])


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_the_clock_from_2020_to_2037(zone):
    seen = list(changes(zone, 2020, 2037))
    assert seen, f"{zone} does not change"
    for at, change_s in enumerate(seen):
        begin_s, end_s = change_s - 3 * 3600, change_s + 5 * 3600
        watched = watch(zone, begin_s - 3600, end_s)
        # both changes of a year with one half of the lines, those of the next with the other
        for line in LINES[at // 2 % 2 :: 2]:
            compare(zone, line, begin_s, end_s, watched)


#: Changes that no longer happen, and must not break anything.
ODD = (
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # 30 December 2011 was skipped
    ("Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC)),  # as was 21 August 1993
    ("America/St_Johns", datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),  # back from 00:01 to 23:01
    ("Africa/Casablanca", datetime(1985, 12, 31, 23, tzinfo=UTC)),  # back, at midnight of New Year
    ("Asia/Pyongyang", datetime(2018, 5, 4, 15, tzinfo=UTC)),  # half an hour, on a night like any other
    ("America/Caracas", datetime(2016, 5, 1, 7, tzinfo=UTC)),
    (
        "Asia/Kathmandu",
        datetime(1985, 12, 31, 18, 30, tzinfo=UTC),
    ),  # a quarter of an hour, at midnight of New Year
)


@pytest.mark.parametrize(("zone", "change"), ODD, ids=[zone for zone, _ in ODD])
def test_changes_of_which_there_is_only_one(zone, change):
    change_s = int(change.timestamp())
    assert list(changes(zone, change.year, change.year + 1))
    begin_s, end_s = change_s - 3 * 3600, change_s + 30 * 3600
    watched = watch(zone, begin_s - 3600, end_s)
    for line in LINES:
        compare(zone, line, begin_s, end_s, watched)


fields = st.frozensets(st.integers(0, 59), min_size=1, max_size=6)
hours = st.frozensets(st.integers(0, 23), min_size=1, max_size=12)
moments = st.sampled_from(
    [(zone, change) for zone in ("Australia/Lord_Howe", "Europe/Paris", "Pacific/Chatham", "Africa/Cairo")
     for change in changes(zone, 2026, 2029)]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(moments, fields, hours)
def test_any_fixed_times(moment, minutes, named):
    zone, change_s = moment
    text = f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(named)))} * * *"
    begin_s, end_s = change_s - 3 * 3600, change_s + 5 * 3600
    line = Line(text, minutes, named)
    compare(zone, line, begin_s, end_s, watch(zone, begin_s - 3600, end_s))


@settings(max_examples=60, deadline=None)
@given(moments, st.integers(1, 40), hours)
def test_any_steps(moment, step, named):
    zone, change_s = moment
    line = Line(
        f"*/{step} {','.join(map(str, sorted(named)))} * * *",
        frozenset(range(0, 60, step)),
        named,
        hourly=True,
    )
    begin_s, end_s = change_s - 3 * 3600, change_s + 5 * 3600
    compare(zone, line, begin_s, end_s, watch(zone, begin_s - 3600, end_s))


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Nuuk", "Africa/Casablanca"])
def test_no_hour_of_real_time_is_left_out(zone):
    begin_ms = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1000
    found = list(firings(crontab("0 * * * *", tz=zone), begin_ms, begin_ms + 366 * 86_400_000))
    assert max(later - earlier for earlier, later in pairwise(found)) == 3_600_000

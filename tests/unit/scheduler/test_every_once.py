"""Intervals and single moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.errors import UsageError
from taskmesh.scheduler.crontab import crontab
from taskmesh.scheduler.every import Every, every, spelled
from taskmesh.scheduler.once import Once, once
from taskmesh.scheduler.timetable import firings
from taskmesh.scheduler.when import read_when
from tests.unit.scheduler.moments import FAR_MS, ms

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("given", "interval_ms"),
    [
        (30, 30_000),
        (0.1, 100),
        ("10m", 600_000),
        ("1h30m", 5_400_000),
        (timedelta(hours=2), 7_200_000),
        ("0.25", 250),
    ],
)
def test_an_interval_is_given_in_any_way(given, interval_ms):
    assert every(given) == Every(interval_ms)


@pytest.mark.parametrize(
    "given", [0, -1, 0.05, "x", None, True, float("nan"), 1e12, 1.0005, timedelta(seconds=1, microseconds=1)]
)
def test_what_is_no_interval_is_refused(given):
    with pytest.raises(UsageError, match=r"every\(interval="):
        every(given)


def test_the_grid_does_not_depend_on_who_looks():
    assert [m % 86_400_000 for m in islice(firings(every("8h"), ms("2026-03-01T00:00"), FAR_MS), 3)] == [
        28_800_000,
        57_600_000,
        0,
    ]


def test_phase_and_anchor_move_the_grid():
    assert every("1h", phase="5m") == Every(3_600_000, 300_000)
    assert every("1h", phase="65m") == every("1h", phase="5m")
    anchor = datetime(2026, 11, 26, 10, 7, tzinfo=PARIS)
    assert every("30m", anchor=anchor) == every("30m", phase="7m") == every("30m", anchor=420)
    with pytest.raises(UsageError, match="not both"):
        every("1h", phase=1, anchor=0)
    with pytest.raises(UsageError, match="has no time zone"):
        every("1h", anchor=datetime(2026, 1, 1))  # noqa: DTZ001


def test_an_interval_counts_real_time_when_the_clocks_change():
    found = list(firings(every("30m"), ms("2026-10-25T00:00Z"), ms("2026-10-25T03:00Z")))
    assert [later - earlier for earlier, later in pairwise(found)] == [1_800_000] * 5


@given(st.integers(100, 10**9), st.integers(0, 10**9), st.integers(0, 10**13))
def test_before_and_after_are_neighbours(interval_ms, phase_ms, moment_ms):
    grid = Every(interval_ms, phase_ms % interval_ms)
    after_ms, before_ms = grid.next_after(moment_ms), grid.last_before(moment_ms + 1)
    assert moment_ms < after_ms <= moment_ms + interval_ms
    assert before_ms is None or (before_ms <= moment_ms and after_ms == before_ms + interval_ms)
    assert (after_ms - grid.phase_ms) % interval_ms == 0


@given(st.integers(100, 3 * 10**11), st.integers(0, 10**12))
def test_an_interval_is_read_again(interval_ms, phase_ms):
    grid = Every(interval_ms, phase_ms % interval_ms)
    assert read_when(*grid.said()) == grid


def test_lengths_are_spelled_for_people():
    assert [spelled(length) for length in (0, 250, 90_000, 5_400_000, 90_061_001)] == [
        "0s",
        "250ms",
        "1m30s",
        "1h30m",
        "1d1h1m1s1ms",
    ]


def test_a_single_moment_fires_once():
    moment = once(datetime(2026, 12, 24, 18, tzinfo=PARIS))
    assert (moment.at_ms, moment.zone) == (ms("2026-12-24T17:00Z"), "Europe/Paris")
    assert list(firings(moment, 0, FAR_MS)) == [moment.at_ms]
    assert list(firings(moment, moment.at_ms, FAR_MS)) == []
    assert moment.last_before(moment.at_ms) is None
    assert moment.last_before(moment.at_ms + 1) == moment.at_ms
    assert once(1_800_000_000.25) == Once(1_800_000_000_250)


def test_what_comes_is_shown_in_the_zone():
    moment = once(datetime(2026, 12, 24, 18, tzinfo=PARIS))
    assert [at.isoformat() for at in moment.coming(0, 5)] == ["2026-12-24T18:00:00+01:00"]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    assert [at.isoformat() for at in every(0.5).coming(begin, 2)] == [
        "2026-01-01T00:00:00.500000+00:00",
        "2026-01-01T00:00:01+00:00",
    ]
    assert every(1).coming(begin, 0) == []
    hourly = crontab("30 * * * *", tz="Europe/Paris").coming(ms("2026-10-25T00:00Z") / 1000, 2)
    assert [at.isoformat() for at in hourly] == ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]
    with pytest.raises(UsageError, match="has no time zone"):
        every(1).coming(datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_moment_that_is_skipped_is_the_end_of_the_gap_and_one_shown_twice_the_first():
    assert once(datetime(2026, 3, 29, 2, 30, tzinfo=PARIS)).at_ms == ms("2026-03-29T01:00Z")
    assert once(datetime(2026, 3, 29, 2, 30, fold=1, tzinfo=PARIS)).at_ms == ms("2026-03-29T01:00Z")
    assert once(datetime(2026, 10, 25, 2, 30, tzinfo=PARIS)).at_ms == ms("2026-10-25T00:30Z")
    assert once(datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=PARIS)).at_ms == ms("2026-10-25T01:30Z")


@pytest.mark.parametrize(
    "given",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001
        "2026-01-01",
        None,
        True,
        float("inf"),
        -1,
        1e15,
        datetime(1969, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
        datetime(9999, 12, 31, 23, tzinfo=ZoneInfo("America/Lima")),
    ],
)
def test_what_is_no_moment_is_refused(given):
    with pytest.raises(UsageError, match="once"):
        once(given)


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("once 2026-03-29T02:30", "Europe/Paris", "2026-03-29T01:00Z"),
        ("once 2026-12-24 18:00", "Europe/Paris", "2026-12-24T17:00Z"),
        ("once 2026-12-24T18:00:00.250Z", "Europe/Paris", "2026-12-24T18:00:00.250Z"),
    ],
)
def test_a_moment_is_read_in_its_zone(text, zone, moment):
    found = read_when(text, zone)
    assert found == Once(ms(moment), zone)
    assert read_when(*found.said()) == found


@pytest.mark.parametrize(
    "text", ["once", "once tomorrow", "every", "every 10x", "every 10m phase", "sometimes", ""]
)
def test_a_text_that_says_no_time_is_refused(text):
    with pytest.raises(UsageError):
        read_when(text)

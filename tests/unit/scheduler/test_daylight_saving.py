"""The policy for wall times that the clock skips or shows twice, said in examples."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from taskmesh.scheduler.crontab import crontab
from tests.unit.scheduler.moments import walls

SPRING, AUTUMN = "2026-03-28T12:00", "2026-10-24T12:00"  # the days before, in Paris


def test_a_skipped_time_runs_at_the_end_of_the_gap():
    assert walls(crontab("30 2 * * *", tz="Europe/Paris"), SPRING, 2) == [
        "03-29 03:00+0200",
        "03-30 02:30+0200",
    ]


def test_several_skipped_times_run_once():
    assert walls(crontab("0,20,40 2 * * *", tz="Europe/Paris"), SPRING, 2) == [
        "03-29 03:00+0200",
        "03-30 02:00+0200",
    ]


def test_a_skipped_time_and_one_at_the_end_of_the_gap_run_once():
    assert walls(crontab("0 2,3 * * *", tz="Europe/Paris"), SPRING, 2) == [
        "03-29 03:00+0200",
        "03-30 02:00+0200",
    ]


def test_a_repeated_time_runs_once_the_first_time():
    assert walls(crontab("30 2 * * *", tz="Europe/Paris"), AUTUMN, 2) == [
        "10-25 02:30+0200",
        "10-26 02:30+0100",
    ]


def test_an_hourly_line_runs_each_real_hour():
    line = crontab("30 * * * *", tz="Europe/Paris")
    assert walls(line, "2026-03-29T01:00", 3) == ["03-29 01:30+0100", "03-29 03:30+0200", "03-29 04:30+0200"]
    assert walls(line, "2026-10-25T02:00", 3) == ["10-25 02:30+0200", "10-25 02:30+0100", "10-25 03:30+0100"]


def test_a_finer_line_within_an_hour_is_made_up_for_once_and_runs_twice_as_often():
    line = crontab("*/30 2 * * *", tz="Europe/Paris")
    assert walls(line, SPRING, 2) == ["03-29 03:00+0200", "03-30 02:00+0200"]
    assert walls(line, AUTUMN, 5) == [
        "10-25 02:00+0200",
        "10-25 02:30+0200",
        "10-25 02:00+0100",
        "10-25 02:30+0100",
        "10-26 02:00+0100",
    ]


@pytest.mark.parametrize(
    "line", ["30 0-23 * * *", "30 */1 * * *", "30-59/60 0-23/1 * * *", "0 30 * * * *", "@hourly"]
)
def test_what_runs_each_hour_does_so_in_the_repeated_one_however_it_is_written(line):
    found = crontab(line, tz="Europe/Paris").coming(datetime(2026, 10, 24, 23, 59, tzinfo=UTC), 4)
    assert [later - earlier for earlier, later in pairwise(at.timestamp() for at in found)] == [3600] * 3


def test_half_an_hour_that_is_skipped_leaves_no_hour_out():
    line = crontab("0 * * * *", tz="Australia/Lord_Howe")
    assert walls(line, "2026-10-04T00:30", 3) == ["10-04 01:00+1030", "10-04 02:30+1100", "10-04 03:00+1100"]


def test_seconds_follow_the_same_rules():
    assert walls(crontab("15 30 2 * * *", tz="Europe/Paris"), SPRING, 2) == [
        "03-29 03:00+0200",
        "03-30 02:30+0200",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Africa/Cairo", "2026-04-23T12:00", "04-24 01:00+0300"),  # midnight is skipped
        ("America/Santiago", "2026-09-05T12:00", "09-06 01:00-0300"),
        ("Pacific/Apia", "2011-12-29T12:00", "12-31 00:00+1400"),  # a day is skipped
    ],
)
def test_a_skipped_midnight(zone, day, expected):
    assert walls(crontab("0 0 * * *", tz=zone), day, 1) == [expected]


def test_a_skipped_day_runs_at_its_end():
    assert walls(crontab("0 3 * * *", tz="Pacific/Apia"), "2011-12-29T00:00", 3) == [
        "12-29 03:00-1000",
        "12-31 00:00+1400",
        "12-31 03:00+1400",
    ]


def test_morocco_goes_back_for_ramadan():
    line = crontab("30 2 * * *", tz="Africa/Casablanca")
    assert walls(line, "2026-02-14T12:00", 2) == ["02-15 02:30+0100", "02-16 02:30+0000"]
    assert walls(line, "2026-03-21T12:00", 2) == ["03-22 03:00+0100", "03-23 02:30+0100"]


# -- what users of Celery reported --------------------------------------------------------------------------------


def test_celery_1604_noon_runs_once_after_the_end_of_summer_time():
    """Mondays at 12:00 ran at 11:00 and again at 12:00, on the day after the clocks went back."""
    line = crontab(hour=12, minute=0, day_of_week=1, tz="Europe/Amsterdam")
    assert walls(line, "2013-10-27T00:00", 2) == ["10-28 12:00+0100", "11-04 12:00+0100"]
    evening = crontab(hour=17, minute=0, tz="America/New_York")
    assert walls(evening, "2015-10-31T00:00", 3) == [
        "10-31 17:00-0400",
        "11-01 17:00-0500",
        "11-02 17:00-0500",
    ]


def test_celery_6438_each_minute_goes_on_when_summer_time_ends():
    """Tasks of each minute stopped for an hour when the clocks went back."""
    line = crontab(tz="Europe/Paris")
    assert walls(line, "2020-10-25T02:57+02:00", 4) == [
        "10-25 02:58+0200",
        "10-25 02:59+0200",
        "10-25 02:00+0100",
        "10-25 02:01+0100",
    ]
    assert walls(crontab(hour=2, minute=20, tz="Europe/Paris"), "2020-10-25T00:00", 2) == [
        "10-25 02:20+0200",
        "10-26 02:20+0100",
    ]


def test_celery_10107_an_hourly_line_runs_in_the_repeated_hour():
    """What had run at 1:00 PDT did not run at 1:00 PST."""
    line = crontab(minute="0", hour="*", tz="US/Pacific")
    assert walls(line, "2026-11-01T00:30", 4) == [
        "11-01 01:00-0700",
        "11-01 01:00-0800",
        "11-01 02:00-0800",
        "11-01 03:00-0800",
    ]

"""Cron lines: how they are given, and how they are refused."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from taskmesh.errors import UsageError
from taskmesh.scheduler.crontab import Crontab, crontab
from taskmesh.scheduler.when import read_when
from tests.unit.scheduler.moments import ms, walls


@pytest.mark.parametrize(
    ("line", "field", "column", "why"),
    [
        ("0 0 30 2 *", "day of month", 5, "no month that it names has a day 30"),
        ("0 0 31 4,6,9 *", "day of month", 5, "no month that it names has a day 31"),
        ("0 0 31 2 mon both-days", "day of month", 5, "no day is named by all of its fields"),
        ("61 * * * *", "minute", 1, "61 is no minute: 0 to 59"),
        ("0 24 * * *", "hour", 3, "24 is no hour: 0 to 23"),
        ("0 0,3,99 * * *", "hour", 7, "99 is no hour"),
        ("0   0  0 1 *", "day of month", 8, "0 is no day of month"),
        ("0 0 1 13 *", "month", 7, "13 is no month"),
        ("0 0 * * 8", "day of week", 9, "8 is no day of week"),
        ("0 0 * * fri-mon", "day of week", 9, "ends before it begins"),
        ("0 0 * * funday", "day of week", 9, "'funday' is no day of week"),
        ("0 0 1 January 9", "day of week", 15, "9 is no day of week"),
        ("0 0 30 february *", "day of month", 5, "no month that it names has a day 30"),
        ("0 0 ? * *", "day of month", 5, "write '*'"),
        ("1,,2 * * * *", "minute", 3, "missing beside a comma"),
        ("*/0 * * * *", "minute", 1, "no step that is a number above 0"),
        ("*/120 * * * *", "minute", 2, "begins anew after 60"),
        ("70 * * * * *", "second", 1, "70 is no second"),
        ("garbage", None, 1, "has 1 field: expected 5 fields"),
        ("* * * *", None, 1, "has 4 fields"),
        ("", None, 1, "has 0 fields"),
        ("@reboot", None, 1, "has 1 field"),
    ],
)
def test_an_impossible_line_is_refused_with_reason_and_position(line, field, column, why):
    with pytest.raises(UsageError) as caught:
        crontab(line)
    assert why in str(caught.value)
    assert (caught.value.field, caught.value.column) == (field, column)


def test_a_line_that_is_too_long_is_refused():
    with pytest.raises(UsageError, match="at most 500"):
        crontab(",".join(["1"] * 1000) + " * * * *")


@pytest.mark.parametrize(
    ("zone", "near"),
    [
        ("Europe/Pariss", "Europe/Paris"),
        ("europe/paris", "Europe/Paris"),
        ("Paris", "Europe/Paris"),
        ("New York", "America/New_York"),
        ("Kolkatta", "Asia/Kolkata"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(zone, near):
    with pytest.raises(UsageError, match=f"did you mean '{near}'"):
        crontab("0 3 * * *", tz=zone)


@pytest.mark.parametrize("zone", ["", "../etc/passwd", "Europe", "localtime", "right/UTC", "no such zone"])
def test_a_name_that_is_no_zone_is_refused(zone):
    with pytest.raises(UsageError, match="is not known"):
        crontab("0 3 * * *", tz=zone)


def test_a_zone_may_be_an_object_that_has_a_name():
    assert crontab("0 3 * * *", tz=ZoneInfo("Asia/Tokyo")).zone == "Asia/Tokyo"
    assert crontab("0 3 * * *", tz=UTC).zone == "UTC"
    for nameless in (None, timezone(timedelta(hours=1))):
        with pytest.raises(UsageError, match="expected a name"):
            crontab("0 3 * * *", tz=nameless)


def test_celerys_fields_by_name():
    assert crontab() == Crontab("* * * * *")
    assert crontab(minute=0, hour=3) == Crontab("0 3 * * *")
    assert crontab(minute="*/15", hour="9-17", day_of_week="mon-fri").line == "*/15 9-17 * * mon-fri"
    assert crontab(minute=[30, 0], hour={3, 4}, month_of_year="jan, jul").line == "0,30 3,4 * jan,jul *"
    assert crontab(minute=0, hour=0, day_of_week="sunday").line == "0 0 * * sunday"


def test_both_days_must_hold_in_celerys_form_and_either_in_cron():
    named = crontab(minute=0, hour=0, day_of_month=13, day_of_week="friday")
    assert named.line == "0 0 13 * friday both-days"
    assert walls(named, "2026-01-01T00:00", 3) == ["02-13 00:00+0000", "03-13 00:00+0000", "11-13 00:00+0000"]
    assert walls(crontab("0 0 13 * fri"), "2026-01-01T00:00", 3) == [
        "01-02 00:00+0000",
        "01-09 00:00+0000",
        "01-13 00:00+0000",
    ]


@pytest.mark.parametrize("given", [True, 1.5, [], [1.5], [True], None, "", ["mon"]])
def test_a_field_that_is_none_is_refused(given):
    with pytest.raises(UsageError, match=r"crontab\(minute="):
        crontab(minute=given)


def test_celerys_positional_fields_are_explained():
    with pytest.raises(UsageError, match="fields by name"):
        crontab(0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not both"):
        crontab("0 3 * * *", hour=4)


def test_full_names_and_nicknames():
    assert walls(crontab("0 0 1 January Monday-Wednesday"), "2026-01-31T00:00", 1) == ["01-01 00:00+0000"]
    assert walls(crontab("@daily", tz="Europe/Paris"), "2026-01-01T12:00", 1) == ["01-02 00:00+0100"]
    assert walls(crontab("@Hourly"), "2026-01-01T12:00", 1) == ["01-01 13:00+0000"]


def test_spaces_do_not_matter_and_text_is_read_again():
    line = crontab("  0   3 * *  1-5 ", tz="Europe/Paris")
    assert line == crontab("0 3 * * 1-5", tz="Europe/Paris")
    assert read_when(*line.said()) == line


def test_seconds_come_first():
    line = crontab("*/20 0 12 * * *")
    first = line.next_after(0)
    assert [line.next_after(first - 1), line.next_after(first)] == [43_200_000, 43_220_000]


def test_a_line_that_runs_once_in_decades_is_found_soon():
    assert walls(crontab("0 0 * 2 mon#5", tz="Europe/Paris"), "2072-03-01T00:00", 1) == ["02-29 00:00+0100"]


def test_there_is_an_end_of_time():
    line = crontab("0 0 1 1 *")
    assert line.next_after(ms("9989-06-01T00:00")) is None
    assert line.last_before(0) is None
    assert line.last_before(1) == 0

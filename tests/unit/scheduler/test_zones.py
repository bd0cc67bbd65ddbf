"""Zones as pieces of constant offset; also of zones that nobody has yet."""

from __future__ import annotations

import struct
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from taskmesh.errors import UsageError
from taskmesh.scheduler.crontab import crontab
from taskmesh.scheduler.zones import check_zone, piece_at
from tests.unit.scheduler.moments import ms, walls

MadeZone = Callable[[str, int, list[tuple[str, int]]], str]


@pytest.fixture
def made_zone(tmp_path: Path) -> Iterator[MadeZone]:
    """Return what makes a zone: its name, the offset at first, and (moment, new offset) of each change; in seconds."""

    def make(name: str, offset_s: int, changes: list[tuple[str, int]]) -> str:
        moments = [ms(text) // 1000 for text, _ in changes]
        offsets = [offset_s, *(offset for _, offset in changes)]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(
            struct.pack(">4sc15x6l", b"TZif", b"\0", 0, 0, 0, len(moments), len(offsets), 4)
            + struct.pack(f">{len(moments)}l", *moments)
            + bytes(range(1, len(offsets)))
            + b"".join(struct.pack(">lbB", offset, 0, 0) for offset in offsets)
            + b"ABC\0"
        )
        return name

    path = zoneinfo.TZPATH
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    yield make
    zoneinfo.reset_tzpath(to=path)


def test_pieces_follow_each_other_without_a_gap():
    at_s, pieces = ms("2020-01-01T00:00") // 1000, []
    while at_s < ms("2030-01-01T00:00") // 1000:
        pieces.append(piece_at("Africa/Casablanca", at_s))
        assert pieces[-1].start_s == at_s
        at_s = pieces[-1].end_s
    assert len({(piece.start_s, piece.end_s) for piece in pieces}) == len(pieces) > 30
    assert all(earlier.end_s == later.start_s for earlier, later in pairwise(pieces))


def test_a_year_is_the_longest_piece():
    piece = piece_at("UTC", ms("2026-07-01T00:00") // 1000)
    assert (piece.start_s, piece.end_s) == tuple(ms(f"{year}-01-01T00:00") // 1000 for year in (2026, 2027))
    assert piece.shown_s == piece.start_s


def test_an_hour_that_is_repeated_on_new_years_eve_is_known_in_the_new_year(made_zone):
    """The clock goes back half an hour before the year ends in UTC, so that the repeated hour lies in both years."""
    zone = made_zone("Made/Back", 3600, [("2026-12-31T23:30", 0)])
    fixed = crontab("15,45 23,0 * * *", tz=zone)
    assert walls(fixed, "2026-12-31T23:50", 5) == [
        "01-01 00:15+0100",
        "01-01 00:45+0000",
        "01-01 23:15+0000",
        "01-01 23:45+0000",
        "01-02 00:15+0000",
    ]
    hourly = crontab("15 * * * *", tz=zone)
    assert walls(hourly, "2026-12-31T23:50", 3) == [
        "01-01 00:15+0100",
        "01-01 00:15+0000",
        "01-01 01:15+0000",
    ]


def test_an_hour_that_is_skipped_at_new_year(made_zone):
    zone = made_zone("Made/Forward", 0, [("2027-01-01T00:00", 3600)])
    assert walls(crontab("30 0 * * *", tz=zone), "2026-12-31T12:00", 2) == [
        "01-01 01:00+0100",
        "01-02 00:30+0100",
    ]


def test_a_clock_that_jumps_by_seconds(made_zone):
    zone = made_zone(
        "Made/Seconds", 37, [("2026-06-01T12:00:10", 0)]
    )  # back by 37 s, as from a local mean time
    each = crontab("*/10 * * * * *", tz=zone)
    found = each.coming(datetime(2026, 6, 1, 12, 0, 1, tzinfo=UTC), 4)
    assert [at.timestamp() - ms("2026-06-01T12:00") / 1000 for at in found] == [3, 10, 20, 30]
    assert [each.last_before(at) for at in (ms("2026-06-01T12:00:10"), ms("2026-06-01T12:00:11"))] == [
        ms("2026-06-01T12:00:03"),
        ms("2026-06-01T12:00:10"),
    ]


def test_a_machine_without_zones_knows_utc_and_says_what_to_install(made_zone, monkeypatch):
    monkeypatch.setattr("taskmesh.scheduler.zones.available_timezones", set)
    assert check_zone("UTC") == "UTC"
    with pytest.raises(UsageError, match="install the package `tzdata`"):
        check_zone("Europe/Nowhere")

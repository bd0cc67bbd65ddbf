"""How figures and texts are shown."""

from __future__ import annotations

import pytest

from taskmesh.cli.output import as_arguments, as_duration, as_iso, as_size, as_time, table_or_list, visible


def test_arguments_stand_as_in_a_call_and_long_ones_are_cut():
    assert as_arguments((1, "a"), {"key": None}) == "1, 'a', key=None"
    assert as_arguments(("x" * 100,), {}, 10) == "'xxxxxxxxx… (102 characters)"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes(count, text):
    assert as_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (59, "59 s"), (60, "1 min"), (725, "12 min 5 s"), (3600, "1 h"), (273_600, "3 d 4 h")],
)
def test_durations(seconds, text):
    assert as_duration(seconds) == text


def test_times():
    assert as_iso(1_700_000_000_123) == "2023-11-14T22:13:20.123+00:00"
    assert as_iso(0) is None
    assert as_time(0) == ""


def test_text_from_elsewhere_cannot_steer_the_terminal():
    assert visible("a\x1b[31mb\nc\x07\udc80").plain == "a\\x1b[31mb\nc\\x07\\udc80"


@pytest.fixture
def at_width(capsys: pytest.CaptureFixture[str]):
    """Show something as on a terminal of so many columns."""

    def at(width: int, *parts: object) -> str:
        from rich.console import Console

        console = Console(highlight=False, markup=False, width=width)
        for part in parts:
            console.print(part)
        return capsys.readouterr().out

    return at


WIDE = (
    "members",
    ["node", "address", "leads", "says"],
    [
        ("n1", "redis://10.0.0.1:6379", 1024, "answers"),
        ("n2", "redis://10.0.0.2:6379", None, "does not answer"),
    ],
)


def test_a_table_that_fits_is_shown_as_one(at_width):
    shown = at_width(70, table_or_list(*WIDE, numbers=["leads"]))
    (row,) = [line for line in shown.splitlines() if "n1" in line]
    assert row.split() == ["n1", "redis://10.0.0.1:6379", "1,024", "answers"]
    assert max(map(len, shown.splitlines())) <= 70


def test_a_table_that_would_be_broken_becomes_a_list(at_width):
    lines = at_width(40, table_or_list(*WIDE, numbers=["leads"])).splitlines()
    assert [line.split() for line in lines if line.strip()] == [
        ["members"],
        ["node", "n1"],
        ["address", "redis://10.0.0.1:6379"],
        ["leads", "1,024"],
        ["says", "answers"],
        ["node", "n2"],
        ["address", "redis://10.0.0.2:6379"],
        ["says", "does", "not", "answer"],
    ]

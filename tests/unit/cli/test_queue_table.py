"""How queues are shown in terminals of usual widths: no name and no number is broken."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from taskmesh.cli.queues import QueueRow, queue_table

ENDED = {"SUCCESS": 1_234_567_890, "FAILURE": 12, "DEAD": 4_711}
WORKERS = tuple(f"worker-{at}@host" for at in range(12))
ROWS = [
    QueueRow("default", 12_345_678, 8, WORKERS, ENDED, False, 0, None, dead=3),
    QueueRow("mail.transactional", 5, 0, (), dict.fromkeys(ENDED, 0), True, 2, 40),
]


def at_width(width: int, rows: list[QueueRow]) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(queue_table(rows))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_neither_names_nor_numbers_are_broken(width):
    shown = at_width(width, ROWS)
    for word in (
        "12,345,678",
        "1,234,567,890",
        "mail.transactional (paused)",
        "40",
        "idle children",
        *WORKERS,
    ):
        assert word in shown
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())


def test_where_the_table_does_not_fit_a_line_tells_of_each_queue():
    shown = " ".join(at_width(80, ROWS).split())
    assert "default 12,345,678 ready, 8 idle children, 1,234,567,890 succeeded, 12 failed, 3 dead;" in shown
    assert "served by worker-0@host, worker-1@host" in shown
    assert "mail.transactional (paused) 5 ready, 2 blocked, weight 40; nobody serves it" in shown


def test_dead_are_those_that_are_there_now():
    """Of those that were dropped or sent again only the totals know."""
    assert "4,711" not in at_width(200, ROWS)
    assert (ROWS[0].as_json()["dead"], ROWS[0].as_json()["totals"]["DEAD"]) == (3, 4_711)
    many = replace(ROWS[0], dead=1_500, is_whole=False)
    assert "1,500 or more" in at_width(400, [many])
    assert "1,500 or more dead;" in " ".join(at_width(80, [many, ROWS[1]]).split())
    assert (many.as_json()["dead"], many.as_json()["dead_at_least"]) == (None, 1_500)


def test_many_workers_are_no_reason_against_the_table():
    assert "───" in at_width(120, ROWS[:1])
    assert "───" not in at_width(80, ROWS[:1])

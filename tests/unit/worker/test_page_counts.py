"""What children count in the page that they share with their supervisor."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from taskmesh.worker.page import COUNTED, Page, make_page


@pytest.fixture
def page() -> Iterator[Page]:
    fd = make_page(3)
    yield Page(fd)
    os.close(fd)


def test_runs_are_counted_by_their_letters_and_others_are_left_alone(page):
    desk = page.desk(1)
    desk.count(b"KKKFK")
    desk.count(b"YSP")  # put off, given back: these have not ended
    desk.count(b"")
    assert dict(zip(COUNTED.decode(), page.counts(1), strict=True)) == {
        "K": 4,
        "F": 1,
        "Y": 1,
        "D": 0,
        "X": 0,
        "V": 0,
    }
    assert page.counts(0) == page.counts(2) == (0,) * len(COUNTED)


def test_a_place_begins_anew(page):
    page.desk(1).count(b"K")
    page.desk(1).running(7)
    page.clear(1)
    assert not any(page.counts(1))
    assert page.running(1) == 0


def test_counts_and_notes_do_not_touch_each_other(page):
    desk = page.desk(1)
    desk.note(2**40, 3, 4, 1.5)
    page.set_recalled(1, 2**40)
    desk.running(2**32 - 1)
    desk.count(b"K" * 5)
    note = page.read(1)
    assert (note.sequence, note.position, note.total, note.started_s) == (2**40, 3, 4, 1.5)
    assert (desk.recalled(), page.running(1), page.counts(1)[0]) == (2**40, 2**32 - 1, 5)

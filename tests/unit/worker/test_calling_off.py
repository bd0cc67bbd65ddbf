"""How a supervisor tells a child what to call off, and knows that it was heard."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from math import inf

import pytest

from taskmesh.worker.calling_off import READ_S, CallingOff
from taskmesh.worker.page import SLIPS_MAX, Page, Slip, make_page
from taskmesh.worker.termination import Termination


@pytest.fixture
def page() -> Iterator[Page]:
    fd = make_page(2)
    yield Page(fd)
    os.close(fd)


def order(sequence: int, sender: str = "client 1@host") -> Termination:
    return Termination("id", "0" * 42 + f"{sequence:08x}", signal.SIGTERM, sender)


def test_slips_are_read_in_their_order_until_they_are_heeded(page: Page) -> None:
    desk = page.desk(1)
    assert [page.write_slip(1, Slip(n, n + 1, f"c{n}")) for n in range(3)] == [1, 2, 3]
    assert desk.slips() == desk.slips() == [Slip(n, n + 1, f"c{n}") for n in range(3)]
    desk.heeded(2)
    assert (page.slips_read(1), desk.slips()) == (2, [Slip(2, 3, "c2")])
    assert page.desk(0).slips() == []


def test_a_child_is_told_no_more_than_there_is_room_for(page: Page) -> None:
    desk, calling_off = page.desk(0), CallingOff()
    told = [calling_off.tell(page, 0, order(n), 1, 0.0) for n in range(SLIPS_MAX + 1)]
    assert told == [True] * SLIPS_MAX + [False]
    desk.heeded(1)
    assert calling_off.tell(page, 0, order(SLIPS_MAX), 1, 0.0)
    assert [slip.sequence for slip in desk.slips()] == list(range(1, SLIPS_MAX + 1))


def test_a_long_name_is_cut_between_letters(page: Page) -> None:
    page.write_slip(0, Slip(1, 1, "ü" * 40 + "x"))
    assert page.desk(0).slips() == [Slip(1, 1, "ü" * 26)]
    page.clear(0)
    page.write_slip(0, Slip(1, 1, "x" + "ü" * 40))
    assert page.desk(0).slips() == [Slip(1, 1, "x" + "ü" * 25)]


def test_what_is_not_read_in_time_is_said_once(page: Page) -> None:
    calling_off, first, second = CallingOff(), order(1), order(2)
    assert calling_off.next_s() == inf
    for one in (first, second, first):
        assert calling_off.tell(page, 0, one, 3, 10.0)
    assert len(page.desk(0).slips()) == 2
    assert calling_off.next_s() == 10.0 + READ_S
    assert calling_off.overdue(page, 0, 11.0) is None
    page.desk(0).heeded(1)
    assert calling_off.overdue(page, 0, 10.0 + READ_S) == second
    assert (calling_off.overdue(page, 0, 99.0), calling_off.next_s()) == (None, inf)


def test_it_is_remembered_who_wanted_it(page: Page) -> None:
    calling_off = CallingOff()
    calling_off.tell(page, 0, order(1, "somebody"), 3, 0.0)
    assert (calling_off.sender(1, 3), calling_off.sender(1, 4)) == ("somebody", None)

"""What a run leaves at its child's place, for the next child there, should its process die."""

from __future__ import annotations

import pytest

from taskmesh.worker.page import WILL_BYTES_MAX, Page, make_page


@pytest.fixture
def page() -> Page:
    made = Page(make_page(2))
    for place in range(2):
        made.clear(place)
    return made


def test_what_a_dead_child_left_reaches_the_next_at_its_place_once(page):
    page.desk(1).leave_will(b"a run")
    page.add_death(1, b"signal 9")
    page.clear(1)
    assert page.desk(0).take_will() is None
    assert page.desk(1).take_will() == (b"a run", b"signal 9")
    assert page.desk(1).take_will() is None


def test_what_was_taken_back_or_is_of_no_death_reaches_nobody(page):
    page.desk(0).leave_will(b"a run")
    page.desk(0).leave_will(b"")
    page.add_death(0, b"signal 9")
    assert page.desk(0).take_will() is None
    page.desk(1).leave_will(b"another")
    assert page.desk(1).take_will() is None


def test_what_is_too_long_is_not_left_and_takes_nothing_of_the_neighbour(page):
    page.desk(1).leave_will(b"of 1")
    page.desk(0).leave_will(b"x" * WILL_BYTES_MAX)
    page.add_death(0, b"y" * 1024)
    page.add_death(1, b"signal 6")
    assert page.desk(0).take_will() == (b"x" * WILL_BYTES_MAX, b"y" * 1024)
    assert page.desk(1).take_will() == (b"of 1", b"signal 6")
    page.desk(0).leave_will(b"x" * (WILL_BYTES_MAX + 1))
    page.add_death(0, b"signal 9")
    assert page.desk(0).take_will() is None

"""What the page says of a child that runs many messages at once, and which claims are done with."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from taskmesh.queue.claim import Claimed
from taskmesh.worker.in_flight import InFlight
from taskmesh.worker.page import MANY, NO_DEADLINE, NOTHING, Deadline, Page, make_page


@pytest.fixture
def page() -> Iterator[Page]:
    fd = make_page(1)
    yield Page(fd)
    os.close(fd)


def claims(*names: str) -> list[Claimed]:
    return [Claimed(name.encode(), b"00000001" + b"e" * 12 + b"0" * 30, b"") for name in names]


def test_the_page_names_the_one_that_runs_and_nobody_while_several_do(page: Page) -> None:
    flight = InFlight(page.desk(0))
    a, b = claims("a", "b")
    flight.begin(7, [a, b])
    assert (page.read(0).position, page.read(0).waiting) == (MANY, 0)
    flight.end(a)
    assert (page.read(0).sequence, page.read(0).position, page.read(0).waiting) == (7, 2, 0)
    flight.end(b)
    assert page.read(0).position == NOTHING


def test_a_suspect_is_named_whatever_else_runs(page: Page) -> None:
    flight = InFlight(page.desk(0))
    (suspect,), (other, third) = claims("s"), claims("o", "t")
    flight.begin(3, [suspect], suspect=True)
    flight.begin(4, [other, third])
    assert (page.read(0).sequence, page.read(0).position) == (3, 1)
    flight.end(suspect)
    assert page.read(0).position == MANY


def test_a_claim_is_done_with_the_last_of_its_messages(page: Page) -> None:
    flight = InFlight(page.desk(0))
    a, b, c = claims("a", "b", "c")
    flight.begin(1, [a, b])
    flight.begin(2, [c])
    assert flight.end(b) is None
    assert flight.end(c) == (2, b"e" * 12)
    assert flight.end(a) == (1, b"e" * 12)
    assert (len(flight), flight.take_ended(), flight.not_counted()) == (0, 3, 0)


def test_who_waits_is_told_when_enough_have_ended(page: Page) -> None:
    flight = InFlight(page.desk(0))
    a, b = claims("a", "b")
    flight.begin(1, [a, b])
    assert not flight.wait(1, 0.0)
    thread = threading.Thread(target=flight.end, args=(a,))
    thread.start()
    assert flight.wait(1, 20.0)
    thread.join()


def test_a_run_that_is_called_off_has_a_deadline_until_it_ends(page: Page) -> None:
    flight = InFlight(page.desk(0))
    a, b = claims("a", "b")
    flight.begin(7, [a, b])
    assert flight.call_off(7, 2, 50.0) == (b.task_id, b.token)
    assert page.deadline(0) == Deadline(50.0, 0.0, 7, 2)
    flight.end(b)
    assert page.deadline(0) == NO_DEADLINE
    assert flight.call_off(7, 2, 50.0) is None


def test_calling_off_makes_no_hard_limit_later(page: Page) -> None:
    flight = InFlight(page.desk(0))
    (a,) = claims("a")
    flight.begin(7, [a])
    flight.set_deadline((a.task_id, a.token), 40.0, 3.0)
    flight.call_off(7, 1, 50.0)
    assert page.deadline(0) == Deadline(40.0, 3.0, 7, 1)

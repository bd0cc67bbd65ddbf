"""What the page says of a child that runs many messages at once, and which claims are done with."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from taskmesh.queue.claim import Claimed
from taskmesh.worker.in_flight import InFlight
from taskmesh.worker.page import CLAIMS_NOTED_MAX, MANY, NO_DEADLINE, NOTHING, Deadline, Page, make_page


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
    assert flight.wait(1, 90.0)
    thread.join()


def test_a_run_that_is_called_off_has_a_deadline_until_it_ends(page: Page) -> None:
    flight = InFlight(page.desk(0))
    a, b = claims("a", "b")
    flight.begin(7, [a, b])
    assert flight.call_off(7, 2, 50.0) == (b.task_id, b.token)
    assert page.deadline(0) == Deadline(50.0, 0.0, 7, 2, b"b")
    flight.end(b)
    assert page.deadline(0) == NO_DEADLINE
    assert flight.call_off(7, 2, 50.0) is None


def test_calling_off_makes_no_hard_limit_later(page: Page) -> None:
    flight = InFlight(page.desk(0))
    (a,) = claims("a")
    flight.begin(7, [a])
    flight.set_deadline((a.task_id, a.token), 40.0, 3.0)
    flight.call_off(7, 1, 50.0)
    assert page.deadline(0) == Deadline(40.0, 3.0, 7, 1, b"a")


def test_the_page_tells_since_when_each_claim_runs(page: Page) -> None:
    flight = InFlight(page.desk(0))
    a, b, c = claims("a", "b", "c")
    before_s = time.monotonic()
    flight.begin(7, [a, b])
    flight.begin(8, [c])
    begun = dict(page.begun(0))
    assert begun.keys() == {7, 8}
    assert before_s <= begun[7] <= begun[8] <= time.monotonic()
    flight.end(a)
    flight.end(c)
    assert page.begun(0) == [(7, begun[7])]
    flight.end(b)
    assert page.begun(0) == []


def test_of_more_claims_than_the_page_has_lines_the_later_ones_are_not_told(page: Page) -> None:
    flight = InFlight(page.desk(0))
    messages = claims(*map(str, range(CLAIMS_NOTED_MAX + 1)))
    for sequence, message in enumerate(messages):
        flight.begin(sequence, [message])
    assert {sequence for sequence, _ in page.begun(0)} == set(range(CLAIMS_NOTED_MAX))
    flight.end(messages[3])
    (again,) = claims("again")
    flight.begin(1000, [again])
    assert 1000 in dict(page.begun(0))
    for message in (*messages[:3], *messages[4:], again):
        flight.end(message)
    assert page.begun(0) == []

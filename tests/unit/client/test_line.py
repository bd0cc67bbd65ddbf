"""The line of those who wait: one leads, the others are parked, and nobody is forgotten."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

from taskmesh.client.line import Line
from tests.support import wait_until

LONG_S = 120.0


class Waiting:
    """One who waits, in a thread of his own."""

    def __init__(self, line: Line, *, until_s: float = LONG_S) -> None:
        self.bell = threading.Lock()
        self.bell.acquire()
        self.line = line
        self.over = threading.Event()
        self.may_stop_leading = threading.Event()
        self.led = self.fails = False
        self._until_s = until_s
        self._thread = threading.Thread(target=self._wait)
        self.thread = 0
        self.error: ZeroDivisionError | None = None

    def start(self) -> Waiting:
        self._thread.start()
        return self

    def _wait(self) -> None:
        self.thread = threading.get_ident()
        try:
            self.line.take_part(self, time.monotonic() + self._until_s, self.over.is_set, self._lead)
        except ZeroDivisionError as error:
            self.error = error

    def _lead(self) -> None:
        self.led = True
        self.may_stop_leading.wait(LONG_S)
        if self.fails:
            raise ZeroDivisionError

    def is_parked(self) -> bool:
        return self in self.line.parked

    def end(self, timeout_s: float = LONG_S / 2) -> bool:
        """Wait until he has left, and tell whether he has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def leader(line):
    found = Waiting(line).start()
    wait_until(lambda: found.led)
    yield found
    found.may_stop_leading.set()
    assert found.end()


@pytest.fixture
def follower(line, leader):
    found = Waiting(line).start()
    wait_until(found.is_parked)
    yield found
    found.over.set()
    found.may_stop_leading.set()
    line.wake_satisfied()
    leader.may_stop_leading.set()
    assert found.end()


def test_the_first_leads_and_the_others_are_parked(line, leader, follower):
    assert line.leader is leader
    assert not follower.led


def test_who_leaves_hands_over(line, leader, follower):
    leader.may_stop_leading.set()
    assert leader.end()
    wait_until(lambda: follower.led)
    assert line.leader is follower
    assert not line.parked


def test_who_leaves_by_an_error_hands_over(line, leader, follower):
    leader.fails = True
    second = Waiting(line).start()
    wait_until(second.is_parked)
    leader.may_stop_leading.set()
    wait_until(lambda: follower.led)
    assert line.leader is follower
    assert leader.end()
    assert leader.error is not None
    second.over.set()
    line.wake_satisfied()
    assert second.end()


def test_those_whose_wait_is_over_are_woken_and_no_others(line, leader, follower):
    other = Waiting(line).start()
    wait_until(other.is_parked)
    other.over.set()
    line.wake_satisfied()
    assert other.end()
    assert follower.is_parked()
    assert not other.led


def test_one_whose_wait_ends_while_he_is_being_parked_does_not_sleep(line, leader):
    """The leader tells nobody who is not in the line yet."""
    late = Waiting(line)
    late.over.set()
    late.start()
    assert late.end()
    assert not line.parked


def test_one_whose_time_is_over_leaves_the_line(line, leader):
    short = Waiting(line, until_s=0.02).start()
    assert short.end()
    assert not short.led
    assert not line.parked


def test_one_whose_wait_is_over_hands_on_the_lead_that_he_is_given(line, leader, follower):
    last = Waiting(line).start()
    wait_until(last.is_parked)
    follower.over.set()  # and nobody has told him yet
    leader.may_stop_leading.set()
    assert follower.end()
    wait_until(lambda: last.led)
    assert not follower.led
    last.may_stop_leading.set()
    assert last.end()
    assert line.leader is None


def test_all_can_be_woken(line, leader, follower):
    line.wake_all()
    assert follower.end()
    assert not follower.led


def test_a_signal_handler_takes_the_lead_of_its_own_thread_and_gives_it_back(line):
    outer, inner = Waiting(line), Waiting(line)
    outer.thread = inner.thread = threading.get_ident()
    seen = []

    def handle():
        line.take_part(inner, time.monotonic(), lambda: False, lambda: seen.append(line.leader is inner))
        seen.append(line.leader is outer)

    line.take_part(outer, time.monotonic() + LONG_S, lambda: False, handle)
    assert seen == [True, True]
    assert line.leader is None


def test_a_leader_who_was_lost_leads_no_longer(line):
    """Interrupted on his way out, before he could hand over."""
    lost = Waiting(line)
    lost.thread = 1
    line.take_part(lost, 0.0, lambda: False, lambda: None)
    line._leader = weakref.ref(lost)
    assert line.leader is lost
    del lost
    gc.collect()
    assert line.leader is None

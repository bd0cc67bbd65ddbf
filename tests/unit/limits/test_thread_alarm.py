"""Errors that are raised in a thread when its time is over, and never after."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import pytest

from taskmesh.errors import SoftTimeLimitExceeded
from taskmesh.limits.alarm import soft_limit_error
from taskmesh.limits.thread_alarm import ThreadAlarms
from tests.support import wait_until

T = TypeVar("T")


def spin() -> None:
    while True:
        pass


def in_a_thread(work: Callable[[], T]) -> T:
    """Call it in a thread of its own, and return or raise what comes of it.

    In Python 3.11 a thread that could not be started leaves a state behind which bears the id of who tried to: what is
    to be raised in that one is never raised. Other tests try that in this process's first thread.
    """
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return found.result(90)


def test_an_endless_loop_is_left_with_the_error_that_was_given() -> None:
    error = soft_limit_error("id", "task", 0.05)
    with pytest.raises(SoftTimeLimitExceeded) as caught:
        in_a_thread(lambda: ThreadAlarms().call_within(0.05, error, spin))
    assert caught.value is error


def test_it_may_be_caught_inside_with_its_facts() -> None:
    alarms = ThreadAlarms()

    def tidy() -> float:
        try:
            with alarms._lock:
                alarms._waiting[0][2].ring()  # not before it would be caught
            spin()
        except SoftTimeLimitExceeded as found:
            return found.limit_s
        return 0.0

    error = soft_limit_error("id", "task", 60.0)
    assert in_a_thread(lambda: alarms.call_within(60.0, error, tidy)) == 60.0


def test_what_ends_in_time_hears_nothing_and_threads_do_not_hear_of_each_other() -> None:
    alarms = ThreadAlarms()
    found: list[object] = []

    def late() -> None:
        try:
            alarms.call_within(0.05, soft_limit_error("late", "task", 0.05), spin)
        except SoftTimeLimitExceeded as error:
            found.append(error.task_id)

    threads = [threading.Thread(target=late) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2000):
        assert alarms.call_within(60.0, soft_limit_error("quick", "task", 60.0), lambda: 1) == 1
    for thread in threads:
        thread.join(90)
    assert found == ["late"] * 3


def test_one_that_rings_while_it_is_taken_back_leaves_nothing_locked() -> None:
    """The error comes as soon as the thread has the lock: it must be given back all the same."""
    alarms = ThreadAlarms()
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait()

    def run() -> None:
        with suppress(SoftTimeLimitExceeded):
            alarms.call_within(60.0, soft_limit_error("id", "task", 60.0), work)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    with alarms._lock:
        may_end.set()
        # it waits for the lock
        wait_until(lambda: _runs(thread) in ("_disarm", "__enter__"))
        alarms._waiting[0][2].ring()
    thread.join()
    assert alarms._lock.acquire(timeout=90)


def _runs(thread: threading.Thread) -> str:
    return sys._current_frames()[thread.ident or 0].f_code.co_name

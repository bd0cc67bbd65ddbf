"""Alarms: raised once, in time, and never left behind."""

from __future__ import annotations

import signal
import threading

import pytest

from taskmesh.errors import SoftTimeLimitExceeded
from taskmesh.limits.alarm import Alarm, call_within, soft_limit_error

SOON_S = 0.02


def error(seconds: float = SOON_S) -> SoftTimeLimitExceeded:
    return soft_limit_error("id", "task", seconds)


def wait_for_ever() -> None:
    threading.Event().wait(60)


def ring_soon() -> None:
    """Have the alarm that is set ring in a moment: what runs is ready for it only now."""
    signal.setitimer(signal.ITIMER_REAL, SOON_S)


def nothing_is_left() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0 and signal.getsignal(signal.SIGALRM) in (
        signal.SIG_DFL,
        None,
    )


def test_it_is_raised_in_what_runs_too_long() -> None:
    with pytest.raises(SoftTimeLimitExceeded, match=r"soft_time_limit of 0.02 s") as caught:
        call_within(Alarm(), SOON_S, error(), wait_for_ever)
    assert (caught.value.limit_s, caught.value.task_id) == (SOON_S, "id")
    assert nothing_is_left()


def test_what_ends_in_time_is_left_alone() -> None:
    assert call_within(Alarm(), 60, error(), lambda: 5) == 5
    assert nothing_is_left()


def test_it_is_raised_once_and_what_catches_it_goes_on() -> None:
    def stubborn() -> str:
        try:
            ring_soon()
            wait_for_ever()
        except SoftTimeLimitExceeded:
            signal.raise_signal(signal.SIGALRM)
        return "cleaned up"

    assert call_within(Alarm(), 60, error(), stubborn) == "cleaned up"
    assert nothing_is_left()


def test_the_handler_of_the_app_is_put_back() -> None:
    def own(_signum: int, _frame: object) -> None:
        """Do nothing."""

    before = signal.signal(signal.SIGALRM, own)
    try:
        call_within(Alarm(), 60, error(), int)
        assert signal.getsignal(signal.SIGALRM) is own
    finally:
        signal.signal(signal.SIGALRM, before)


def test_alarms_nest_and_the_outer_one_still_rings() -> None:
    def outer() -> None:
        assert call_within(Alarm(), 60, error(60), lambda: 1) == 1
        wait_for_ever()

    with pytest.raises(SoftTimeLimitExceeded):
        call_within(Alarm(), SOON_S, error(), outer)
    assert nothing_is_left()


def test_an_outer_alarm_whose_time_passed_inside_rings_when_the_inner_one_ends() -> None:
    def inner() -> None:
        threading.Event().wait(3 * SOON_S)

    def outer() -> None:
        call_within(Alarm(), 60, error(60), inner)
        wait_for_ever()

    with pytest.raises(SoftTimeLimitExceeded, match=r"0\.02 s"):
        call_within(Alarm(), SOON_S, error(), outer)


def test_an_outer_alarm_that_rings_while_an_inner_one_is_set_is_not_taken_for_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_timer = signal.setitimer

    def set_late(which: int, seconds: float) -> tuple[float, float]:
        monkeypatch.setattr(signal, "setitimer", set_timer)
        signal.raise_signal(signal.SIGALRM)
        return set_timer(which, seconds)

    def outer() -> None:
        monkeypatch.setattr(signal, "setitimer", set_late)
        call_within(Alarm(), 50, error(50), wait_for_ever)

    with pytest.raises(SoftTimeLimitExceeded, match="60 s"):
        call_within(Alarm(), 60, error(60), outer)
    assert nothing_is_left()


def test_other_threads_cannot_be_reached() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(Alarm.is_possible()))
    thread.start()
    thread.join()
    assert found == [False]
    assert Alarm.is_possible()

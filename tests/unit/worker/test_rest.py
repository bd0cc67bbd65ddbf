"""How long a node is left alone that is away, or slow."""

from __future__ import annotations

from taskmesh.worker.rest import AWAY_S_MAX, AWAY_S_MIN, SLOW_S, SLOW_TIMES, Rest


def test_longer_each_time_and_never_for_long():
    rest, pauses = Rest(), []
    for _ in range(20):
        rest.missed(100.0)
        pauses.append(rest.until_s - 100.0)
    assert abs(pauses[0] - AWAY_S_MIN) < 1e-6
    assert pauses == sorted(pauses)
    assert pauses[-1] == AWAY_S_MAX


def test_an_answer_ends_that():
    rest = Rest()
    rest.missed(100.0)
    rest.answered(SLOW_S / 2, 101.0)
    assert (rest.misses, rest.until_s) == (0, 0.0)


def test_a_slow_one_is_asked_less_often_and_is_not_away():
    rest = Rest()
    rest.answered(2 * SLOW_S, 100.0)
    assert rest.misses == 0
    assert rest.until_s == 100.0 + SLOW_TIMES * 2 * SLOW_S

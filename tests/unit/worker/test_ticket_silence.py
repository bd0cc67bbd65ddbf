"""When a consumer that hears nothing counts as deaf."""

from __future__ import annotations

import pytest

from taskmesh.worker.ticket_silence import AGAIN_S, QUIET_S, QUIET_S_MAX, Silence


@pytest.fixture
def silence() -> Silence:
    return Silence()


def test_a_short_silence_is_none(silence):
    assert not silence.lasts(QUIET_S / 2)
    silence.heard()
    assert not silence.lasts(QUIET_S - 0.1)
    assert silence.lasts(0.1)


def test_where_no_ticket_waits_it_goes_on_and_is_looked_at_now_and_then(silence):
    for _ in range(3):
        assert silence.lasts(QUIET_S)
        assert not silence.is_deaf(tickets_wait=False)
        assert not silence.lasts(QUIET_S / 2)
        assert silence.lasts(QUIET_S / 2)
        assert not silence.is_deaf(tickets_wait=False)


def test_tickets_that_wait_get_a_moment_to_be_delivered(silence):
    assert silence.lasts(QUIET_S)
    assert not silence.is_deaf(tickets_wait=True)
    assert not silence.lasts(AGAIN_S / 2)
    assert silence.lasts(AGAIN_S / 2)
    assert silence.is_deaf(tickets_wait=True)


def test_one_that_was_delivered_meanwhile_ends_the_suspicion(silence):
    silence.lasts(QUIET_S)
    silence.is_deaf(tickets_wait=True)
    silence.heard()
    assert not silence.lasts(AGAIN_S)
    silence.lasts(QUIET_S)
    assert not silence.is_deaf(tickets_wait=True)


def test_another_that_is_deaf_as_well_gets_longer_and_in_the_end_a_minute(silence):
    waits = []
    for _ in range(8):
        waited_s = 0.0
        while not silence.lasts(0.5):
            waited_s += 0.5
        silence.is_deaf(tickets_wait=True)
        while not silence.lasts(0.5):
            waited_s += 0.5
        assert silence.is_deaf(tickets_wait=True)
        waits.append(waited_s)
    assert waits == sorted(waits)
    assert waits[0] <= QUIET_S + AGAIN_S
    assert QUIET_S_MAX - 1 <= waits[-1] <= QUIET_S_MAX + AGAIN_S

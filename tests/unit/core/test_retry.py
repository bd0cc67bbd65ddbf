"""When a message is tried again, and whether at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.core.retry import RetryPolicy, next_due_ms

NOW_MS = 1_700_000_000_000
chances = st.floats(0, 1, exclude_max=True)
delays = st.floats(0, 1e6)
policies = st.builds(
    RetryPolicy,
    max_retries=st.none() | st.integers(0, 20),
    delay_s=delays,
    backoff_s=st.just(0.0) | st.floats(0.001, 1000),
    backoff_max_s=delays,
    jitter=st.booleans(),
    deadline_s=st.none() | st.floats(0, 1e6),
)


@given(policies, st.integers(0, 10_000), chances)
def test_a_delay_is_never_negative_nor_beyond_its_bound(policy, retries, chance):
    wait_s = policy.wait_s(retries, lambda: chance)
    assert 0 <= wait_s <= (policy.backoff_max_s if policy.backoff_s else policy.delay_s)
    assert math.isfinite(wait_s)


@given(policies, st.integers(0, 100))
def test_without_jitter_delays_do_not_shrink(policy, retries):
    # a chance of almost 1 is no jitter
    first, second = (policy.wait_s(retries + n, lambda: 1.0) for n in (0, 1))
    assert second >= first


@given(st.floats(0.01, 100), st.integers(0, 10))
def test_a_backed_off_delay_doubles(backoff_s, retries):
    policy = RetryPolicy(backoff_s=backoff_s, backoff_max_s=1e9, jitter=False)
    assert policy.wait_s(retries, lambda: 0.0) == pytest.approx(backoff_s * 2**retries)


@given(st.lists(chances, min_size=2, max_size=2))
def test_jitter_draws_from_all_of_the_delay(drawn):
    policy = RetryPolicy(backoff_s=8.0)
    assert [policy.wait_s(0, lambda chance=chance: chance) for chance in drawn] == [
        8.0 * chance for chance in drawn
    ]


@given(policies, st.integers(0, 30), chances, st.none() | st.integers(0, 30))
def test_there_are_no_more_retries_than_are_allowed(policy, retries, chance, max_retries):
    due_ms = next_due_ms(
        policy,
        retries=retries,
        now_ms=NOW_MS,
        last_ms=0,
        chance=lambda: chance,
        max_retries=max_retries,
    )
    most = policy.max_retries if max_retries is None else max_retries
    assert (due_ms is None) == (most is not None and retries >= most)
    assert due_ms is None or due_ms >= NOW_MS


@given(policies, st.integers(0, 10**7), st.just(0) | st.integers(NOW_MS, NOW_MS + 10**7), chances)
def test_no_attempt_begins_when_time_is_over(policy, age_ms, expires_ms, chance):
    sent_ms = NOW_MS - age_ms
    last_ms = policy.last_ms(sent_ms, expires_ms)
    due_ms = next_due_ms(policy, retries=0, now_ms=NOW_MS, last_ms=last_ms, chance=lambda: chance)
    if due_ms is not None:
        assert not expires_ms or due_ms < expires_ms
        assert policy.deadline_s is None or due_ms < sent_ms + math.ceil(policy.deadline_s * 1000)
    elif policy.max_retries != 0:
        assert last_ms


def test_what_is_asked_for_counts_before_the_policy():
    policy = RetryPolicy(backoff_s=100, jitter=False)

    def due_ms(**asked):
        found = next_due_ms(policy, retries=0, now_ms=NOW_MS, last_ms=0, chance=lambda: 0.5, **asked)
        return found - NOW_MS

    assert due_ms() == 100_000
    assert due_ms(countdown_s=0) == 0
    assert due_ms(countdown_s=0.0001) == 1
    assert due_ms(eta_ms=NOW_MS + 5) == 5
    assert due_ms(eta_ms=NOW_MS - 5) == 0


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (ConnectionError(), True),
        (ConnectionResetError(), True),
        (ConnectionRefusedError(), False),
        (KeyError(), False),
        (SystemExit(), False),
    ],
)
def test_errors_count_by_their_class(error, asked):
    policy = RetryPolicy(autoretry_for=(ConnectionError,), dont_autoretry_for=(ConnectionRefusedError,))
    assert policy.asks_for(error) is asked

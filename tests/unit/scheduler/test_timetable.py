"""Firings between moments, jitter, misfire and overlap."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.scheduler.crontab import crontab
from taskmesh.scheduler.every import every
from taskmesh.scheduler.misfire import ON_TIME_MS, still_to_run, to_run
from taskmesh.scheduler.overlap import Verdict, buffered_may_run, verdict
from taskmesh.scheduler.timetable import due_ms, firings, next_firing, previous_firing
from tests.unit.scheduler.moments import ms

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NOW_MS = ms("2026-11-26T12:00")


def test_the_begin_is_exclusive_and_the_end_inclusive():
    assert list(firings(every(10), 0, 30_000)) == [10_000, 20_000, 30_000]
    assert list(firings(every(10), -1, 9_999)) == [0]
    assert list(firings(every(10), 10_000, 10_000)) == []


def test_a_schedule_may_fire_at_its_start_but_not_at_its_end():
    assert list(firings(every(10), 0, 99_000, start_ms=20_000, end_ms=40_000)) == [20_000, 30_000]
    assert next_firing(every(10), 0, start_ms=20_001) == 30_000
    assert next_firing(every(10), 30_000, end_ms=40_000) is None
    assert previous_firing(every(10), 99_000, start_ms=20_000, end_ms=40_000) == 30_000
    assert previous_firing(every(10), 20_000, start_ms=20_000) is None
    assert previous_firing(every(10), 20_001, start_ms=20_000) == 20_000


@given(st.integers(0, 10**13), st.integers(1, 10**7))
def test_jitter_delays_by_no_more_than_it_may_and_always_by_the_same(nominal_ms, jitter_ms):
    due = due_ms("report", nominal_ms, jitter_ms)
    assert nominal_ms <= due <= nominal_ms + jitter_ms
    assert due == due_ms("report", nominal_ms, jitter_ms)
    assert due_ms("report", nominal_ms, 0) == nominal_ms


def test_jitter_spreads_schedules_and_days():
    by_name = [due_ms(f"s{number}", NOW_MS, 999) - NOW_MS for number in range(2000)]
    by_day = [due_ms("s", NOW_MS + day * DAY_MS, 999) - NOW_MS - day * DAY_MS for day in range(2000)]
    for delays in (by_name, by_day):
        tenths = [sum(delay // 100 == tenth for delay in delays) for tenth in range(10)]
        assert min(tenths) > 130, tenths


# -- misfire ------------------------------------------------------------------------------------------------------

#: Policy, how many minutes ago the last firing was seen to, catch-up in minutes -> which minutes before now are run.
#: Every ten minutes; now is 40 s after one of them, so that none is on time.
MISSED = [
    ("skip", 60, 1440, []),
    ("latest", 60, 1440, [0]),
    ("all", 60, 1440, [50, 40, 30, 20, 10, 0]),
    ("all", 60, 25, [20, 10, 0]),
    ("latest", 60, 25, [0]),
    ("latest", 60, 0, []),
    ("all", 60, 0, []),
    ("skip", 0, 1440, []),
    ("latest", 0, 1440, []),
    ("all", 0, 1440, []),
]


@pytest.mark.parametrize(("policy", "seen", "window", "expected"), MISSED)
def test_what_is_run_of_those_missed(policy, seen, window, expected):
    found = to_run(
        every("10m"),
        after_ms=NOW_MS - seen * MINUTE_MS,
        now_ms=NOW_MS + 40_000,
        misfire=policy,
        catch_up_ms=window * MINUTE_MS,
    )
    assert [(NOW_MS - moment) // MINUTE_MS for moment in found] == expected


@pytest.mark.parametrize(("policy", "expected"), [("skip", [0]), ("latest", [0]), ("all", [20, 10, 0])])
def test_what_is_on_time_is_run_under_any_policy(policy, expected):
    for late_ms in (0, ON_TIME_MS):
        found = to_run(
            every("10m"),
            after_ms=NOW_MS - 30 * MINUTE_MS,
            now_ms=NOW_MS + late_ms,
            misfire=policy,
            catch_up_ms=DAY_MS,
        )
        assert [(NOW_MS - moment) // MINUTE_MS for moment in found] == expected


@pytest.mark.parametrize("policy", ["skip", "latest", "all"])
def test_the_election_of_a_leader_leaves_nothing_out(policy):
    found = to_run(every(1), after_ms=NOW_MS - 9_000, now_ms=NOW_MS, misfire=policy, catch_up_ms=0)
    assert len(list(found)) == 9


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_what_was_missed_outside_start_and_end_is_not_run(policy):
    def run(**bounds: int) -> list[int]:
        return list(
            to_run(
                every("10m"),
                after_ms=0,
                now_ms=NOW_MS + MINUTE_MS,
                misfire=policy,
                catch_up_ms=25 * MINUTE_MS,
                **bounds,
            )
        )

    assert run(end_ms=NOW_MS)[-1] == NOW_MS - 10 * MINUTE_MS
    assert run(start_ms=NOW_MS) == [NOW_MS]
    assert run(start_ms=NOW_MS + 1) == []


def test_a_long_absence_costs_nothing_unless_all_is_wanted():
    for policy in ("skip", "latest"):
        found = to_run(every(0.1), after_ms=0, now_ms=NOW_MS, misfire=policy, catch_up_ms=365 * DAY_MS)
        assert len(list(found)) == ON_TIME_MS // 100 + 1


def test_the_last_that_was_missed_is_found_across_a_change_of_the_clock():
    line = crontab("30 2 * * *", tz="Europe/Paris")
    found = to_run(line, after_ms=0, now_ms=ms("2026-03-29T05:00Z"), misfire="latest", catch_up_ms=DAY_MS)
    assert list(found) == [ms("2026-03-29T01:00Z")]


def test_what_could_not_be_enqueued_is_missed_by_the_same_rules():
    """However it came to be late: 15 s are on time, and what is older is as the policy says."""
    old, older, oldest = NOW_MS - 60_000, NOW_MS - 120_000, NOW_MS - DAY_MS - 1
    on_time = [NOW_MS - ON_TIME_MS, NOW_MS]

    def run(policy: str, late: list[int]) -> list[int]:
        return still_to_run(late, NOW_MS, policy, DAY_MS)

    assert run("all", [oldest, older, old, *on_time]) == [older, old, *on_time]
    for policy in ("latest", "skip"):
        assert run(policy, [oldest, older, old, *on_time]) == on_time
    assert run("latest", [oldest, older, old]) == [old]
    assert run("latest", [oldest]) == []
    assert run("skip", [older, old]) == []
    assert still_to_run([old, NOW_MS], NOW_MS, "all", 0) == [NOW_MS]


# -- overlap ------------------------------------------------------------------------------------------------------

OVERLAPS = {
    # policy, previous final, one buffered
    ("allow", True, False): Verdict.RUN,
    ("allow", False, False): Verdict.RUN,
    ("allow", True, True): Verdict.RUN,
    ("allow", False, True): Verdict.RUN,
    ("skip", True, False): Verdict.RUN,
    ("skip", False, False): Verdict.SKIP,
    ("skip", True, True): Verdict.RUN,
    ("skip", False, True): Verdict.SKIP,
    ("buffer-one", True, False): Verdict.RUN,
    ("buffer-one", False, False): Verdict.BUFFER,
    ("buffer-one", True, True): Verdict.RUN_BUFFERED,
    ("buffer-one", False, True): Verdict.SKIP,
}


def test_every_case_of_overlap():
    for case in product(("allow", "skip", "buffer-one"), (True, False), (True, False)):
        policy, final, buffered = case
        assert verdict(policy, previous_final=final, buffered=buffered) is OVERLAPS[case], case


def test_what_was_buffered_runs_when_the_one_before_it_has_ended():
    assert buffered_may_run(previous_final=True, buffered=True)
    assert not buffered_may_run(previous_final=False, buffered=True)
    assert not buffered_may_run(previous_final=True, buffered=False)

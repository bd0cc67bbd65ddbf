"""Rate limits: no window of the period's length sees more starts than the limit, whoever asks when."""

from __future__ import annotations

import heapq
import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmesh.client.options import check_rate
from taskmesh.core.rate import Rate
from taskmesh.errors import UsageError
from taskmesh.queue.rate import BEGIN, END, GO_ON, HASTENED_AT_ONCE, ask_start, hasten
from taskmesh.queue.setting import put_rate_limit
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_network import SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime
from tests.simulation.checkers.starts import most_in_a_window
from tests.simulation.ledger import PREFIX

#: What always comes late bounces more than once; so often on the average is not what anybody would call progress.
BOUNCES_MAX = 30


class Asking:
    """A node, and somebody who asks it at any time."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.node = SimulatedNode()
        self.process = SimulatedProcess("p", SimulatedNetwork(VirtualTime(), self.node, Random(0)))
        self.session = self.process.session(PREFIX, epoch=self.node.set_epoch(PREFIX))
        self.now_ms = 1_700_000_000_000
        self.session.now_ms = lambda: self.now_ms

    def ask(self, task_id: str, rate: Rate | None = None) -> tuple[bool, float]:
        start = self.run(ask_start(self.session, "task", rate or self.rate, task_id))
        return start.granted, start.moment_ms

    def run(self, steps):
        """Run a protocol that is answered each time."""
        replies = None
        while True:
            try:
                (call,) = steps.send(replies)
            except StopIteration as ended:
                return ended.value
            replies = [self.node.call((b"EVAL", call.script.source, b"1", call.prefix, *call.args))]

    def set(self, limit: str) -> bool:
        """Have an operator set a limit."""
        return self.run(put_rate_limit(self.session, "task", limit))

    def starts(self, arrivals_ms: list[int], late_ms: list[int]) -> tuple[list[float], dict[str, int]]:
        """Let messages arrive, come back for what was reserved and start, each a little late; return when they do."""
        late = itertools.cycle(late_ms)
        begin_ms = self.now_ms
        line = [(begin_ms + at, f"m{number}") for number, at in enumerate(arrivals_ms)]
        heapq.heapify(line)
        started, bounces = [], dict.fromkeys((name for _, name in line), 0)
        while line:
            self.now_ms, task_id = heapq.heappop(line)
            assert sum(bounces.values()) < BOUNCES_MAX * len(bounces), "it does not come to an end"
            granted, moment_ms = self.ask(task_id)
            if granted:
                # as late as it may start; later, the worker asks anew
                start_ms = min(self.now_ms + next(late), moment_ms + self.rate.grace_us / 1000)
                started.append(max(self.now_ms, start_ms))
            else:
                bounces[task_id] += 1
                heapq.heappush(line, (-int(-moment_ms // 1) + next(late), task_id))
        return sorted(started), bounces


RATES = st.sampled_from(["1/s", "2/s", "20/s", "100/s", "5/m", "10/m", "5/h"]).map(check_rate)


@settings(deadline=None, max_examples=60)
@given(
    RATES,
    st.lists(st.integers(0, 3000), min_size=1, max_size=60),
    st.lists(st.sampled_from([0, 0, 1, 5, 19, 60, 400]), min_size=1, max_size=7),
)
def test_no_window_sees_more_starts_than_the_limit(rate, arrivals_ms, late_ms):
    started, _ = Asking(rate).starts(arrivals_ms, late_ms)
    assert len(started) == len(arrivals_ms)
    assert most_in_a_window(started, rate.period_s * 1000) <= rate.count


@settings(deadline=None, max_examples=30)
@given(
    RATES,
    st.lists(st.integers(0, 3000), min_size=1, max_size=60),
    st.lists(st.integers(0, 18), min_size=1, max_size=7),
)
def test_who_comes_back_in_time_waits_once_and_nothing_is_wasted(rate, arrivals_ms, late_ms):
    asking = Asking(rate)
    begin_ms = asking.now_ms
    started, bounces = asking.starts(arrivals_ms, late_ms)
    assert max(bounces.values()) <= 1
    needed_ms = len(arrivals_ms) * rate.interval_us / 1000
    assert started[-1] <= begin_ms + max(arrivals_ms) + needed_ms + 20


def test_one_that_is_alone_starts_at_once():
    asking = Asking(check_rate("5/h"))
    assert asking.ask("m") == (True, asking.now_ms)


def test_what_is_reserved_stays_reserved():
    asking = Asking(check_rate("1/s"))
    _, first_ms = asking.ask("m")
    asking.now_ms += 10
    waits = asking.ask("n")
    assert waits == (False, first_ms + asking.rate.interval_us / 1000)
    assert asking.ask("n") == waits
    # newcomers overtake nobody
    asking.now_ms = int(waits[1]) - 1
    assert not asking.ask("o")[0]
    asking.now_ms += 2
    assert asking.ask("n")[0]


def test_what_always_comes_late_is_started_all_the_same():
    """Behind a long line everything comes back late: it is started even so."""
    asking = Asking(check_rate("20/s"))
    begin_ms = asking.now_ms
    started, _ = asking.starts([0] * 60, [400])
    assert most_in_a_window(started, 1000) <= 20
    assert started[-1] - begin_ms < 10 * 60 * asking.rate.interval_us / 1000


def test_another_limit_counts_from_the_last_start():
    asking = Asking(check_rate("1/h"))
    _, first_ms = asking.ask("m")
    granted, moment_ms = asking.ask("n", rate=check_rate("1/s"))
    assert not granted
    assert moment_ms - first_ms < 2200


def test_nothing_is_kept_of_what_was_revoked_meanwhile():
    asking = Asking(check_rate("20/s"))
    for number in range(10):
        asking.ask(f"m{number}")
    asking.now_ms += 2 * 3600 * 1000
    assert asking.ask("last")[0]
    assert not [key for key in asking.node.values if key.startswith(PREFIX + b"rate:")]


@pytest.mark.parametrize(
    "value", ["0/s", "1/d", "10", "1.5/s", "-1/s", "", 0, True, 1.5, "1000000/s", "10 / s"]
)
def test_a_limit_that_cannot_be_is_refused(value):
    with pytest.raises(UsageError, match="rate_limit="):
        check_rate(value)


def test_a_number_is_per_second():
    assert check_rate(7) == check_rate("7/s") == Rate(7, 1.0)
    assert str(check_rate("10/m")) == "10/m"


def test_what_an_operator_has_set_holds_instead_of_the_codes_limit():
    """Also for who has not heard of it, and names the limit of the code."""
    asking = Asking(check_rate("1/h"))
    assert asking.ask("a")[0]
    assert asking.set("20/s")
    rate = check_rate("20/s")
    assert asking.ask("b") == (False, asking.now_ms + (rate.interval_us + rate.grace_us) / 1000)
    assert asking.set("none")
    assert not asking.set("none")
    assert all(asking.ask(name)[0] for name in "cdef")
    assert asking.set("")
    assert not asking.ask("g")[0]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60), st.sampled_from(["2/s", "20/s", "10/m"]))
def test_no_window_sees_more_starts_than_what_was_set(arrivals_ms, limit):
    asking = Asking(check_rate(limit))
    asking.set(limit)
    ask, of_code = asking.ask, check_rate("999999/s")
    asking.ask = lambda task_id: ask(task_id, of_code)
    started, _ = asking.starts(arrivals_ms, [0, 5, 19])
    assert most_in_a_window(started, asking.rate.period_s * 1000) <= asking.rate.count


def test_what_waits_comes_back_at_once_when_the_limit_changes_and_those_who_wait_anew_do_not():
    asking = Asking(check_rate("1/h"))
    asking.ask("first")
    call, prefix = asking.node.call, PREFIX.encode() if isinstance(PREFIX, str) else PREFIX

    def record(name: str, state: bytes) -> None:
        call((b"SET", prefix + b"r:" + name.encode(), b"1" + state + b"00000002" + b"0" * 80))

    for number in range(HASTENED_AT_ONCE + 2):
        name = f"m{number:04}"
        _, moment_ms = asking.ask(name)
        record(name, b"T" if not number else b"S")
        if number:
            call((b"ZADD", prefix + b"d", b"%d" % moment_ms, f"{name}:00000002".encode()))
    asking.set("5/s")
    assert asking.run(hasten(asking.session, "task", BEGIN)) == 3
    # one of them waits anew, by the new limit, and is left alone
    again = asking.ask("m0001")
    assert again[1] < asking.now_ms + 1000
    assert asking.run(hasten(asking.session, "task", GO_ON)) == 1
    due = call((b"ZRANGE", prefix + b"d", b"0", b"-1", b"WITHSCORES"))
    assert {int(score) for score in due[1::2]} == {asking.now_ms}
    assert len(due) == 2 * (HASTENED_AT_ONCE + 1)
    assert call((b"GETRANGE", prefix + b"r:m0005", b"74", b"85")) == b"%012x" % asking.now_ms
    # its child says that it waits
    record("m0000", b"S")
    assert asking.run(hasten(asking.session, "task", GO_ON)) == 0
    assert asking.ask("m0001") == again
    assert asking.run(hasten(asking.session, "task", END)) == 0

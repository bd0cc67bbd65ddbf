"""What each strategy makes of the same lines: its distribution, that nobody starves, that no queue is lost."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskmesh.balancing.named import BUILT_IN, strategy_named
from taskmesh.balancing.sources import Load, Loads, Source
from taskmesh.balancing.strategy import PASSED_OVER_S, ordered
from tests.unit.balancing.drains import FULL, Drain

NAMES = sorted(BUILT_IN)
FAIR = [name for name in NAMES if name != "priority"]
BY_TIME = [name for name in FAIR if name != "weighted"]

few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is slow
queues = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)
loads = st.builds(
    Load,
    weight=st.integers(1, 9),
    backlog=st.none() | st.integers(0, 1000),
    served_s=st.floats(0, 10),
    passes=st.integers(0, 5),
    taken=st.none() | st.integers(0, 200),
    drained=st.booleans(),
)


def chi_square(counts: Counter[str], expected: dict[str, float]) -> float:
    total = sum(counts.values())
    return sum((counts[key] - share * total) ** 2 / (share * total) for key, share in expected.items())


# -- every strategy ---------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@few
@given(rounds=st.lists(st.tuples(queues, st.data()), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_an_order_holds_every_source_once_whatever_comes_and_goes(name, rounds, seed):
    """Sources are added and removed between choices, and loads say anything."""
    strategy, rng = strategy_named(name), random.Random(seed)
    for names, data in rounds:
        sources = [Source("node", queue) for queue in names]
        told = Loads(10.0, {source: data.draw(loads) for source in sources if data.draw(st.booleans())})
        assert sorted(ordered(strategy, sources, told, rng)) == sorted(sources)


@pytest.mark.parametrize("name", NAMES)
def test_the_strategies_work_where_nobody_counts(name):
    """`choose` alone, over and over, with nothing told but the weights: what it puts first is what gives."""
    strategy, rng = strategy_named(name), random.Random(1)
    sources = [Source("node", queue) for queue in "ab"]
    told = Loads(0.0, {sources[0]: Load(weight=3), sources[1]: Load()})
    first = Counter(strategy.choose(sources, told, rng)[0].queue for _ in range(400))
    expected = {"round-robin": (200, 200), "weighted": (300, 100), "priority": (400, 0)}.get(name)
    if expected:
        assert (first["a"], first["b"]) == expected
    else:
        assert min(first.values()) > 150


@pytest.mark.parametrize("name", BY_TIME)
@few
@given(
    steps=st.lists(st.tuples(st.floats(0.001, 0.6), st.integers(1, 20)), min_size=20, max_size=60),
    backlogs=st.lists(st.integers(1, 10**6), min_size=2, max_size=5),
    seed=st.integers(0, 99),
)
def test_a_source_that_was_passed_over_for_a_second_goes_first(name, steps, backlogs, seed):
    drain = Drain(name, {f"q{at}": FULL + backlog for at, backlog in enumerate(backlogs)}, seed=seed)
    since = dict.fromkeys(drain.lines, 0.0)
    passed: set[str] = set()
    for step_s, most in steps:
        now_s = drain.now_s
        waited = {queue for queue in passed if now_s - since[queue] >= PASSED_OVER_S}
        (gave,) = set(drain.claim(most, step_s))
        if waited:
            assert since[gave] == min(since[queue] for queue in waited)
        since[gave] = now_s
        passed = set(drain.lines) - {gave}


@pytest.mark.parametrize("name", FAIR)
@few
@given(
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    seed=st.integers(0, 99),
    step=st.floats(0.001, 9),
)
def test_nobody_starves(name, weights, seed, step):
    """However long tasks take: within so many claims each source has its turn."""
    lines = {f"q{at}": FULL + at * 10**6 for at in range(len(weights))}
    drain = Drain(name, lines, weights=dict(zip(lines, weights, strict=True)), seed=seed)
    turns = len(lines) if step >= PASSED_OVER_S else sum(weights) + int(PASSED_OVER_S / step) + len(lines)
    turns = max(turns, sum(weights)) if name == "weighted" else turns
    for _ in range(3):
        assert {queue for _ in range(turns + 1) for queue in drain.claim(1, step)} == set(lines)


# -- one by one -------------------------------------------------------------------


def test_priority_serves_the_second_only_when_the_first_is_empty():
    drain = Drain("priority", {"a": 250, "b": FULL})
    assert Counter(queue for _ in range(3) for queue in drain.claim(100, step_s=5.0)) == {"a": 250, "b": 50}
    drain.lines["a"] = 10
    assert drain.claim(20) == ["a"] * 10 + ["b"] * 10


@few
@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=5), most=st.integers(1, 200))
def test_weights_hold_exactly_over_any_full_round(weights, most):
    """Any row of as many claims as the weights add up to holds each source exactly as often as it weighs."""
    lines = {f"q{at}": FULL for at in range(len(weights))}
    drain = Drain("weighted", lines, weights=dict(zip(lines, weights, strict=True)))
    total = sum(weights)
    gave = [drain.claim(most)[0] for _ in range(3 * total)]
    for start in range(2 * total):
        row = Counter(gave[start : start + total])
        assert [row[queue] for queue in lines] == weights


def test_weights_are_smooth():
    drain = Drain("weighted", {"a": FULL, "b": FULL}, weights={"a": 3, "b": 1})
    assert "".join(drain.claim()[0] for _ in range(8)) == "aabaaaba"


@few
@given(sizes=st.lists(st.integers(1, 200), min_size=100, max_size=200), weight=st.integers(1, 5))
def test_weights_hold_over_messages_however_large_claims_are(sizes, weight):
    drain = Drain("weighted", {"a": FULL, "b": FULL}, weights={"a": weight})
    for most in sizes:
        drain.claim(most)
    share = weight / (weight + 1) * sum(sizes)
    assert abs(drain.taken["a"] - share) <= 2 * max(sizes)


@few
@given(refill=st.lists(st.integers(0, 30), min_size=200, max_size=200), most=st.integers(1, 50))
def test_weights_hold_between_full_queues_whatever_a_third_one_does(refill, most):
    """It runs empty now and then: it keeps no credit of that time, and the others share what it leaves."""
    drain = Drain("weighted", {"a": FULL, "b": FULL, "c": 0}, weights={"a": 2, "b": 1, "c": 3})
    for count in refill:
        drain.lines["c"] += count
        drain.claim(most)
    assert abs(drain.taken["a"] - 2 * drain.taken["b"]) <= 12 * most
    assert drain.taken["c"] >= min(sum(refill), drain.taken["a"]) - 12 * most - 60


def test_a_queue_that_was_empty_for_long_does_not_take_everything_then():
    drain = Drain("weighted", {"a": FULL, "b": 0}, weights={"a": 1, "b": 1})
    for _ in range(1000):
        drain.claim(10)
    drain.lines["b"] = FULL
    drain.taken.clear()
    for _ in range(10):
        drain.claim(10)
    assert drain.taken["a"] >= 30


@pytest.mark.parametrize("step_s", [0.02, 5.0])
def test_weights_hold_however_long_tasks_take(step_s):
    """Time alone makes nobody go first: with tasks of five seconds each has been passed over for long."""
    drain = Drain("weighted", {"a": FULL, "b": FULL}, weights={"a": 5, "b": 1})
    for _ in range(60):
        drain.claim(1, step_s)
    assert drain.taken == {"a": 50, "b": 10}


@few
@given(count=st.integers(2, 6), most=st.integers(1, 200), rounds=st.integers(1, 5))
def test_round_robin_gives_each_its_turn(count, most, rounds):
    drain = Drain("round-robin", {f"q{at}": FULL for at in range(count)})
    gave = [drain.claim(most)[0] for _ in range(count * rounds)]
    assert gave == [f"q{at}" for at in range(count)] * rounds


def test_round_robin_gives_nobody_the_turn_of_an_empty_queue():
    drain = Drain("round-robin", {"a": 0, "b": FULL, "c": FULL})
    for _ in range(100):
        drain.claim(10)
    assert drain.taken == {"b": 500, "c": 500}


def test_a_queue_that_comes_late_has_its_turn_in_the_round():
    drain = Drain("round-robin", {"a": FULL, "b": FULL})
    drain.claim()
    drain.lines["c"] = FULL
    drain.balance.add("c", drain.now_s)
    assert "".join(drain.claim()[0] for _ in range(6)) == "bcabca"


def test_credit_survives_sources_that_come_and_go():
    strategy, rng = strategy_named("weighted"), random.Random(0)
    a, b, c = (Source("node", queue) for queue in "abc")
    told = Loads(0.0, {a: Load(weight=3), b: Load(), c: Load()})
    assert [strategy.choose([a, b], told, rng)[0] for _ in range(2)] == [a, a]
    assert strategy.choose([a, b, c], told, rng)[0] == b
    assert [strategy.choose([a, b], told, rng)[0] for _ in range(5)] == [a, a, a, b, a]
    assert strategy.choose([b], told, rng) == [b]


@pytest.mark.parametrize("seed", range(5))
def test_random_puts_each_first_as_often(seed):
    drain = Drain("random", dict.fromkeys("abcd", FULL), seed=seed)
    counts = Counter(drain.claim(1, step_s=0.0)[0] for _ in range(4000))
    assert chi_square(counts, dict.fromkeys("abcd", 0.25)) < 16.3  # three degrees of freedom, p = 0.001


@pytest.mark.parametrize("seed", range(5))
def test_two_choices_puts_the_longer_of_two_first(seed):
    """Of n that differ, the k-th longest wins in (n - k) of the n (n - 1) / 2 pairs."""
    drain = Drain("two-choices", {"a": FULL, "b": 2 * FULL, "c": 3 * FULL, "d": 4 * FULL}, seed=seed)
    counts = Counter(drain.claim(1, step_s=0.0)[0] for _ in range(4000))
    assert counts["a"] == 0
    assert (
        chi_square(counts, {"d": 3 / 6, "c": 2 / 6, "b": 1 / 6}) < 13.8
    )  # two degrees of freedom, p = 0.001


@few
@given(lengths=st.lists(st.integers(0, 50), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_longest_queue_levels_the_lines(lengths, seed):
    drain = Drain("longest-queue", {f"q{at}": length for at, length in enumerate(lengths)}, seed=seed)
    while any(drain.lines.values()):
        longest = max(drain.lines.values())
        gave = drain.claim(1, step_s=0.001 if longest < 20 else 0.0)[0]
        assert drain.lines[gave] + 1 == longest


def test_of_lines_that_are_alike_any_may_be_first():
    """Else all children would run after the same one."""
    first = {Drain("longest-queue", dict.fromkeys("abc", 7), seed=seed).claim()[0] for seed in range(30)}
    assert first == {"a", "b", "c"}

"""What counts as served, as passed over and as drained, and what is known of backlogs."""

from __future__ import annotations

import random
from collections.abc import Sequence

from taskmesh.balancing.balance import BACKLOG_S, Balance
from taskmesh.balancing.sources import Chance, Loads, Source
from taskmesh.balancing.strategy import Strategy


class Told(Strategy):
    """Keeps what it is told, and the order as it is."""

    needs_backlog = True

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        self.loads = {source.queue: loads.of(source) for source in sources}
        self.by_source = {source: loads.of(source) for source in sources}
        return sources


def balance(queues: str = "abc", **more) -> tuple[Balance, Told]:
    strategy = Told()
    return Balance(strategy, list(queues), random.Random(0), 0.0, **more), strategy


def test_what_comes_before_the_last_that_gave_is_drained_and_what_comes_after_is_passed_over():
    kept, told = balance()
    assert kept.order(0.0) == ["a", "b", "c"]
    kept.claimed(["b", "b"], 2, 0.5)
    kept.order(0.6)
    assert {queue: load.drained for queue, load in told.loads.items()} == {"a": True, "b": False, "c": False}
    assert {queue: load.passes for queue, load in told.loads.items()} == {"a": 0, "b": 0, "c": 1}
    assert {queue: load.served_s for queue, load in told.loads.items()} == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert {queue: load.taken for queue, load in told.loads.items()} == {"a": 0, "b": 2, "c": 0}


def test_a_claim_that_is_not_full_has_looked_into_all_and_drained_all():
    kept, told = balance()
    kept.order(0.0)
    kept.claimed(["a"], 2, 0.5)
    kept.order(0.6)
    assert all(load.drained and not load.passes and load.served_s == 0.5 for load in told.loads.values())


def test_what_is_given_back_was_not_taken():
    kept, told = balance()
    kept.read_backlogs({"a": (10, 0)}, 0.0)
    kept.order(0.0)
    kept.claimed(["a"] * 3, 3, 0.0)
    kept.given_back(["a"] * 2)
    kept.order(0.1)
    assert (told.loads["a"].taken, told.loads["a"].backlog) == (1, 9)


def test_counts_begin_anew_with_each_choice():
    kept, told = balance()
    kept.order(0.0)
    kept.claimed(["a"], 1, 0.0)
    kept.order(0.0)
    kept.order(0.0)
    assert told.loads["a"].taken == 0


def test_backlogs_are_wanted_ten_times_a_second_and_kept_up_between():
    kept, told = balance()
    assert kept.wants_backlogs(0.0)
    kept.read_backlogs({"a": (5, 1_000), "b": (1, 0)}, 0.0)
    assert not kept.wants_backlogs(BACKLOG_S / 2)
    assert kept.wants_backlogs(BACKLOG_S)
    kept.order(0.0, now_ms=3_500)
    assert (told.loads["a"].backlog, told.loads["a"].oldest_age_s) == (5, 2.5)
    assert (told.loads["b"].backlog, told.loads["b"].oldest_age_s) == (1, None)
    assert told.loads["c"].backlog is None
    kept.claimed(["a", "a", "a", "a", "a", "b"], 6, 0.0)
    kept.order(0.0)
    assert (told.loads["a"].backlog, told.loads["b"].backlog) == (0, 0)


def test_a_queue_whose_record_was_forged_is_no_queue():
    """Anybody who can write to the node may have written another name there."""
    kept, told = balance()
    kept.order(0.0)
    kept.claimed(["zzz", ""], 2, 0.5)
    kept.order(0.6)
    assert {load.passes for load in told.loads.values()} == {1}


def test_weights_are_told():
    kept, told = balance("ab", weights={"a": 3})
    kept.order(0.0)
    assert (told.loads["a"].weight, told.loads["b"].weight) == (3, 1)


class Careless(Told):
    """Names what there is not, twice, and forgets one."""

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        return [Source("", "zzz"), sources[1], sources[1]]


def test_no_queue_is_lost_by_a_careless_strategy():
    kept = Balance(Careless(), ["a", "b", "c"], random.Random(0), 0.0)
    assert kept.order(0.0) == ["b", "a", "c"]


def test_each_queue_is_a_source_on_each_node_and_what_is_known_stays_when_nodes_change():
    kept, told = balance("ab", nodes=["n1", "n2"])
    order = kept.order_sources(0.0)
    assert order == [Source("n1", "a"), Source("n2", "a"), Source("n1", "b"), Source("n2", "b")]
    kept.claimed_from("n2", ["a"], 1, 0.04, {Source("n1", "a"), Source("n2", "a")})
    kept.move(["n2", "n3"], 0.05)
    assert kept.order_sources(0.05) == [
        Source("n2", "a"),
        Source("n3", "a"),
        Source("n2", "b"),
        Source("n3", "b"),
    ]
    assert told.by_source[Source("n2", "a")].taken == 1
    assert told.by_source[Source("n2", "b")].passes == 1
    assert told.by_source[Source("n3", "a")].passes == 0


def test_sources_of_a_node_that_cannot_be_asked_are_left_out_and_passed_over_by_nobody():
    kept, told = balance("a", nodes=["n1", "n2"])
    assert kept.order_sources(0.0, 0, {"n2"}) == [Source("n2", "a")]
    kept.claimed_from("n2", ["a"], 1, 0.5)
    assert kept.order_sources(1.0) == [Source("n1", "a"), Source("n2", "a")]
    assert told.by_source[Source("n1", "a")].passes == 0


def test_what_goes_back_goes_back_to_its_node():
    kept, told = balance("a", nodes=["n1", "n2"])
    kept.order_sources(0.0)
    kept.claimed_from("n2", ["a", "a"], 2, 0.0)
    kept.given_back(["a"], "n2")
    kept.order_sources(0.1)
    assert told.by_source[Source("n2", "a")].taken == 1
    assert told.by_source[Source("n1", "a")].taken == 0

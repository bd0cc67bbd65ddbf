"""What each strategy makes of queues that lie on several nodes: a slow, a heavy and an empty one among them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby

import pytest

from taskmesh.balancing.balance import Balance
from taskmesh.balancing.named import BUILT_IN, strategy_named
from taskmesh.balancing.sources import Source
from taskmesh.worker.rest import Rest
from tests.unit.balancing.drains import FULL

NAMES = sorted(BUILT_IN)
#: What a claim takes of one queue and node, and how long that and running it takes.
MOST, STEP_S = 10, 0.02


class NodesDrain:
    """A child without nodes: it asks one after the other until one gives something, and leaves slow ones alone."""

    def __init__(
        self,
        strategy: str,
        lines: Mapping[tuple[str, str], int],
        *,
        weights: Mapping[str, int] | None = None,
        answers_s: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.lines = {Source(node, queue): count for (node, queue), count in lines.items()}
        self.now_s = 0.0
        self.asked: Counter[str] = Counter()
        self.taken: Counter[Source] = Counter()
        nodes = tuple(dict.fromkeys(source.node for source in self.lines))
        queues = list(dict.fromkeys(source.queue for source in self.lines))
        self._answers_s = answers_s or {}
        self._rests = {node: Rest() for node in nodes}
        self.balance = Balance(
            strategy_named(strategy), queues, random.Random(seed), 0.0, nodes=nodes, weights=weights
        )

    def claim(self) -> Source | None:
        """Claim once, and return where that found something."""
        usable = {node for node, rest in self._rests.items() if rest.until_s <= self.now_s}
        if self.balance.wants_backlogs(self.now_s):
            for node in usable:
                here = {
                    source.queue: (count, 0) for source, count in self.lines.items() if source.node == node
                }
                self.balance.read_backlogs(here, self.now_s, node)
        order = self.balance.order_sources(self.now_s, usable=usable)
        looked: list[Source] = []
        gave, found = None, []
        for node, run in groupby(order, key=lambda source: source.node):
            self.asked[node] += 1
            sources = list(run)
            took_s = self._answers_s.get(node, 0.0)
            self.now_s += took_s
            self._rests[node].answered(took_s, self.now_s)
            looked += sources
            for source in sources:
                count = min(self.lines[source], MOST - len(found))
                self.lines[source] -= count
                self.taken[source] += count
                found += [source.queue] * count
                gave = gave or (source if count else None)
            if found:
                break
        node = gave.node if gave else ""
        self.balance.claimed_from(node, found, MOST, self.now_s, set(looked))
        self.now_s += STEP_S
        return gave

    def by_node(self) -> Counter[str]:
        """How many messages each node gave."""
        found: Counter[str] = Counter()
        for source, count in self.taken.items():
            found[source.node] += count
        return found

    def by_queue(self) -> Counter[str]:
        """How many messages each queue gave."""
        found: Counter[str] = Counter()
        for source, count in self.taken.items():
            found[source.queue] += count
        return found


def full(nodes: Iterable[str], queues: str) -> dict[tuple[str, str], int]:
    return {(node, queue): FULL for node in nodes for queue in queues}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("queues", ["a", "ab"])
def test_no_node_starves_whatever_the_strategy(name: str, queues: str) -> None:
    """Of the queue that goes first each node has its turn, under `priority` as well."""
    drain = NodesDrain(name, full("xyz", queues))
    gave = [drain.claim() for _ in range(300)]
    for node in "xyz":
        turns = [at for at, source in enumerate(gave) if source == Source(node, "a")]
        assert max(b - a for a, b in zip([-1, *turns], [*turns, 300], strict=True)) <= 100


def test_priority_is_strict_between_queues_and_fair_between_nodes() -> None:
    drain = NodesDrain("priority", {(node, "a"): 500 for node in "xyz"} | full("xyz", "b"))
    for _ in range(60):
        drain.claim()
    gave = drain.by_node().values()
    assert max(gave) - min(gave) <= 2 * MOST
    for _ in range(90):
        drain.claim()
    assert drain.by_queue() == Counter(a=1500)
    assert drain.claim() in [Source(node, "b") for node in "xyz"]


@pytest.mark.parametrize("name", ["round-robin", "random", "weighted", "priority"])
def test_a_heavy_node_gives_no_more_than_the_others_to_who_reads_no_backlog(name: str) -> None:
    lines = {("heavy", "a"): FULL, ("x", "a"): 10_000, ("y", "a"): 10_000}
    drain = NodesDrain(name, lines)
    for _ in range(900):
        drain.claim()
    gave = drain.by_node()
    assert all(gave[node] == pytest.approx(3000, rel=0.15) for node in ("heavy", "x", "y"))


@pytest.mark.parametrize(("name", "least"), [("longest-queue", 0.9), ("two-choices", 0.6)])
def test_a_heavy_node_gives_more_to_who_reads_backlogs(name: str, least: float) -> None:
    """But for what those give that were passed over for a second."""
    drain = NodesDrain(name, {("heavy", "a"): FULL, ("x", "a"): 10_000, ("y", "a"): 10_000})
    for _ in range(900):
        drain.claim()
    gave = drain.by_node()
    assert gave["heavy"] / gave.total() >= least
    assert min(gave["x"], gave["y"]) > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_node_keeps_nothing_from_anybody(name: str) -> None:
    """Each claim finds something, and the others share alike."""
    drain = NodesDrain(name, {("empty", "a"): 0, ("x", "a"): FULL, ("y", "a"): FULL})
    assert None not in [drain.claim() for _ in range(600)]
    gave = drain.by_node()
    assert gave["x"] == pytest.approx(gave["y"], rel=0.25)


@pytest.mark.parametrize("name", NAMES)
def test_a_slow_node_gets_less_and_the_rest_goes_on(name: str) -> None:
    """It takes 0.2 s to answer: asked in each turn it would take almost all of the time."""
    drain = NodesDrain(name, full(["slow", "x", "y"], "a"), answers_s={"slow": 0.2})
    while drain.now_s < 60:
        drain.claim()
    gave = drain.by_node()
    assert drain.asked["slow"] * 0.2 <= 0.25 * 60
    assert 0 < gave["slow"] < 0.2 * gave.total()
    assert gave["x"] == pytest.approx(gave["y"], rel=0.25)


def test_weights_of_queues_hold_over_all_nodes() -> None:
    drain = NodesDrain("weighted", full("xyz", "ab"), weights={"a": 3, "b": 1})
    for _ in range(1200):
        drain.claim()
    assert drain.by_queue()["a"] / drain.taken.total() == pytest.approx(0.75, abs=0.01)

"""What one child keeps of its sources between two claims, and the order in which the next one looks into them.

A source is *served* when a claim looks into it, whether or not it holds something; it is *passed over* when the claim
was full before it came to it. A claim takes what it can from the first source and goes on only when that is empty. So
all that stand before the last one that gave something were served and found empty, and all are when a claim is not
full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from taskmesh.balancing.sources import Chance, Load, Loads, Source
from taskmesh.balancing.strategy import Strategy, ordered

#: Backlogs are read anew after so long.
BACKLOG_S = 0.1


class _Standing:
    """How one source stands."""

    __slots__ = ("backlog", "drained", "oldest_ms", "passes", "served_s", "taken", "weight")

    def __init__(self, weight: int, now_s: float) -> None:
        self.weight = weight
        self.served_s = now_s
        self.passes = 0
        self.taken = 0
        self.drained = False
        self.backlog: int | None = None
        self.oldest_ms = 0

    def load(self, now_ms: int) -> Load:
        return Load(
            weight=self.weight,
            backlog=self.backlog,
            oldest_age_s=max(0, now_ms - self.oldest_ms) / 1000 if self.oldest_ms and now_ms else None,
            served_s=self.served_s,
            passes=self.passes,
            taken=self.taken,
            drained=self.drained,
        )


class Balance:
    """The sources of one child."""

    def __init__(
        self,
        strategy: Strategy,
        queues: Sequence[str],
        rng: Chance,
        now_s: float,
        *,
        node: str = "",
        nodes: Sequence[str] = (),
        weights: Mapping[str, int] | None = None,
    ) -> None:
        """Begin: nothing is known of any source.

        Args:
            strategy: Of this child alone, since it may keep state.
            queues: The child's, best first.
            rng: For the strategy to draw from.
            now_s: On a clock that never goes back.
            node: Where the queues are.
            nodes: Where they are, if each is on several.
            weights: Of the queues; 1 for those that are not named.
        """
        self.strategy = strategy
        self._rng = rng
        self._nodes = tuple(nodes) or (node,)
        self._queues: dict[str, None] = {}
        self._weights = dict(weights or {})
        self._set: dict[str, int] = {}
        self._standing: dict[Source, _Standing] = {}
        self._order: list[Source] = []
        self._read_s: float | None = None
        for queue in queues:
            self.add(queue, now_s)

    def add(self, queue: str, now_s: float) -> None:
        """Have one more queue, behind the others."""
        self._queues[queue] = None
        for node in self._nodes:
            self._standing.setdefault(Source(node, queue), _Standing(self._weight(queue), now_s))

    def move(self, nodes: Sequence[str], now_s: float) -> None:
        """Have the queues be on other nodes from now on; what is known of those that stay is kept."""
        before, self._nodes, self._standing = self._standing, tuple(nodes), {}
        for queue in self._queues:
            for node in self._nodes:
                source = Source(node, queue)
                self._standing[source] = before.get(source) or _Standing(self._weight(queue), now_s)

    def weigh(self, weights: Mapping[str, int]) -> None:
        """Have queues weigh so much from now on, and those that are not named what they weighed at first."""
        if weights == self._set:
            return
        self._set = dict(weights)
        for source, each in self._standing.items():
            each.weight = self._weight(source.queue)

    def _weight(self, queue: str) -> int:
        return self._set.get(queue) or self._weights.get(queue, 1)

    def __len__(self) -> int:
        """How many queues they are."""
        return len(self._queues)

    @property
    def queues(self) -> list[str]:
        """Their names, best first."""
        return list(self._queues)

    def order(self, now_s: float, now_ms: int = 0) -> list[str]:
        """Return the queues of one node in the order in which the next claim looks into them.

        Args:
            now_s: On the clock of the others.
            now_ms: The node's time, to which the ages of messages refer.
        """
        return [source.queue for source in self.order_sources(now_s, now_ms)]

    def order_sources(
        self, now_s: float, now_ms: int = 0, usable: Collection[str] | None = None
    ) -> list[Source]:
        """Return the sources in the order in which the next claims look into them.

        Args:
            now_s: On the clock of the others.
            now_ms: The node's time, to which the ages of messages refer.
            usable: Nodes that can be asked now; None for all. The sources of others are as if they were not there.
        """
        standing = self._standing
        loads = Loads(now_s, {source: each.load(now_ms) for source, each in standing.items()})
        sources = [source for source in standing if usable is None or source.node in usable]
        self._order = ordered(self.strategy, sources, loads, self._rng) if sources else []
        for each in standing.values():
            each.taken = 0
        return list(self._order)

    def claimed(self, queues: Sequence[str], most: int, now_s: float) -> None:
        """Take in what the claim found, from queues of one node.

        Args:
            queues: Of its messages, in their order.
            most: How many it could have taken.
            now_s: When it was made.
        """
        self.claimed_from(self._nodes[0], queues, most, now_s)

    def claimed_from(
        self,
        node: str,
        queues: Sequence[str],
        most: int,
        now_s: float,
        looked: Collection[Source] | None = None,
    ) -> None:
        """Take in what was found by the claims that one order led to; all but the last of them found nothing.

        Args:
            node: From which the last one took.
            queues: Of its messages, in their order.
            most: How many it could have taken.
            now_s: When it was made.
            looked: Into which sources they looked, the first ones of the order; None for all.
        """
        found = Counter(Source(node, queue) for queue in queues)
        at_end = len(queues) < most
        last = max((at for at, source in enumerate(self._order) if source in found), default=-1)
        for at, source in enumerate(self._order):
            each = self._standing[source]
            if (at > last and not at_end) or (looked is not None and source not in looked):
                # a claim that found nothing was in want of more, not full
                each.passes += bool(queues)
                continue
            count = found[source]
            each.served_s = now_s
            each.passes = 0
            each.drained = at_end or at < last
            each.taken += count
            if each.backlog is not None:
                each.backlog = 0 if each.drained else max(0, each.backlog - count)

    def given_back(self, queues: Sequence[str], node: str | None = None) -> None:
        """Take in that messages of the last claim went back in line before they began.

        Args:
            queues: Of each.
            node: From which they were claimed; None for the only one.
        """
        for queue, count in Counter(queues).items():
            each = self._standing.get(Source(self._nodes[0] if node is None else node, queue))
            if each is not None:
                each.taken = max(0, each.taken - count)
                each.drained = False
                if each.backlog is not None:
                    each.backlog += count

    def wants_backlogs(self, now_s: float) -> bool:
        """Tell whether the strategy goes by backlogs, and what is known of them is too old."""
        return self.strategy.needs_backlog and (self._read_s is None or now_s - self._read_s >= BACKLOG_S)

    def read_backlogs(
        self, found: Mapping[str, tuple[int, int]], now_s: float, node: str | None = None
    ) -> None:
        """Take in backlogs: per queue how many messages are ready, and when the first was sent (ms, 0 unknown).

        Args:
            found: By queue.
            now_s: When they were read.
            node: Of which node; None for the only one.
        """
        self._read_s = now_s
        where = self._nodes[0] if node is None else node
        for source, each in self._standing.items():
            if source.node == where and source.queue in found:
                each.backlog, each.oldest_ms = found[source.queue]

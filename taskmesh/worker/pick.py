"""From which queue a child takes next: its strategy, told of what claims found and, where it asks, of backlogs.

A child of one queue has nothing to choose and pays nothing.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from taskmesh.balancing.balance import Balance
from taskmesh.balancing.named import BY_WEIGHT, strategy_named
from taskmesh.balancing.sources import Source
from taskmesh.config.strategies import DEFAULT
from taskmesh.core.record import queue_of
from taskmesh.nodes.link import ONE_NODE, Link
from taskmesh.queue.backlog import backlogs
from taskmesh.queue.claim import Claimed
from taskmesh.worker.operated import OperatedHere
from taskmesh.worker.options import ChildOrder


class Pick:
    """The queues of one child."""

    def __init__(self, order: ChildOrder, link: Link, operated: OperatedHere, now_s: float) -> None:
        """Prepare.

        Args:
            order: Names the queues, their weights and the strategy.
            link: To the mesh.
            operated: What operators say that queues weigh.
            now_s: On the monotonic clock, as in the methods.

        Raises:
            ConfigError: There is no such strategy.
        """
        self._link = link
        self._operated = operated
        self._nodes = link.nodes
        self._strategy = self._given_strategy = order.strategy
        self._queues = [queue.encode() for queue in order.queues]
        self._balance = Balance(
            strategy_named(order.strategy),
            order.queues,
            random.Random(),  # noqa: S311 - nobody gains by guessing it
            now_s,
            node=str(link.driver.address) if self._nodes == ONE_NODE else "",
            nodes=() if self._nodes == ONE_NODE else self._nodes,
            weights=order.weights,
        )

    @property
    def queue_count(self) -> int:
        """How many they are."""
        return len(self._queues)

    @property
    def queues(self) -> Sequence[bytes]:
        """All of them."""
        return self._queues

    def serve_also(self, queue: str) -> None:
        """Have one more queue from the next claim on; any thread may say so."""
        self._queues.append(queue.encode())

    def order(self, now_s: float) -> Sequence[bytes]:
        """Return the queues in the order in which the next claim looks into them."""
        if len(self._queues) == 1:
            return self._queues
        self._prepare(now_s)
        link = self._link
        if self._balance.wants_backlogs(now_s):
            found = link.driver.run(backlogs(link.session, self._balance.queues))
            self._balance.read_backlogs(found or {}, now_s)
        return [queue.encode() for queue in self._balance.order(now_s, link.clock.now_ms())]

    def _prepare(self, now_s: float) -> None:
        for queue in self._queues[len(self._balance) :]:
            self._balance.add(queue.decode(), now_s)
        self._heed_weights()

    # -- on several nodes ---------------------------------------------------------

    def move(self, nodes: tuple[str, ...], now_s: float) -> None:
        """Take from other nodes from the next claim on."""
        if nodes != self._nodes:
            self._nodes = nodes
            self._balance.move(nodes, now_s)

    def wants_backlogs(self, now_s: float) -> bool:
        """Tell whether the strategy goes by backlogs, and what is known of them is too old."""
        return self._balance.wants_backlogs(now_s)

    def read_backlogs(self, node: str, now_s: float, within_s: float) -> None:
        """Ask a node how much waits on it; if it does not answer, what was known goes on to hold.

        Args:
            node: Which.
            now_s: On the monotonic clock.
            within_s: How long it may take.
        """
        link = self._link.at(node)
        found = link.run(backlogs(link.session, self._balance.queues), within_s=within_s)
        self._balance.read_backlogs(found or {}, now_s, node)

    def sources(self, now_s: float, usable: Collection[str]) -> list[Source]:
        """Return the sources in the order in which the next claims look into them.

        Args:
            now_s: On the monotonic clock.
            usable: Nodes that can be asked now.
        """
        self._prepare(now_s)
        return self._balance.order_sources(now_s, self._link.clock.now_ms(), usable)

    def claimed_at(
        self, node: str, batch: Sequence[Claimed], most: int, now_s: float, looked: Collection[Source]
    ) -> None:
        """Take in what the claims found that one order led to.

        Args:
            node: Which gave something; all that were asked before it gave nothing.
            batch: The messages.
            most: How many it could have given.
            now_s: When that was.
            looked: Into which sources they looked.
        """
        self._balance.claimed_from(node, _queues_of(batch), most, now_s, looked)

    def given_back_at(self, node: str, batch: Sequence[Claimed]) -> None:
        """Take in that these messages of the last claim, made at a node, did not begin."""
        self._balance.given_back(_queues_of(batch), node)

    def _heed_weights(self) -> None:
        """Have the queues weigh what operators say; the default strategy gives way to the one that reads weights."""
        weights = {
            queue: weight for queue in self._balance.queues if (weight := self._operated.weights.get(queue))
        }
        name = BY_WEIGHT if weights and self._given_strategy == DEFAULT else self._given_strategy
        if name != self._strategy:
            self._strategy = name
            self._balance.strategy = strategy_named(name)
        self._balance.weigh(weights)

    def claimed(self, batch: Sequence[Claimed], most: int, now_s: float) -> None:
        """Take in what a claim found.

        Args:
            batch: Its messages.
            most: How many it could have taken.
            now_s: When it was made.
        """
        if len(self._queues) > 1:
            self._balance.claimed(_queues_of(batch), most, now_s)

    def given_back(self, batch: Sequence[Claimed]) -> None:
        """Take in that these messages of the last claim did not begin."""
        if len(self._queues) > 1:
            self._balance.given_back(_queues_of(batch))


def _queues_of(batch: Sequence[Claimed]) -> list[str]:
    """Return the queue of each message; a claim takes them queue by queue, so mostly all have the same."""
    if not batch:
        return []
    first = queue_of(batch[0].record)
    if queue_of(batch[-1].record) == first:
        return [first] * len(batch)
    return [queue_of(claimed.record) for claimed in batch]

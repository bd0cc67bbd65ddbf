"""From which queue a child takes next: its strategy, told of what claims found and, where it asks, of backlogs.

A child of one queue has nothing to choose and pays nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from taskmesh.balancing.balance import Balance
from taskmesh.balancing.named import BY_WEIGHT, strategy_named
from taskmesh.config.strategies import DEFAULT
from taskmesh.core.record import queue_of
from taskmesh.nodes.link import Link
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
        self._strategy = self._given_strategy = order.strategy
        self._queues = [queue.encode() for queue in order.queues]
        self._balance = Balance(
            strategy_named(order.strategy),
            order.queues,
            random.Random(),  # noqa: S311 - nobody gains by guessing it
            now_s,
            node=str(link.driver.address),
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
        for queue in self._queues[len(self._balance) :]:
            self._balance.add(queue.decode(), now_s)
        self._heed_weights()
        link = self._link
        if self._balance.wants_backlogs(now_s):
            found = link.driver.run(backlogs(link.session, self._balance.queues))
            self._balance.read_backlogs(found or {}, now_s)
        return [queue.encode() for queue in self._balance.order(now_s, link.clock.now_ms())]

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

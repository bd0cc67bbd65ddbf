"""From which queue a simulated child takes next: as `taskmesh.worker.pick`, over the same strategies."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from taskmesh.balancing.balance import Balance
from taskmesh.balancing.named import strategy_named
from taskmesh.core.record import queue_of
from taskmesh.core.steps import Steps
from taskmesh.queue.backlog import backlogs
from taskmesh.queue.claim import Claimed

if TYPE_CHECKING:
    from tests.simulation.child import Child


class Picking:
    """The queues of one child. Without a strategy they keep their order, and the child pays nothing."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._world = world = child.world
        self._queues = list(world.queues)
        self._balance: Balance | None = None
        if world.rates.strategy and len(self._queues) > 1:
            self._balance = Balance(
                strategy_named(world.rates.strategy),
                [queue.decode() for queue in self._queues],
                # its own, so that what a strategy draws changes nothing else
                Random(f"{world.seed}/{child.holder.decode()}"),
                world.time.now_s,
                weights=world.weights,
            )

    def order(self, now_s: float) -> Steps[Sequence[bytes]]:
        """Return the queues in the order in which the next claim looks into them."""
        balance = self._balance
        if balance is None:
            return self._queues
        if balance.wants_backlogs(now_s):
            found = yield from backlogs(self._child.session, balance.queues)
            balance.read_backlogs(found or {}, now_s)
        order = balance.order(now_s, self._child.process.now_ms())
        self._world.turns.ordered(self._child.holder, order, now_s)
        return [queue.encode() for queue in order]

    def claimed(self, batch: Sequence[Claimed], most: int, now_s: float) -> None:
        """Take in what a claim of so many messages at most found, which was made then."""
        if self._balance is not None:
            queues = [queue_of(claimed.record) for claimed in batch]
            self._balance.claimed(queues, most, now_s)
            self._world.turns.claimed(self._child.holder, queues, most, now_s)

    def given_back(self, batch: Sequence[Claimed]) -> None:
        """Take in that these messages of the last claim did not begin."""
        if self._balance is not None:
            self._balance.given_back([queue_of(claimed.record) for claimed in batch])

"""Turns: what a child's claims passed over for a second goes first, unless its strategy is strictly by order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.ledger import Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

#: A queue that was passed over for so long goes first.
OWED_S = 1.0


@dataclass(slots=True)
class _Child:
    """What a child's claims have seen.

    Attributes:
        order: Of the queues, in its last claim.
        served_s: When one last looked into each.
        passes: How many in a row were full before they came to it.
    """

    order: list[str] = field(default_factory=list)
    served_s: dict[str, float] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)


class Turns:
    """Follows the claims of each child, and knows no strategy but the one without that promise."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._children: dict[bytes, _Child] = {}

    def ordered(self, holder: bytes, order: Sequence[str], now_s: float) -> None:
        """Check in which order a child is about to look into its queues."""
        if sorted(order) != sorted(queue.decode() for queue in self.world.queues):
            raise Violation(f"{holder!r} serves {self.world.queues}, and looks into {order}")
        child = self._children.setdefault(holder, _Child())
        child.order = list(order)
        for queue in order:
            child.served_s.setdefault(queue, now_s)
            child.passes.setdefault(queue, 0)
        owed = [queue for queue in order if self._is_owed(child, queue, now_s)]
        first = [child.served_s[queue] for queue in order[: len(owed)]]
        if sorted(child.served_s[queue] for queue in owed) != first:
            raise Violation(
                f"{holder!r} looks into {order}, and has passed over {owed} since {child.served_s}"
            )

    def claimed(self, holder: bytes, found: Sequence[str], most: int, now_s: float) -> None:
        """Note the queue of each message that a claim found."""
        child = self._children[holder]
        # it looks into the next one only when it has room for more
        reached = max((child.order.index(queue) for queue in found), default=0)
        for at, queue in enumerate(child.order):
            if at <= reached or len(found) < most:
                child.served_s[queue], child.passes[queue] = now_s, 0
            else:
                child.passes[queue] += 1

    def _is_owed(self, child: _Child, queue: str, now_s: float) -> bool:
        strategy, weights = self.world.rates.strategy, self.world.weights
        if strategy == "priority" or now_s - child.served_s[queue] < OWED_S:
            return False
        # where weights say how often a queue may be passed over, time alone does not count
        turns = -(-sum(weights.values()) // weights[queue]) if strategy == "weighted" else 0
        return child.passes[queue] > turns

"""A child without a node: it claims from lines that are numbers, by a strategy, as `claim.lua` takes messages."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

from taskmesh.balancing.balance import Balance
from taskmesh.balancing.named import strategy_named

FULL = 10**9


class Drain:
    """Claims, one after the other."""

    def __init__(
        self,
        strategy: str,
        lines: Mapping[str, int],
        *,
        weights: Mapping[str, int] | None = None,
        seed: int = 0,
    ) -> None:
        self.lines = dict(lines)
        self.now_s = 0.0
        self.balance = Balance(
            strategy_named(strategy), list(lines), random.Random(seed), self.now_s, weights=weights
        )
        self.taken: Counter[str] = Counter()

    def claim(self, most: int = 1, step_s: float = 0.02) -> list[str]:
        """Claim once, and return the queue of each message."""
        if self.balance.wants_backlogs(self.now_s):
            self.balance.read_backlogs({queue: (count, 0) for queue, count in self.lines.items()}, self.now_s)
        self.order = self.balance.order(self.now_s)
        found: list[str] = []
        for queue in self.order:
            count = min(self.lines[queue], most - len(found))
            self.lines[queue] -= count
            found += [queue] * count
        self.balance.claimed(found, most, self.now_s)
        self.taken.update(found)
        self.now_s += step_s
        return found

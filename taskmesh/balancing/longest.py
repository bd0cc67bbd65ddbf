"""Strategies that look at backlogs: the longest of all, or the longer of two.

With many children, `two-choices` keeps them apart: not all of them run after the same queue between two readings.
"""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.balancing.sources import Chance, Loads, Source
from taskmesh.balancing.strategy import Strategy, drawn


class LongestQueue(Strategy):
    """The largest backlog first; of those that are alike, any."""

    needs_backlog = True

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        """Return the sources by backlog."""
        return sorted(drawn(sources, rng), key=lambda source: -_backlog(source, loads))


class TwoChoices(Strategy):
    """Of two that are drawn, the longer one first (Mitzenmacher, "The Power of Two Choices", 2001)."""

    needs_backlog = True

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        """Draw two, and compare them; the others follow as they were drawn."""
        order = drawn(sources, rng)
        return sorted(order[:2], key=lambda source: -_backlog(source, loads)) + order[2:]


def _backlog(source: Source, loads: Loads) -> int:
    return loads.of(source).backlog or 0

"""Strategies that look at no load: round robin, by chance, strictly by order."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.balancing.sources import Chance, Loads, Source
from taskmesh.balancing.strategy import Strategy, drawn, taken_since


class RoundRobin(Strategy):
    """Each in its turn: what has given something goes to the end of the line.

    The turn is that of giving, not that of being first. Else the one behind an empty queue would have two turns.
    """

    def __init__(self) -> None:
        """Begin with the order of the worker's queues."""
        self._line: list[Source] = []

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        """Return the line as it stands."""
        del rng
        gave = taken_since(self._line, loads)
        stay = [source for source in self._line if not gave.get(source) and source in sources]
        ends = [source for source in self._line if gave.get(source) and source in sources]
        known = {*stay, *ends}
        # what is new has waited for longer than what has just given something
        self._line = [*stay, *(source for source in sources if source not in known), *ends]
        return self._line


class Random(Strategy):
    """An order drawn for each claim."""

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        """Draw."""
        del loads
        return drawn(sources, rng)


class Priority(Strategy):
    """Strictly by the order of the queues: the second gives something only when the first is empty.

    The nodes that have a queue stand in no order: the one that gave of it longest ago goes first.
    """

    may_starve = True

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        """Return the sources by queue as they are, those of a queue by when they were served."""
        del rng
        rank = {queue: at for at, queue in enumerate(dict.fromkeys(source.queue for source in sources))}
        return sorted(sources, key=lambda source: (rank[source.queue], loads.of(source).served_s))

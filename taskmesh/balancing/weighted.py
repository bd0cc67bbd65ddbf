"""Smooth weighted round robin, over messages.

Each source has done some *work*: the messages that it gave, divided by its weight. Who lags behind the mean of all,
times its weight, goes first. With one message per claim that is the order known from nginx: a a b a for the weights
3 and 1, and any four in a row hold three of a.

A claim takes many messages of one source, so work is settled by what was taken, afterwards: however large claims are,
the shares hold. A source that was found empty could not have given anything. It does not count for the mean, and it
is not left behind that: else it would later take everything for as long as it had been empty.

Work is counted in parts of a message, so many that every weight divides them: all of it is whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import lcm

from taskmesh.balancing.sources import Chance, Loads, Source
from taskmesh.balancing.strategy import Strategy, taken_since


class Weighted(Strategy):
    """By weight: of any long row of messages each source that has some gives its share."""

    def __init__(self) -> None:
        """Begin with no work done."""
        self._work: dict[Source, int] = {}
        self._parts = 1
        self._order: list[Source] = []
        self._size = 1

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        """Settle what was taken, and return the sources by how far each lags behind."""
        del rng
        self._settle(loads)
        self._admit(sources, loads)
        work, weight = self._totals(sources, loads)
        # where each will stand when the next claim has taken as much as the last one
        ahead = self._size * self._parts

        def lag(source: Source) -> int:
            return loads.of(source).weight * (work + ahead - weight * self._work[source])

        self._order = sorted(sources, key=lambda source: -lag(source))
        return self._order

    def is_owed(self, source: Source, sources: Sequence[Source], loads: Loads) -> bool:
        """Tell whether it was passed over more often than its weight says.

        Time alone must not count: with tasks of a second each, the weights would mean nothing.
        """
        total = sum(loads.of(each).weight for each in sources)
        turns = -(-total // loads.of(source).weight)
        return loads.of(source).passes > turns and super().is_owed(source, sources, loads)

    def _settle(self, loads: Loads) -> None:
        taken = taken_since(self._order, loads)
        self._size = sum(taken.get(source, 0) for source in self._order) or self._size
        for source in self._order:
            self._work[source] += taken.get(source, 0) * self._parts // loads.of(source).weight
        mean = self._mean(self._order, loads)
        for source in self._order:
            if loads.of(source).drained:
                self._work[source] = max(self._work[source], mean)

    def _admit(self, sources: Sequence[Source], loads: Loads) -> None:
        """Let new sources begin at the mean, and forget those that are gone."""
        parts = lcm(*(loads.of(source).weight for source in sources))
        mean = self._mean(self._order, loads)
        known = {source: self._work.get(source, mean) for source in sources}
        self._work = {source: work * parts // self._parts for source, work in known.items()}
        self._parts = parts

    def _mean(self, sources: Iterable[Source], loads: Loads) -> int:
        """Return the work that each should have done, rounded up."""
        work, weight = self._totals(sources, loads)
        return -(-work // weight) if weight else 0

    def _totals(self, sources: Iterable[Source], loads: Loads) -> tuple[int, int]:
        """Return work times weight, and weight, of the sources that had something when last looked at; else of all."""
        every = list(sources)
        some = [source for source in every if not loads.of(source).drained] or every
        weights = {source: loads.of(source).weight for source in some}
        return sum(weight * self._work[source] for source, weight in weights.items()), sum(weights.values())

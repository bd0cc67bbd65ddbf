"""What a strategy answers, and the promise that none but `priority` lets a source starve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from taskmesh.balancing.sources import Chance, Loads, Source

#: A source that was passed over for so long goes first.
PASSED_OVER_S = 1.0


@runtime_checkable
class Strategy(Protocol):
    """Decides from which source the next batch comes. It may keep state; each child has one of its own.

    Derive from this class, and change what follows where it does not fit.

    Attributes:
        needs_backlog: It reads `Load.backlog` and `Load.oldest_age_s`: a call to the node, ten times a second at most.
        may_starve: It may pass a source over for ever.
    """

    needs_backlog: bool = False
    may_starve: bool = False

    def choose(self, sources: Sequence[Source], loads: Loads, rng: Chance) -> Sequence[Source]:
        """Return the sources in the order in which the next claim looks into them.

        A claim takes as many messages as it may from the first, and goes on to the next only when that is empty.

        Args:
            sources: All of the worker's, best first; they may differ from those of the last choice.
            loads: How they stand.
            rng: To draw from.
        """

    def is_owed(self, source: Source, sources: Sequence[Source], loads: Loads) -> bool:
        """Tell whether a source that was passed over has waited for long enough to go first."""
        del sources
        load = loads.of(source)
        return load.passes > 0 and loads.now_s - load.served_s >= PASSED_OVER_S


def ordered(strategy: Strategy, sources: Sequence[Source], loads: Loads, rng: Chance) -> list[Source]:
    """Return a strategy's order, in front of it what was passed over for too long, the longest first.

    What a strategy left out comes at the end, and what it made up is dropped: no source is lost by a mistake.
    """
    known = dict.fromkeys(sources)
    order = [source for source in dict.fromkeys(strategy.choose(sources, loads, rng)) if source in known]
    if len(order) < len(known):
        order += [source for source in known if source not in order]
    if strategy.may_starve:
        return order
    owed = [source for source in order if strategy.is_owed(source, sources, loads)]
    if not owed:
        return order
    owed.sort(key=lambda source: loads.of(source).served_s)
    return [*owed, *(source for source in order if source not in owed)]


def taken_since(last: Sequence[Source], loads: Loads) -> dict[Source, int]:
    """Return what each source gave since the last choice.

    Where nobody counts, what the last order began with is taken to have given one message.
    """
    counted = {source: taken for source, load in loads.by_source.items() if (taken := load.taken) is not None}
    return counted if counted or not last else {last[0]: 1}


def drawn(sources: Iterable[Source], rng: Chance) -> list[Source]:
    """Return the sources in an order that is drawn: each is as likely as any other."""
    return sorted(sources, key=lambda _: rng.random())

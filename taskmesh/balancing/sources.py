"""What a strategy is told: a worker's sources, and how each of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Source(NamedTuple):
    """Where messages come from: one queue on one node.

    Attributes:
        node: Name of the node.
        queue: Name of the queue.
    """

    node: str
    queue: str


@dataclass(frozen=True, slots=True)
class Load:
    """How one source stands before a claim.

    Attributes:
        weight: Its share beside the others', as `-Q mail=3,default=1` says it.
        backlog: Messages that are ready in it; None where nobody asked. At most a tenth of a second old, less what
            was taken here since.
        oldest_age_s: How long ago the message was sent that is first in line; None where nobody asked.
        served_s: When a claim last looked into it, on the clock of `Loads.now_s`; when it became known if none did.
        passes: How many claims in a row have passed it over since: they were full before they came to it.
        taken: How many messages of it were run since the last choice; None where nobody counts.
        drained: Whether the last claim that looked into it left nothing there.
    """

    weight: int = 1
    backlog: int | None = None
    oldest_age_s: float | None = None
    served_s: float = 0.0
    passes: int = 0
    taken: int | None = None
    drained: bool = False


_UNKNOWN = Load()


@dataclass(frozen=True, slots=True)
class Loads:
    """How all sources stand at one moment.

    Attributes:
        now_s: The moment, on a clock that never goes back.
        by_source: The load of each source; one that is missing stands as a new one.
    """

    now_s: float = 0.0
    by_source: Mapping[Source, Load] = field(default_factory=dict)

    def of(self, source: Source) -> Load:
        """Return how one source stands."""
        return self.by_source.get(source, _UNKNOWN)


class Chance(Protocol):
    """What a strategy may draw from; `random.Random` is one."""

    def random(self) -> float:
        """Return a number from 0 up to, and without, 1."""

"""What a broker has to offer. Other packages may write one: see `named` for how it is found.

The record of a message stands on its nodes before a broker hears of anything. So a broker is not asked to be reliable:
a ticket that is lost, late, doubled or of a queue that is empty by now is no error. It is asked not to be in the way:
nothing here may block a caller on a broker that is away, or raise because of that, unless it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

#: How many tickets a queue is given at once at most, however many messages were recorded: one ticket leads to more.
TICKETS_MAX = 32


@dataclass(frozen=True, slots=True)
class Ticket:
    """Says that a queue may have work.

    Attributes:
        queue: Name of the queue.
        tag: By what the broker knows it again; nobody else's business.
    """

    queue: str
    tag: Any = None


class Tickets(Protocol):
    """What one worker hears of a broker, by one connection of its own. It belongs to one thread, but for `nudge`.

    Nothing is consumed before `consume`. A connection that is lost is made anew by `next`, without end.
    """

    @property
    def trouble(self) -> str:
        """Why nothing can be heard just now, in words for people and without a password; empty while all is well."""

    def consume(self, at_once: int) -> None:
        """Take tickets from now on.

        Args:
            at_once: How many of them may be out, taken and not settled; 1 or more.
        """

    def cancel(self) -> None:
        """Take no more, and give back what was delivered and not returned by `next` yet.

        What `next` returned is still to be settled. `consume` goes on.
        """

    def next(self, timeout_s: float) -> Ticket | None:
        """Wait for a ticket.

        Args:
            timeout_s: How long; 0 for a look.

        Returns:
            A ticket, to be settled by `acknowledge` or `put_back`; None if none came, `nudge` was called, or the
            broker is away.
        """

    def acknowledge(self, ticket: Ticket) -> None:
        """Be done with a ticket. One of a connection that is lost since comes again by itself."""

    def put_back(self, ticket: Ticket) -> None:
        """Leave a ticket to others."""

    def renew(self) -> None:
        """Make a new connection and consume again: for one on which nothing is heard although tickets wait."""

    def nudge(self) -> None:
        """Have `next` return at once. May be called by any thread."""

    def close(self) -> None:
        """Give back what is not settled, and close the connection; 2 seconds at most."""


class Broker(Protocol):
    """One broker as one mesh uses it. Any thread may use it; after a fork it begins anew by itself."""

    @property
    def shown(self) -> str:
        """Where it is, for people: without a password."""

    def announce(self, queue: str, count: int = 1) -> None:
        """Say that messages were recorded. Returns at once, and never raises because the broker is away.

        Args:
            queue: Their queue.
            count: How many; 1 or more.
        """

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was announced has reached the broker, and tell whether it has."""

    def listen(self, queues: Sequence[str]) -> Tickets | None:
        """Return what a worker hears of these queues; None if the nodes wake it. Nothing is connected yet."""

    def waiting(self, queue: str) -> int | None:
        """Return how many tickets of a queue wait for somebody to take them; None if nobody can tell just now."""

    def check(self, queues: Sequence[str] = ()) -> None:
        """Connect, and declare queues, to see that it can be done.

        Args:
            queues: Which; none to connect only.

        Raises:
            BrokerRefused: It answers and does not let us: the account, the virtual host, a queue that is otherwise.
            BrokerUnavailable: It does not answer.
        """

    def close(self) -> None:
        """Flush for a second or two, and close connections. It can be used again."""

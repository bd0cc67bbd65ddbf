"""What a broker over a network has to do on one connection; threads, waiting and coming again are made of it once.

A line belongs to one thread. Each method may raise `BrokerUnavailable` or `BrokerRefused`; the line is then of no use
until `connect` is called again, and what was not settled comes again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Line(Protocol):
    """One connection to a broker."""

    @property
    def shown(self) -> str:
        """Where the broker is, for people: without a password."""

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as anybody knows."""

    @property
    def beat_s(self) -> float:
        """How often `beat` is to be called at least."""

    def connect(self) -> None:
        """Connect, unless it is connected; what was before is dropped."""

    def declare(self, queues: Sequence[str]) -> None:
        """Make queues, unless they are there."""

    def publish(self, counts: Mapping[str, int]) -> None:
        """Send so many tickets for each queue, and return when the broker has them; makes missing queues."""

    def waiting(self, queue: str) -> int:
        """Return how many tickets of a queue wait; 0 if there is no such queue."""

    def consume(self, queues: Sequence[str], at_once: int, heard: Callable[[str, Any], None]) -> None:
        """Begin to take tickets.

        Args:
            queues: Of which queues; they are made if they are missing.
            at_once: How many may be out.
            heard: Called, by `wait`, with the queue of each ticket and the tag by which it is settled.
        """

    def cancel(self) -> None:
        """Take no more tickets."""

    def wait(self, timeout_s: float, wakeup: int) -> None:
        """Wait until something comes, but no longer than a while, or until a descriptor can be read.

        Args:
            timeout_s: How long.
            wakeup: The descriptor.
        """

    def beat(self) -> None:
        """Say that this side lives, and look whether the other does."""

    def acknowledge(self, tag: Any) -> None:
        """Be done with a ticket."""

    def put_back(self, tag: Any) -> None:
        """Leave a ticket to others."""

    def close(self) -> None:
        """Close the connection, within a second. Never raises."""

    def abandon(self) -> None:
        """Forget a connection of the process from which this one was forked, without a word to the broker."""

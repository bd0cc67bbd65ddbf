"""A6: nothing is accepted where a configuration was sealed. A7: one a number, each following the one before.

That nothing new is chosen after a majority is sealed follows from A6, since any two majorities meet; what some accepted
before may still be chosen by those that are not sealed, and whoever reads a sealed majority finds it there.
"""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.consensus.configuration import Configuration, read_configuration
from taskmesh.consensus.quorum import majority
from tests.simulation.agreement.checkers.broken import BrokenPromise


class Configurations:
    """The configurations that acceptors were opened for.

    Attributes:
        known: By number.
        open_at: Which instances were opened for a configuration, by its number.
    """

    def __init__(self) -> None:
        self.known: dict[int, Configuration] = {}
        self.open_at: dict[int, set[bytes]] = {}
        self._sealed: dict[int, set[bytes]] = {}

    def opened(self, configuration: Configuration) -> None:
        """Note that an acceptor was opened for a configuration."""
        known = self.known.setdefault(configuration.number, configuration)
        if known != configuration:
            raise BrokenPromise(f"A7: two configurations of one number: {known}, {configuration}")
        before = self.known.get(configuration.number - 1)
        if configuration.number > 1 and (before is None or before.members != configuration.previous):
            raise BrokenPromise(f"A7: {configuration} does not follow {before}")

    def inited(self, args: Sequence[bytes], reply: Sequence[bytes]) -> None:
        """Look at an answer to an init."""
        if reply[0] == b"OPEN":
            self.opened(read_configuration(int(args[1]), args[2]))
            self.open_at.setdefault(int(args[1]), set()).add(args[0])

    def sealed(self, args: Sequence[bytes], reply: Sequence[bytes]) -> None:
        """Look at an answer to a seal."""
        if reply[0] == b"SEALED":
            self._sealed.setdefault(int(args[1]), set()).add(args[0])

    def accepted(self, number: int, instance: bytes) -> None:
        """Look at something that was accepted."""
        if instance in self._sealed.get(number, ()):
            raise BrokenPromise(
                f"A6: {instance!r} accepted something in configuration {number}, sealed there"
            )

    def needed(self, number: int) -> int:
        """Return how many of a configuration's acceptors are a majority."""
        return majority(len(self.known[number].members))

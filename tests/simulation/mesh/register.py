"""An ideal register for the view: it is always there, only the way to it is long and answers are lost.

That acceptors agree is the business of another simulation; here many seeds per second are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from taskmesh.consensus.registers import (
    NOTHING,
    Change,
    Changed,
    Delete,
    Keep,
    Operation,
    Refuse,
    Versioned,
    Write,
)
from taskmesh.core.steps import Pause
from taskmesh.errors import ChangeUnknown, NoMajority, VersionConflict
from tests.simulation.mesh.network import Network

Steps = Generator[Any, Any, Any]
#: Is told of each change of what a register holds.
Watcher = Callable[[str, Versioned], None]


class Registers:
    """What `consensus.registers.Registers` is to protocols: reading and changing by name.

    Attributes:
        held: What each holds.
        watchers: Are told of each change.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.held: dict[str, Versioned] = {}
        self.watchers: list[Watcher] = []
        self._done: dict[bytes, Changed] = {}

    def read(self, name: str) -> Steps:
        """Read a register."""
        yield from self._way()
        if self._is_lost():
            raise NoMajority("simulated: no majority answered")
        found = self.held.get(name, NOTHING)
        yield from self._way()
        return found

    def change(
        self, name: str, change: Change, operation: Operation | None = None, *, sticky: bool = False
    ) -> Steps:
        """Change a register; a repeat with the same operation is done once."""
        yield from self._way()
        if self._is_lost():
            raise NoMajority("simulated: no majority answered")
        if self._is_late():
            late_s = self.network.random.random() * self.network.rates.late_s
            self.network.after(late_s, lambda _: self._do(name, change, operation))
            raise ChangeUnknown("simulated: no answer")
        changed = self._do(name, change, operation)
        if self._is_lost():
            raise ChangeUnknown("simulated: the answer was lost")
        yield from self._way()
        if isinstance(changed, Exception):
            raise changed
        return changed

    def compare_and_set(
        self, name: str, content: bytes, if_version: int, operation: Operation | None = None
    ) -> Steps:
        """Write if the register is at a version; version 0 is one that does not exist."""

        def compare(found: Versioned) -> Any:
            if found.version != if_version:
                text = f"simulated: {name} is at version {found.version}"
                return Refuse(VersionConflict(text, register=name, version=found.version))
            return Write(content)

        return (yield from self.change(name, compare, operation))

    def _do(self, name: str, change: Change, operation: Operation | None) -> Changed | Exception:
        asked = operation.id if operation is not None else b""
        if asked and asked in self._done:
            return self._done[asked]
        found = self.held.get(name, NOTHING)
        verdict = change(found)
        if isinstance(verdict, Refuse):
            return verdict.error
        if isinstance(verdict, Keep):
            return Changed(found.version, found.content, verdict.answer)
        content = None if isinstance(verdict, Delete) else verdict.content
        changed = Changed(found.version + 1, content, verdict.answer)
        self.held[name] = Versioned(changed.version, content)
        if asked:
            self._done[asked] = changed
        for watcher in self.watchers:
            watcher(name, self.held[name])
        return changed

    def _way(self) -> Steps:
        yield Pause(self.network.random.random() * self.network.rates.delay_s)

    def _is_lost(self) -> bool:
        return self.network.faulty and self.network.random.random() < self.network.rates.lost

    def _is_late(self) -> bool:
        return self.network.faulty and self.network.random.random() < self.network.rates.late

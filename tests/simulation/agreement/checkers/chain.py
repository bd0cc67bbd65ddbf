"""What was chosen of each register is one chain: A2, A4, A6b and A11.

A value is chosen when a majority of a configuration has accepted it under one ballot. It tells which operations made it
and at which versions, so it can be computed again from the value chosen before it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from typing import NamedTuple

from taskmesh.consensus.value import Done, Packing, Value, absent
from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.checkers.configurations import Configurations


class Chosen(NamedTuple):
    """A value that was chosen, where and when it stands in the order of ballots."""

    number: int
    n: int
    proposer: int
    value: Value


class Chain:
    """What was chosen of one register.

    Attributes:
        links: In the order of configurations and ballots.
        contents: By version.
        since_s: When each version was first known to be chosen.
        versions: Which version each operation made.
        never: Operations of which somebody was told that they are certainly not done.
    """

    def __init__(self, name: str, *, is_list: bool) -> None:
        self.name = name
        self._is_list = is_list
        self.links: list[Chosen] = []
        self.contents: dict[int, bytes | None] = {}
        self.since_s: dict[int, float] = {}
        self.versions: dict[bytes, int] = {}
        self.never: set[bytes] = set()

    def add(self, chosen: Chosen, now_s: float) -> None:
        """Put a value into its place, and see that it follows from the one before, and the next one from it."""
        if not self.links or chosen > self.links[-1]:
            before = self.links[-1] if self.links else Chosen(0, 0, 0, absent(1))
            self.links.append(chosen)
            self._follows(before, chosen, now_s)
            return
        insort(self.links, chosen)
        at = self.links.index(chosen)
        before = self.links[at - 1] if at else Chosen(0, 0, 0, absent(1))
        self._follows(before, chosen, now_s)
        self._follows(chosen, self.links[at + 1], now_s)

    def _follows(self, before: Chosen, after: Chosen, now_s: float) -> None:
        value, old = after.value, before.value
        if value == old:
            return
        version, content, steps = self._steps(before, after)
        for done in steps:
            version += 1
            if done.version != version:
                raise self._broken("A2", before, after, f"{done} made no version {version}")
            content = self._after(content, done.operation)
            if self.versions.setdefault(done.operation, version) != version:
                raise self._broken(
                    "A4",
                    before,
                    after,
                    f"{done.operation!r} also made version {self.versions[done.operation]}",
                )
            if done.operation in self.never:
                raise self._broken(
                    "A4", before, after, f"{done.operation!r} was said to be certainly not done"
                )
            self.contents.setdefault(version, content)
            self.since_s.setdefault(version, now_s)
        if value.version != version:
            raise self._broken("A2", before, after, f"it should be at version {version}")
        if self._is_list and value.content != content:
            raise self._broken("A11", before, after, f"it should hold {content!r}")

    def _steps(self, before: Chosen, after: Chosen) -> tuple[int, bytes | None, Sequence[Done]]:
        """Return from where, and by which operations, a value came to be."""
        old, value = before.value, after.value
        if old.operations:
            last = old.operations[-1]
            if last in value.operations:
                at = value.operations.index(last) + 1
                if value.operations[:at] != old.operations[-at:]:
                    raise self._broken("A2", before, after, "other operations came before")
                return old.version, old.content, value.operations[at:]
        if old.content is None and after.number > max(before.number, 1):
            # what was deleted was left behind; the new configuration counts anew
            started = absent(self._number_of(value, after.number))
            return started.version, None, value.operations
        if not old.operations and old.version in {
            absent(each).version for each in range(1, after.number + 1)
        }:
            # that it was not there had been chosen, or taken over
            return old.version, None, value.operations
        raise self._broken(
            "A6b" if after.number > before.number else "A2", before, after, "it knows nothing of it"
        )

    @staticmethod
    def _number_of(value: Value, number: int) -> int:
        first = value.operations[0].version if value.operations else value.version + 1
        return next((each for each in range(number, 0, -1) if first > absent(each).version), number)

    def _after(self, content: bytes | None, operation: bytes) -> bytes | None:
        if operation.startswith(b"d"):
            return None
        return (content or b"") + b" " + operation

    def _broken(self, promise: str, before: Chosen, after: Chosen, why: str) -> BrokenPromise:
        return BrokenPromise(f"{promise}: {self.name}: after {before} was chosen {after}: {why}")


class Chains:
    """The chains of all registers."""

    def __init__(
        self,
        configurations: Configurations,
        packing: Packing,
        clock: Callable[[], float],
        lists: frozenset[str],
    ) -> None:
        """Prepare.

        Args:
            configurations: Of which acceptors.
            packing: Unpacks values.
            clock: Tells the time.
            lists: Registers that hold the words which operations appended, so that operations tell the content.
        """
        self._configurations = configurations
        self._packing = packing
        self._clock = clock
        self._voters: dict[tuple[bytes, bytes, bytes, bytes], set[bytes]] = {}
        self._lists = lists
        self._chains: dict[str, Chain] = {}

    def of(self, name: str) -> Chain:
        """Return the chain of a register."""
        chain = self._chains.get(name)
        if chain is None:
            chain = self._chains[name] = Chain(name, is_list=name in self._lists)
        return chain

    def names(self) -> list[str]:
        """Return the registers of which something was chosen."""
        return sorted(name for name, chain in self._chains.items() if chain.links)

    def accepted(self, args: Sequence[bytes], reply: Sequence[bytes]) -> None:
        """Look at an answer to an accept."""
        if reply[0] != b"ACCEPTED":
            return
        instance, number_word, name_word, n, proposer, _, packed, _ = args
        key = (number_word, name_word, n, proposer)
        voters = self._voters.get(key)
        if voters is None:
            voters = self._voters[key] = set()
        elif instance in voters:
            return
        voters.add(instance)
        number = int(number_word)
        self._configurations.accepted(number, instance)
        if len(voters) == self._configurations.needed(number):
            name = name_word.decode()
            chosen = Chosen(number, int(n), int(proposer), self._packing.unpack(name, packed))
            self.of(name).add(chosen, self._clock())

    # -- what clients were told -----------------------------------------------------------

    def was_read(self, name: str, version: int, content: bytes | None) -> None:
        """See that what was read had been chosen."""
        if version and self.of(name).contents.get(version, b"not chosen") != content:
            raise BrokenPromise(
                f"A3: {name}: {content!r} was read as version {version}, which was not chosen"
            )
        if not version and content is not None:
            raise BrokenPromise(f"A3: {name}: {content!r} was read as not there")

    def was_changed(self, name: str, version: int, operation: bytes) -> bytes | None:
        """See that what is said to be done was chosen, and return what it made."""
        chain = self.of(name)
        if chain.versions.get(operation) != version:
            raise BrokenPromise(
                f"A3: {name}: {operation!r} is said to have made version {version}, but that was not chosen"
            )
        return chain.contents[version]

    def content_of(self, name: str, version: int) -> bytes | None:
        """Return what a version held that somebody was told of."""
        contents = self.of(name).contents
        if version not in contents:
            raise BrokenPromise(f"A3: {name}: version {version} was told, which was not chosen")
        return contents[version]

    def never(self, name: str, operation: bytes) -> None:
        """Note that somebody was told that an operation is certainly not done."""
        chain = self.of(name)
        if operation in chain.versions:
            raise BrokenPromise(f"A4: {name}: {operation!r} was done, and said to be certainly not done")
        chain.never.add(operation)

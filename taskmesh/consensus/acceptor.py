"""The acceptor as a model: what an instance on a node does, step by step, with the very same replies as the scripts.

Paxos Made Simple, 2.2 and 2.5, for many registers at once; `docs/divergence.md` tells what differs. The simulation runs
this in place of a node where it wants many histories a second; a table of cases and random calls compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from taskmesh.consensus.ballot import JUMP_MAX, N_MAX, NONE, Ballot, read_ballot

Answer = list[bytes]


@dataclass(slots=True)
class Register:
    """What an acceptor knows of one register."""

    promised: Ballot = NONE
    accepted: Ballot = NONE
    digest: bytes = b""
    value: bytes = b""

    def told(self) -> Answer:
        """Return what was accepted, as it is told."""
        return [*self.accepted.words(), self.digest, self.value]


@dataclass(slots=True)
class Configuration:
    """What an acceptor knows of one configuration.

    Attributes:
        members: Of which instances it is made.
        sealed: Whether it has ended here.
        dropped: Whether registers of it were removed since.
        registers: By name.
        names: The registers, each with the count of its last accept; 0 for one that was promised only.
    """

    members: bytes
    sealed: bool = False
    dropped: bool = False
    registers: dict[bytes, Register] = field(default_factory=dict)
    names: dict[bytes, int] = field(default_factory=dict)


@dataclass(slots=True)
class Acceptor:
    """One instance.

    Attributes:
        run: Which process of the server this is: another one each time it starts.
        instance: Its id; empty until it is made.
        admitted: As which process it may answer.
        boot: Of which start of its machine it was last told.
        count: How often it wrote.
        latest: The highest configuration that it was opened for; 0 for none.
        configurations: By number.
    """

    run: bytes
    instance: bytes = b""
    admitted: bytes = b""
    boot: bytes = b""
    count: int = 0
    latest: int = 0
    configurations: dict[int, Configuration] = field(default_factory=dict)

    # -- of every step --------------------------------------------------------------

    def _stranger(self, instance: bytes) -> Answer | None:
        if instance != self.instance:
            return [b"WRONGINSTANCE", self.instance]
        if self.admitted != self.run:
            return [b"NOTADMITTED", self.admitted]
        return None

    def _refusal(self, instance: bytes, number: int) -> Answer | None:
        if (stranger := self._stranger(instance)) is not None:
            return stranger
        configuration = self.configurations.get(number)
        if configuration is None:
            return [b"CONFIGURATION", b"%d" % self.latest]
        if configuration.sealed:
            return [b"SEALED", b"%d" % self.latest]
        return None

    def _count(self) -> int:
        self.count += 1
        return self.count

    # -- the two phases -------------------------------------------------------------

    def prepare(self, instance: bytes, number: int, name: bytes, ballot: Ballot) -> Answer:
        """Promise to take no lower ballot, and tell what was accepted (`prepare.lua`)."""
        if (no := self._refusal(instance, number)) is not None:
            return no
        configuration = self.configurations[number]
        register = configuration.registers.get(name, Register())
        highest = max(register.promised, register.accepted)
        if _is_ahead(ballot, highest):
            return [b"AHEAD", b"%d" % highest.n]
        if ballot <= highest:
            return [b"CONFLICT", *highest.words()]
        self._count()
        register.promised = ballot
        configuration.registers[name] = register
        configuration.names.setdefault(name, 0)
        return [b"PROMISED", *register.told()]

    def accept(
        self,
        instance: bytes,
        number: int,
        name: bytes,
        ballot: Ballot,
        digest: bytes,
        value: bytes,
        *,
        promise_next: bool,
    ) -> Answer:
        """Accept a value, unless a higher ballot was promised or accepted (`accept.lua`)."""
        if (no := self._refusal(instance, number)) is not None:
            return no
        configuration = self.configurations[number]
        register = configuration.registers.get(name, Register())
        if ballot == register.accepted:
            return [b"ACCEPTED"] if digest == register.digest else [b"FAULT", register.digest]
        highest = max(register.promised, register.accepted)
        if ballot < highest:
            return [b"CONFLICT", *highest.words()]
        if _is_ahead(ballot, highest):
            return [b"AHEAD", b"%d" % highest.n]
        configuration.names[name] = self._count()
        register.promised = Ballot(ballot.n + 1, ballot.proposer) if promise_next else ballot
        register.accepted, register.digest, register.value = ballot, digest, value
        configuration.registers[name] = register
        return [b"ACCEPTED"]

    def prepare_all(self, instance: bytes, number: int, ballot: Ballot, names: Sequence[bytes]) -> Answer:
        """Promise for many registers at once, each by itself (`prepare_all.lua`)."""
        if (no := self._refusal(instance, number)) is not None:
            return no
        answer = [b"PROMISED"]
        for name in names:
            word, *told = self.prepare(instance, number, name, ballot)
            answer += [b"1", *told] if word == b"PROMISED" else [b"0", b"0", b"0", b"", b""]
        return answer

    def accept_all(self, instance: bytes, number: int, ballot: Ballot, values: Sequence[bytes]) -> Answer:
        """Accept values of many registers at once, each by itself (`accept_all.lua`)."""
        if (no := self._refusal(instance, number)) is not None:
            return no
        answer = [b"ACCEPTED"]
        for name, digest, value in zip(values[::3], values[1::3], values[2::3], strict=True):
            answer.append(self.accept(instance, number, name, ballot, digest, value, promise_next=False)[0])
        return answer

    def peek(self, instance: bytes, number: int, names: Sequence[bytes]) -> Answer:
        """Tell what was accepted (`peek.lua`)."""
        if (no := self._refusal(instance, number)) is not None:
            return no
        registers = self.configurations[number].registers
        return [b"ACCEPTED", *(word for name in names for word in registers.get(name, Register()).told())]

    def changes(self, instance: bytes, number: int, since: int, most: int) -> Answer:
        """Tell which registers were accepted anew since a count (`changes.lua`)."""
        if (no := self._refusal(instance, number)) is not None:
            return no
        names = self.configurations[number].names
        found = sorted((count, name) for name, count in names.items() if count > since)[:most]
        until = found[-1][0] if found else since
        return [b"CHANGED", b"%d" % until, *(name for _, name in found)]

    # -- configurations -------------------------------------------------------------

    def init(self, instance: bytes, number: int, members: bytes, knows: bytes = b"") -> Answer:
        """Open a configuration of which this is a member (`init.lua`)."""
        if (stranger := self._stranger(instance)) is not None:
            return stranger
        known = self.configurations.get(number)
        if known is not None:
            if known.members != members:
                return [b"OTHERMEMBERS", known.members]
            return [b"SEALED", b"%d" % self.latest] if known.sealed else [b"OPEN"]
        if number < self.latest or knows not in (b"", b"%d" % self.latest):
            return [b"SEALED", b"%d" % self.latest]
        self._count()
        self.configurations[number] = Configuration(members)
        self.latest = number
        return [b"OPEN"]

    def seal(self, instance: bytes, number: int) -> Answer:
        """End a configuration for ever on this acceptor (`seal.lua`)."""
        if (stranger := self._stranger(instance)) is not None:
            return stranger
        configuration = self.configurations.get(number)
        if configuration is None:
            return [b"CONFIGURATION", b"%d" % self.latest]
        if not configuration.sealed:
            self._count()
            configuration.sealed = True
        return [b"SEALED", b"%d" % self.count]

    def export(self, instance: bytes, number: int, names: Sequence[bytes]) -> Answer:
        """Tell what a sealed configuration holds (`export.lua`)."""
        if (stranger := self._stranger(instance)) is not None:
            return stranger
        configuration = self.configurations.get(number)
        if configuration is None:
            return [b"CONFIGURATION", b"%d" % self.latest]
        if not configuration.sealed:
            return [b"OPEN"]
        if configuration.dropped:
            return [b"DROPPED"]
        if not names:
            counts = configuration.names
            return [b"NAMES", *sorted((name for name in counts if counts[name]), key=counts.__getitem__)]
        registers = configuration.registers
        return [b"EXPORT", *(word for name in names for word in registers.get(name, Register()).told())]

    def drop(self, instance: bytes, number: int, most: int) -> Answer:
        """Remove some registers of a sealed configuration (`drop.lua`)."""
        if (stranger := self._stranger(instance)) is not None:
            return stranger
        configuration = self.configurations.get(number)
        if configuration is None or not configuration.sealed:
            return [b"OPEN"]
        configuration.dropped = True
        counts = configuration.names
        for name in sorted(counts, key=lambda name: (counts[name], name))[:most]:
            del counts[name]
            del configuration.registers[name]
        return [b"DROPPED", b"%d" % len(configuration.names)]

    # -- who may answer -------------------------------------------------------------

    def admit(self, instance: bytes, admitted: bytes, least: int, boot: bytes, run: bytes) -> Answer:
        """Make the instance of an empty server, or let one that was started anew answer again (`admit.lua`)."""
        if run != self.run:
            return [b"OTHERRUN", self.run]
        if not self.instance and not admitted:
            self.instance, self.admitted, self.boot = instance, self.run, boot
            return [b"ADMITTED", b"0"]
        if instance != self.instance:
            return [b"WRONGINSTANCE", self.instance]
        if self.admitted == self.run:
            return [b"ADMITTED", b"%d" % self.count]
        if self.admitted != admitted:
            return [b"OTHERRUN", self.admitted]
        if self.count < least:
            return [b"BEHIND", b"%d" % self.count]
        self.admitted, self.boot = self.run, boot
        return [b"ADMITTED", b"%d" % self.count]

    def rename(self, instance: bytes, new: bytes, note: bytes, run: bytes) -> Answer:
        """Become another instance, which knows nothing (`rename.lua`)."""
        if run != self.run:
            return [b"OTHERRUN", self.run]
        if instance != self.instance:
            return [b"WRONGINSTANCE", self.instance]
        if self.instance and self.admitted == self.run:
            return [b"ADMITTED", self.instance]
        self.instance, self.admitted, self.boot = new, self.run, note
        self.count = self.latest = 0
        self.configurations = {}
        return [b"RENAMED", new]

    def look(self, names: Sequence[bytes]) -> Answer:
        """Tell what this instance is, admitted or not (`look.lua`)."""
        latest = self.configurations.get(self.latest)
        registers = latest.registers if latest is not None else {}
        return [
            self.instance,
            self.admitted,
            self.run,
            self.boot,
            b"%d" % self.count,
            b"%d" % self.latest,
            latest.members if latest is not None else b"",
            b"" if latest is None else b"sealed" if latest.sealed else b"open",
            *(word for name in names for word in registers.get(name, Register()).told()),
        ]

    # -- as a script would be called --------------------------------------------------

    def call(self, script: str, args: Sequence[bytes]) -> Answer:
        """Run one step by the name of its script, with the script's arguments.

        Raises:
            ValueError: There is no such step.
        """
        step = _STEPS.get(script)
        if step is None:
            raise ValueError(f"an acceptor has no step {script}")
        return step(self, *args)


def _is_ahead(ballot: Ballot, highest: Ballot) -> bool:
    return ballot.n > highest.n + JUMP_MAX or ballot.n > N_MAX


def _prepare(acceptor: Acceptor, instance: bytes, number: bytes, name: bytes, n: bytes, p: bytes) -> Answer:
    return acceptor.prepare(instance, int(number), name, read_ballot(n, p))


def _accept(
    acceptor: Acceptor,
    instance: bytes,
    number: bytes,
    name: bytes,
    n: bytes,
    p: bytes,
    digest: bytes,
    value: bytes,
    promise_next: bytes,
) -> Answer:
    ballot = read_ballot(n, p)
    return acceptor.accept(
        instance, int(number), name, ballot, digest, value, promise_next=promise_next == b"1"
    )


def _admit(
    acceptor: Acceptor, instance: bytes, admitted: bytes, least: bytes, boot: bytes, run: bytes
) -> Answer:
    return acceptor.admit(instance, admitted, int(least), boot, run)


_STEPS: dict[str, Callable[..., Answer]] = {
    "consensus.prepare": _prepare,
    "consensus.accept": _accept,
    "consensus.prepare_all": lambda acceptor, instance, number, n, p, *names: acceptor.prepare_all(
        instance, int(number), read_ballot(n, p), names
    ),
    "consensus.accept_all": lambda acceptor, instance, number, n, p, *values: acceptor.accept_all(
        instance, int(number), read_ballot(n, p), values
    ),
    "consensus.peek": lambda acceptor, instance, number, *names: acceptor.peek(instance, int(number), names),
    "consensus.changes": lambda acceptor, instance, number, since, most: acceptor.changes(
        instance, int(number), int(since), int(most)
    ),
    "consensus.init": lambda acceptor, instance, number, members, *knows: acceptor.init(
        instance, int(number), members, *knows
    ),
    "consensus.seal": lambda acceptor, instance, number: acceptor.seal(instance, int(number)),
    "consensus.export": lambda acceptor, instance, number, *names: acceptor.export(
        instance, int(number), names
    ),
    "consensus.drop": lambda acceptor, instance, number, most: acceptor.drop(
        instance, int(number), int(most)
    ),
    "consensus.admit": _admit,
    "consensus.rename": lambda acceptor, *args: acceptor.rename(*args),
    "consensus.look": lambda acceptor, *names: acceptor.look(names),
}

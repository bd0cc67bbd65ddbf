"""Registers: read, change and delete what acceptors agreed upon.

Whoever holds one of these is a proposer; there is no other. Nothing here is kept that must be kept: after a crash, or
in another process, the next round finds out what holds. CASPaxos, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from taskmesh.consensus.ballot import PROPOSER_BITS, Ballot
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.configuration import Configuration
from taskmesh.consensus.proposer import Found, Lost, accept, peek, prepare
from taskmesh.consensus.value import OPERATIONS_MAX, Packing, Value
from taskmesh.core.steps import GroupSteps, Pause
from taskmesh.errors import ChangeRejected, ChangeUnknown, NoMajority, VersionConflict

PATIENCE_S = 5.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.01, 2.0
#: Registers that are read at once.
READ_AT_ONCE = 100


class Chance(Protocol):
    """What is drawn at random, as `random.Random` draws it."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between two."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """Return a number of k bits."""
        ...


@dataclass(frozen=True, slots=True)
class Versioned:
    """What a register holds.

    Attributes:
        version: 1 for the first value; a deletion counts as well. 0 for a register that never was.
        content: None when it does not exist.
    """

    version: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Write:
    """The register is to hold this; `answer` is what the caller is told, also if it asks again."""

    content: bytes
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Delete:
    """The register is to exist no more."""

    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Keep:
    """The register is to stay as it is."""

    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The register stays as it is, and the caller gets an error: raised when it is sure that it stood so."""

    error: Exception


Verdict: TypeAlias = Write | Delete | Keep | Refuse
Change: TypeAlias = Callable[[Versioned], Verdict]


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change led to.

    Attributes:
        version: Of the value that it made, or found.
        content: The content then; of a change that was known already, what the register holds now.
        answer: What the change answered.
    """

    version: int
    content: bytes | None
    answer: bytes


@dataclass(slots=True)
class Operation:
    """One wish to change something, however often it must be tried.

    Attributes:
        id: Random; the value remembers it.
        first_version: What the register stood at when it was first sent; None if it never was.
    """

    id: bytes
    first_version: int | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """The promise that came with the last accept, and the value accepted."""

    number: int
    ballot: Ballot
    packed: bytes


@dataclass(frozen=True, slots=True)
class _Told:
    """What the caller of a change that writes nothing is told."""

    version: int
    answer: bytes


@dataclass(slots=True)
class _Again:
    """A try that led to nothing; `why` is for people."""

    why: str
    elsewhere: bool = False


@dataclass(slots=True)
class Registers:
    """The registers of one mesh, as one process reaches them.

    Attributes:
        prefix: Of the mesh's keys on each acceptor.
        chain: Which configuration counts, and what was before it.
        packing: Turns values into bytes.
        chance: Random numbers.
        now_s: A clock that never goes back, for patience.
        patience_s: How long reads and changes go on trying.
    """

    prefix: bytes
    chain: Chain
    packing: Packing
    chance: Chance
    now_s: Callable[[], float]
    patience_s: float = PATIENCE_S
    _n: int = 0
    _held: dict[str, _Held] = field(default_factory=dict)

    # -- reading --------------------------------------------------------------------

    def read(self, name: str) -> GroupSteps[Versioned]:
        """Return what a register holds: no older than when this was asked.

        Raises:
            NoMajority: Too few acceptors answered in time.
        """
        found = yield from self.read_many([name])
        return found[name]

    def read_many(self, names: Sequence[str]) -> GroupSteps[dict[str, Versioned]]:
        """Return what some registers hold, in few rounds; each is no older than when this was asked.

        Raises:
            NoMajority: Too few acceptors answered in time.
        """
        result: dict[str, Versioned] = {}
        for at in range(0, len(names), READ_AT_ONCE):
            some = list(names[at : at + READ_AT_ONCE])
            configuration = yield from self.chain.current()
            told = yield from peek(self.prefix, configuration, some)
            for name in some:
                found = None if isinstance(told, Lost) else told[name]
                if found is not None and self._is_settled(found, configuration):
                    result[name] = _versioned(self.packing.unpack(name, found.packed))
                else:
                    result[name] = yield from self._agreed(name)
        return result

    def _is_settled(self, found: Found, configuration: Configuration) -> bool:
        """Tell whether what a majority showed is the register's value, without a round."""
        if found.chosen:
            return True
        # nothing was accepted by any of a majority: nothing was chosen, unless it was before this configuration
        return not found.packed and self.chain.is_complete(configuration)

    def _agreed(self, name: str) -> GroupSteps[Versioned]:
        """Read with a full round: a value that only some accepted is chosen by it, or given up for ever."""
        changed = yield from self.change(name, lambda _: Keep(), Operation(b""))
        return Versioned(changed.version, changed.content)

    # -- changing -------------------------------------------------------------------

    def change(
        self, name: str, change: Change, operation: Operation, *, sticky: bool = False
    ) -> GroupSteps[Changed]:
        """Change a register by a function of what it holds. It may be called several times; the last time counts.

        Args:
            name: Of the register.
            change: Returns what is to become of it.
            operation: The wish. Repeated after a `ChangeUnknown` it is done once.
            sticky: This process is about to change it again, and nobody else is: the next time takes one phase.

        Raises:
            ChangeRejected: It is certainly not done. `NoMajority` when too few acceptors answered.
            ChangeUnknown: It may be done, or may be later.
        """
        give_up_s = self.now_s() + self.patience_s
        tries = 0
        while True:
            outcome = yield from self._try(name, change, operation, sticky=sticky)
            if isinstance(outcome, Changed):
                return outcome
            if outcome.elsewhere:
                yield from self.chain.follow()
            if self.now_s() >= give_up_s:
                raise self._failure(name, operation, outcome.why)
            # full jitter: two proposers that met do not meet again
            yield Pause(self.chance.uniform(0, min(PAUSE_S_MAX, PAUSE_S_MIN * 2**tries)))
            tries += 1

    def compare_and_set(
        self, name: str, content: bytes, if_version: int, operation: Operation
    ) -> GroupSteps[Changed]:
        """Write a register if it stands at a version (0: if it never was).

        Raises:
            VersionConflict: It stands at another.
            ChangeRejected, ChangeUnknown: As `change`.
        """

        def write(found: Versioned) -> Verdict:
            return (
                Write(content) if found.version == if_version else Refuse(_conflict(name, found, if_version))
            )

        return (yield from self.change(name, write, operation))

    def delete(self, name: str, operation: Operation, if_version: int | None = None) -> GroupSteps[Changed]:
        """Have a register exist no more; its version goes on counting.

        Raises:
            VersionConflict: It stands at another version than `if_version`.
            ChangeRejected, ChangeUnknown: As `change`.
        """

        def remove(found: Versioned) -> Verdict:
            if if_version is not None and found.version != if_version:
                return Refuse(_conflict(name, found, if_version))
            return Keep() if found.content is None else Delete()

        return (yield from self.change(name, remove, operation))

    def _failure(self, name: str, operation: Operation, why: str) -> ChangeRejected | ChangeUnknown:
        if operation.first_version is not None:
            return ChangeUnknown(
                f"register {name}: the change may be done or not: {why}; repeat it with the same operation",
                register=name,
            )
        return NoMajority(
            f"register {name}: no majority of the acceptors agreed within {self.patience_s:g} s: {why}",
            register=name,
        )

    def _try(
        self, name: str, change: Change, operation: Operation, *, sticky: bool
    ) -> GroupSteps[Changed | _Again]:
        configuration = yield from self.chain.current()
        held = self._held.pop(name, None)
        if held is not None and held.number == configuration.number:
            ballot, found = held.ballot, Found(held.packed, held.ballot, chosen=True)
        else:
            ballot = self._next_ballot()
            told = yield from prepare(self.prefix, configuration, name, ballot)
            if isinstance(told, Lost):
                return self._again(told)
            found = told
        packed = found.packed
        if not packed and not self.chain.is_complete(configuration):
            inherited = yield from self.chain.inherited(configuration, name)
            if inherited is None:
                return _Again("what the configuration before held is not known", elsewhere=True)
            packed = inherited
        value = self.packing.unpack(name, packed)
        verdict, done = self._decide(name, value, change, operation)
        if isinstance(verdict, (Keep, Refuse)):
            if packed and not found.chosen:
                # what stands there is to be chosen before anybody is told of it
                lost = yield from self._accept(configuration, name, ballot, packed, sticky=sticky)
                if lost is not None:
                    return self._again(lost)
            elif held is not None:
                self._held[name] = held
            if isinstance(verdict, Refuse):
                raise verdict.error
            return Changed(done.version, value.content, done.answer)
        content = verdict.content if isinstance(verdict, Write) else None
        following = value.followed_by(content, operation.id, verdict.answer)
        new = self.packing.pack(name, following)
        if operation.first_version is None:
            operation.first_version = value.version
        lost = yield from self._accept(configuration, name, ballot, new, sticky=sticky)
        return self._again(lost) if lost is not None else Changed(following.version, content, verdict.answer)

    def _decide(self, name: str, value: Value, change: Change, operation: Operation) -> tuple[Verdict, _Told]:
        done = value.done(operation.id) if operation.first_version is not None else None
        if done is not None:
            return Keep(), _Told(done.version, done.answer)
        first = operation.first_version
        if first is not None and value.version - first >= OPERATIONS_MAX:
            raise ChangeUnknown(
                f"register {name}: {value.version - first} changes ago this one may have been done or not; that is no "
                "longer remembered. Read the register, and decide anew",
                register=name,
            )
        verdict = change(_versioned(value))
        answer = verdict.answer if isinstance(verdict, Keep) else b""
        return verdict, _Told(value.version, answer)

    def _accept(
        self, configuration: Configuration, name: str, ballot: Ballot, packed: bytes, *, sticky: bool
    ) -> GroupSteps[Lost | None]:
        following = Ballot(ballot.n + 1, ballot.proposer) if sticky else None
        lost = yield from accept(self.prefix, configuration, name, ballot, packed, following)
        if lost is None and following is not None:
            self._n = max(self._n, following.n)
            self._held[name] = _Held(configuration.number, following, packed)
        return lost

    def _next_ballot(self) -> Ballot:
        self._n += 1
        # another proposer for each ballot: none is used twice, whatever a process forgets and however it is forked
        return Ballot(self._n, self.chance.getrandbits(PROPOSER_BITS))

    def _again(self, lost: Lost) -> _Again:
        self._n = max(self._n, lost.highest.n)
        return _Again(lost.why, lost.elsewhere)


def _versioned(value: Value) -> Versioned:
    return Versioned(value.version, value.content)


def _conflict(name: str, found: Versioned, if_version: int) -> VersionConflict:
    stands = f"at version {found.version}" if found.version else "not there"
    return VersionConflict(
        f"register {name} is {stands}, not at version {if_version}: read it, and decide anew",
        register=name,
        version=found.version,
    )

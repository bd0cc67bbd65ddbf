"""Registers: read, change and delete what acceptors agreed upon.

Whoever holds one of these is a proposer; there is no other. Nothing here is kept that must be kept: after a crash, or
in another process, the next round finds out what holds. CASPaxos, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from taskmesh.consensus.ballot import N_MAX, NONE, PROPOSER_BITS, Ballot
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.configuration import Configuration
from taskmesh.consensus.outlived import done_before
from taskmesh.consensus.proposer import Found, Lost, accept, accept_all, peek, prepare, prepare_all
from taskmesh.consensus.value import OPERATIONS_MAX, Packing, Value, absent
from taskmesh.core.steps import GroupSteps, Pause
from taskmesh.errors import AgreementError, ChangeRejected, ChangeUnknown, NoMajority, VersionConflict

PATIENCE_S = 5.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.01, 2.0
#: Registers that one process may change in one phase.
HELD_MAX = 256
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
        version: 1 for the first value of a mesh's first configuration; it grows with each change. 0 for a register that
            does not exist, whether it never was or was deleted: nobody keeps for ever what that was.
        content: None when it does not exist.
    """

    version: int
    content: bytes | None


#: A register that does not exist.
NOTHING = Versioned(0, None)


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
        version: Of the value that it made; of the one that it found when it made none, as `Versioned` has it.
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
        id: Random; the value remembers it. Empty for one that changes nothing.
        first_version: At which version the register certainly stood without it; None if it was never sent.
        last_version: The highest version that it was to change.
        left_version: As `first_version`, of the first configuration that it has outlived; None if there is none.
    """

    id: bytes
    first_version: int | None = None
    last_version: int = -1
    left_version: int | None = None

    def sent(self, version: int, *, chosen: bool) -> None:
        """Note that it is sent, to change a version, of which it may be known that it was chosen."""
        if self.first_version is None or (chosen and version > self.last_version):
            # what was sent before was to change lower versions, and is not part of this one: it will never be chosen
            self.first_version = version
        self.last_version = max(self.last_version, version)

    def outlives(self, version: int) -> None:
        """Note that it did nothing in configurations that have ended; in this one the register begins anew."""
        if self.left_version is None:
            self.left_version = self.first_version
        self.first_version = self.last_version = version

    def certainly_before(self, version: int) -> int | None:
        """Return at which version the register stood without it, if it stands at one now; None if it was never sent."""
        if self.first_version is not None and version < self.first_version and self.left_version is not None:
            # something of before, that only some had accepted, was taken over late
            return self.left_version
        return self.first_version


@dataclass(frozen=True, slots=True)
class _Held:
    """The promise that came with the last accept, and the value accepted."""

    configuration: Configuration
    ballot: Ballot
    packed: bytes


@dataclass(slots=True)
class _Again:
    """A try that led to nothing.

    Attributes:
        why: For people.
        elsewhere: The configuration is another one now.
        silent: Too few acceptors said anything: they may have been left for others long ago.
        outdated: Only what this process knew of the register was too old: it knows better now.
    """

    why: str
    elsewhere: bool = False
    silent: bool = False
    outdated: bool = False


@dataclass(slots=True)
class Registers:
    """The registers of one mesh, as one process reaches them.

    Attributes:
        prefix: Of the mesh's keys on each acceptor.
        chain: Which configuration counts, and what was before it.
        packing: Turns values into bytes.
        chance: Random numbers, others in each process, also in one that was forked.
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

    def forget(self) -> None:
        """Go on under no promise that was given: whoever gave it has lost everything."""
        self._held.clear()

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
            shown = yield from self._shown(some)
            for name in some:
                found = shown.get(name)
                result[name] = found if found is not None else (yield from self._agreed(name))
        return result

    def _shown(self, names: list[str]) -> GroupSteps[dict[str, Versioned]]:
        """Return those registers of which a majority shows, without a round, what they hold."""
        try:
            configuration = yield from self.chain.current()
            is_complete = yield from self.chain.is_complete(configuration)
            told = yield from peek(self.prefix, configuration, names)
        except NoMajority:
            return {}
        if isinstance(told, Lost):
            return {}
        shown = {}
        for name, found in told.items():
            if found.chosen:
                shown[name] = _versioned(self.packing.unpack(name, found.packed))
            elif is_complete and not found.packed:
                # nothing was accepted by any of a majority: nothing was chosen, nor was it before this configuration
                shown[name] = NOTHING
        return shown

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
        tries, knows_better = 0, False
        while True:
            try:
                outcome = yield from self._try(name, change, operation, sticky=sticky)
                if isinstance(outcome, Changed):
                    return outcome
                if outcome.elsewhere:
                    yield from self.chain.follow()
                elif outcome.silent:
                    yield from self.chain.seek()
            except NoMajority as error:
                # nobody says now which configuration counts; that tells nothing of what was sent before
                outcome = _Again(str(error))
            if self.now_s() >= give_up_s:
                raise self._failure(name, operation, outcome.why)
            if outcome.outdated and not knows_better:
                # nobody was disturbed. After a pause it would be too old again, for as long as somebody changes the
                # register in one phase over and over
                knows_better = True
                continue
            knows_better = False
            # full jitter: two proposers that met do not meet again
            yield Pause(self.chance.uniform(0, min(PAUSE_S_MAX, PAUSE_S_MIN * 2**tries)))
            tries += 1

    def take_over(
        self, configuration: Configuration, inherited: Mapping[str, bytes]
    ) -> GroupSteps[list[str]]:
        """Have registers hold in a configuration what they did before it, many in each round.

        Each register goes through the two phases by itself, as it would alone, under a ballot that none of them has
        been proposed with before; that they travel together makes none depend on another. What a majority promises
        with is taken where something was accepted: somebody took it over, or changed it, already. Only else what it
        inherited is proposed, which whoever asks has read of a sealed majority; of several who read different
        majorities the phases let one win.

        Args:
            configuration: One that is not complete.
            inherited: What each held at the end of the one before, packed.

        Returns:
            Those of which it is not known whether they do now: to be read one by one.
        """
        names = list(inherited)
        told = yield from peek(self.prefix, configuration, names)
        if isinstance(told, Lost):
            return names
        # no promise is taken from whoever holds one for a register that was taken over
        open_ = [name for name in names if not told[name].chosen]
        if not open_:
            return []
        ballot = self._next_ballot(open_[0])
        found = yield from prepare_all(self.prefix, configuration, open_, ballot)
        values = {name: each.packed or inherited[name] for name, each in found.items()}
        chosen = (yield from accept_all(self.prefix, configuration, values, ballot)) if values else set()
        return [name for name in open_ if name not in chosen]

    def compare_and_set(
        self, name: str, content: bytes, if_version: int, operation: Operation
    ) -> GroupSteps[Changed]:
        """Write a register if it stands at a version (0: if it does not exist).

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
        """Have a register exist no more.

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
                f"register {name}: the change may be done or not: {why}; read what is there before you say it again",
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
        inherited: Found | None = None
        # of these very acceptors: those that forgot all begin with the same number again
        if held is not None and held.configuration == configuration:
            # it was chosen then: whether it still is, is known when it is accepted again
            ballot, found = held.ballot, Found(held.packed, held.ballot, chosen=False)
        else:
            is_complete = yield from self.chain.is_complete(configuration)
            ballot = self._next_ballot(name)
            told = yield from prepare(self.prefix, configuration, name, ballot)
            if isinstance(told, Lost):
                return self._again(told, outdated=told.highest > NONE)
            found = told
            if not found.packed and not is_complete:
                inherited = yield from self.chain.inherited(configuration, name)
                if inherited is None:
                    return _Again("what the configuration before held is not known", elsewhere=True)
                found = Found(inherited.packed, NONE, chosen=False)
        packed, nothing = found.packed, absent(configuration.number)
        value = self.packing.unpack(name, packed) if packed else nothing
        done = value.done(operation.id) if operation.id else None
        first = operation.first_version
        if done is None and first is not None and first < nothing.version <= value.version:
            left = inherited or (yield from self.chain.inherited(configuration, name))
            done = done_before(self.packing, configuration, name, left, operation)
        verdict = self._verdict(name, value, change, operation) if done is None else Keep(done.answer)
        if isinstance(verdict, (Keep, Refuse)):
            # What stands there is to be chosen before anybody is told of it. So is, once more, what has been: something
            # that was sent before may stand against it
            if (packed and not found.chosen) or (operation.first_version is not None and done is None):
                packed = packed or self.packing.pack(name, value)
                lost = yield from self._accept(configuration, name, ballot, packed, sticky=sticky)
                if lost is not None:
                    return self._again(lost, outdated=held is not None and lost.highest > NONE)
            if isinstance(verdict, Refuse):
                raise verdict.error
            version = _versioned(value).version if done is None else done.version
            return Changed(version, value.content, verdict.answer)
        content = verdict.content if isinstance(verdict, Write) else None
        following = value.followed_by(content, operation.id, verdict.answer)
        packed = self.packing.pack(name, following)
        operation.sent(value.version, chosen=found.chosen)
        lost = yield from self._accept(configuration, name, ballot, packed, sticky=sticky)
        if lost is not None:
            return self._again(lost, outdated=held is not None and lost.highest > NONE)
        return Changed(following.version, content, verdict.answer)

    def _verdict(self, name: str, value: Value, change: Change, operation: Operation) -> Verdict:
        first = operation.certainly_before(value.version)
        if first is not None and value.version - first >= OPERATIONS_MAX:
            raise ChangeUnknown(
                f"register {name}: the change may have been done or not, at version {first} or soon after; now it is "
                f"{value.version}, and that is no longer remembered. Read the register, and decide anew",
                register=name,
            )
        return change(_versioned(value))

    def _accept(
        self, configuration: Configuration, name: str, ballot: Ballot, packed: bytes, *, sticky: bool
    ) -> GroupSteps[Lost | None]:
        lost = yield from accept(self.prefix, configuration, name, ballot, packed, promise_next=sticky)
        if lost is None and sticky:
            following = Ballot(ballot.n + 1, ballot.proposer)
            self._n = max(self._n, following.n)
            if len(self._held) >= HELD_MAX:
                # none is needed: those that are still used come back with their next change
                self._held.clear()
            self._held[name] = _Held(configuration, following, packed)
        return lost

    def _next_ballot(self, name: str) -> Ballot:
        self._n += 1
        if self._n > N_MAX:
            raise AgreementError(
                f"register {name}: no ballot is left after {N_MAX}: it can be changed no more, and must be taken over "
                "into another configuration",
                register=name,
            )
        # another proposer for each ballot: none is used twice, whatever a process forgets and however it is forked
        return Ballot(self._n, self.chance.getrandbits(PROPOSER_BITS))

    def _again(self, lost: Lost, *, outdated: bool = False) -> _Again:
        if lost.highest is NONE and lost.ahead_of is not None:
            # some other register is far ahead of this one
            self._n = lost.ahead_of
        self._n = max(self._n, lost.highest.n)
        return _Again(lost.why, lost.elsewhere, lost.silent, outdated)


def _versioned(value: Value) -> Versioned:
    return NOTHING if value.content is None else Versioned(value.version, value.content)


def _conflict(name: str, found: Versioned, if_version: int) -> VersionConflict:
    stands = f"at version {found.version}" if found.version else "not there"
    return VersionConflict(
        f"register {name} is {stands}, not at version {if_version}: read it, and decide anew",
        register=name,
        version=found.version,
    )

"""The defect bank: one rule taken away each, which the checkers must find.

A checker that never complains proves nothing. Scripts are broken by replacing a text in them; the model by overriding a
method; what proposers do by putting another function in a function's place, for the length of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from unittest import mock

from taskmesh.consensus import chain, group, proposer, reconfigure, registers, value
from taskmesh.consensus.acceptor import Acceptor, Answer, Register
from taskmesh.consensus.ballot import NONE, Ballot
from taskmesh.consensus.configuration import Root, read_root
from taskmesh.consensus.group import Answers
from taskmesh.consensus.proposer import Found, Lost
from taskmesh.consensus.registers import NOTHING, Keep, Refuse, Registers
from taskmesh.consensus.scripts import ACCEPT, PREPARE, SEAL
from taskmesh.core.script import Script
from taskmesh.errors import NoMajority
from tests.simulation.agreement import directed
from tests.simulation.agreement.rates import Rates, draw
from tests.simulation.agreement.world import World
from tests.simulation.patching import patched


@dataclass(frozen=True)
class Defect:
    """One rule taken away.

    Attributes:
        name: What is wrong.
        apply: Puts wrong functions in place, for as long as its context lasts.
        acceptor: A wrong model.
        scripts: Wrong scripts; then all runs have scripts.
        careless: Rules that operators break.
        rates: What runs are like, where it differs from what seeds draw: the trouble in which it must show.
        seeds: Within so many it must be found; 0 for one that takes too much luck.
        directed: The schedule that finds it, where luck does not.
    """

    name: str
    apply: Callable[[], AbstractContextManager[Any]] = nullcontext
    acceptor: type[Acceptor] = Acceptor
    scripts: Mapping[str, Script] = field(default_factory=dict)
    careless: frozenset[str] = frozenset()
    rates: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 400
    directed: Callable[[type[Acceptor]], None] | None = None

    def run(self, seed: int) -> None:
        """Run one seed; raises if something is found."""
        with self.apply():
            World(
                seed,
                rates=self.rates_of(seed),
                acceptor=self.acceptor,
                patched=self.scripts,
                careless=self.careless,
            ).run()

    def rates_of(self, seed: int) -> Rates:
        """Return what a run is like."""
        drawn = draw(seed, Random(seed))
        return replace(drawn, **{"scripts": bool(self.scripts), **self.rates})


#: Kinds of trouble.
LOSSY = {"lost": 0.2, "late": 0.1, "late_s": 0.3, "faults": 3}
MOVES = {
    **LOSSY,
    "spare": 2,
    "faults": 6,
    "reconfigure": 2.0,
    "heal": 0.5,
    "delay_s": 0.05,
    "long_s": 1.0,
    "acceptors": 3,
}
FORGETS = {**LOSSY, "spare": 2, "faults": 8, "restart": 2.0, "heal": 2.0, "long_s": 1.0, "acceptors": 3}
EMPTIES = {**FORGETS, "empty": 2.0, "restart": 0.2}


def put(place: Any, name: str, wrong: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return what puts a wrong function in place."""
    return lambda: mock.patch.object(place, name, wrong)


def all_of(*parts: Callable[[], AbstractContextManager[Any]]) -> Callable[[], AbstractContextManager[Any]]:
    """Return what does several of these."""

    @contextmanager
    def together() -> Iterator[None]:
        with parts[0]():
            if parts[1:]:
                with all_of(*parts[1:])():
                    yield
            else:
                yield

    return together


# -- proposers ----------------------------------------------------------------------------

_accept, _try, _peek = Registers._accept, Registers._try, proposer.peek
_prepare, _prepare_all, _ask_group = proposer.prepare, proposer.prepare_all, group.ask_group


def reuse_after_failure(
    self: Registers, configuration: Any, name: str, ballot: Ballot, packed: bytes, *, sticky: bool
) -> Any:
    lost = yield from _accept(self, configuration, name, ballot, packed, sticky=sticky)
    if lost is not None and lost.highest == NONE and not lost.elsewhere:
        before = self.packing.unpack(name, packed)
        older = replace_last(before)
        self._held[name] = registers._Held(configuration, ballot, self.packing.pack(name, older))
    return lost


def replace_last(after: value.Value) -> value.Value:
    """Return about what a value was before its last change."""
    content = after.content
    if content is not None and after.operations:
        content = content.removesuffix(b" " + after.operations[-1].operation)
    return value.Value(after.version - 1, content, after.operations[:-1])


def any_is_enough(script: Script, module: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return what has one acceptor be a majority for a step."""

    def wrong(prefix: bytes, members: Any, asked: Script, *args: bytes, agrees: bytes) -> Any:
        answers: Answers = yield from _ask_group(prefix, members, asked, *args, agrees=agrees)
        return answers._replace(won=bool(answers.agreed)) if asked is script else answers

    return put(module, "ask_group", wrong)


def seal_one(prefix: bytes, members: Any, script: Script, *args: bytes, agrees: bytes) -> Any:
    asked = members[:1] if script is SEAL else members
    return (yield from _ask_group(prefix, asked, script, *args, agrees=agrees))


def believe_peek(*args: Any) -> Any:
    told = yield from _peek(*args)
    if isinstance(told, Lost):
        return told
    return {name: replace(found, chosen=bool(found.packed)) for name, found in told.items()}


def ignore_accepted(*args: Any) -> Any:
    told = yield from _prepare(*args)
    return told if isinstance(told, Lost) else Found(b"", NONE, chosen=False)


def lowest_of(name: str, size: int, told: Any) -> Found:
    lowest = Found(b"", NONE, chosen=False)
    for n, p, _, packed in told:
        ballot = Ballot(int(n), int(p))
        if packed and (not lowest.packed or ballot < lowest.ballot):
            lowest = Found(packed, ballot, chosen=False)
    return lowest


def hold_without_asking(self: Registers, name: str, change: Any, operation: Any, *, sticky: bool) -> Any:
    held = self._held.get(name)
    if held is not None and self.chain._current is not None and held.configuration == self.chain._current:
        seen = registers._versioned(self.packing.unpack(name, held.packed))
        verdict = change(seen)
        if isinstance(verdict, Keep):
            return registers.Changed(seen.version, seen.content, verdict.answer)
    return (yield from _try(self, name, change, operation, sticky=sticky))


def always_rejected(self: Registers, name: str, operation: Any, why: str) -> NoMajority:
    return NoMajority(f"{name} {why}", register=name)


class Constant:
    """Chance that draws one and the same proposer in all processes."""

    def __init__(self, random: Random) -> None:
        self.random, self.uniform, self.randrange = random.random, random.uniform, random.randrange

    def getrandbits(self, _: int) -> int:
        return 7


def draw_once(self: Registers, name: str) -> Ballot:
    self._n += 1
    return Ballot(self._n, 7)


def settle_nothing(self: Registers, name: str, change: Any, operation: Any, *, sticky: bool) -> Any:
    """A change that finds nothing to do leaves what it sent before alive."""
    sent = operation.first_version is not None

    def wrong(found: Any) -> Any:
        verdict = change(found)
        if sent and isinstance(verdict, (Keep, Refuse)):
            operation.first_version = None
        return verdict

    return (yield from _try(self, name, wrong, operation, sticky=sticky))


# -- configurations -----------------------------------------------------------------------


def complete_at_once(self: chain.Chain, configuration: Any) -> Any:
    self.note_complete(configuration)
    return True
    yield


def believe_inherited(self: Registers, name: str, change: Any, operation: Any, *, sticky: bool) -> Any:
    """Whoever reads what the configuration before held, believes what it sees."""
    configuration = yield from self.chain.current()
    if not (yield from self.chain.is_complete(configuration)):
        told = yield from _prepare(self.prefix, configuration, name, self._next_ballot(name))
        if isinstance(told, Found) and not told.packed:
            inherited = yield from self.chain.inherited(configuration, name)
            if inherited and inherited.packed:
                seen = registers._versioned(self.packing.unpack(name, inherited.packed))
                verdict = change(seen)
                if isinstance(verdict, Keep):
                    return registers.Changed(seen.version, seen.content, verdict.answer)
    return (yield from _try(self, name, change, operation, sticky=sticky))


def never_done(_: Any, configuration: Any, name: str, left: Any, operation: Any) -> None:
    """What was sent before, and is not there, is taken for not done."""
    operation.outlives(value.absent(configuration.number).version)


def copying(overwrite: bool) -> Callable[..., Any]:
    """Return a read for those who take over: it writes what it sees, under a ballot of its own or the same as all."""

    def wrong(self: Registers, name: str) -> Any:
        configuration = yield from self.chain.current()
        inherited = yield from self.chain.inherited(configuration, name)
        if not inherited or not inherited.packed:
            return NOTHING
        ballot = Ballot(1, 1)
        if overwrite:
            while True:
                ballot = self._next_ballot(name)
                told = yield from _prepare(self.prefix, configuration, name, ballot)
                if isinstance(told, Found):
                    break
                if told.highest == NONE:
                    raise NoMajority("", register=name)
                self._n = max(self._n, told.highest.n)
        lost = yield from proposer.accept(
            self.prefix, configuration, name, ballot, inherited.packed, promise_next=False
        )
        if lost is not None and lost.highest == NONE:
            raise NoMajority("", register=name)
        return NOTHING

    return wrong


def ignore_all_accepted(*args: Any) -> Any:
    found = yield from _prepare_all(*args)
    return {name: Found(b"", NONE, chosen=False) for name in found}


_take_over = reconfigure._take_over


def take_over_by(read: Callable[..., Any]) -> Callable[[], AbstractContextManager[Any]]:
    """Return what has those who take over read in another way."""

    class Copying:
        def __init__(self, right: Registers) -> None:
            self.right = right

        def __getattr__(self, name: str) -> Any:
            return getattr(self.right, name)

        def read(self, name: str) -> Any:
            return read(self.right, name)

        def take_over(self, _: Any, inherited: Mapping[str, bytes]) -> Any:
            return list(inherited)
            yield

    return put(
        reconfigure,
        "_take_over",
        lambda right, configuration: _take_over(Copying(right), configuration),  # type: ignore[arg-type]
    )


def root_of_any(configuration: Any, content: bytes | None) -> Root:
    root = None if content is None else read_root(content)
    if root is not None and root.number == configuration.number:
        return root
    return Root(configuration.number, complete=configuration.number == 1)


def any_tombstone(right: Registers, name: str, found: Found) -> bool:
    return right.packing.unpack(name, found.packed).content is None


def ask_completeness_late(self: Registers, names: list[str]) -> Any:
    try:
        configuration = yield from self.chain.current()
        told = yield from _peek(self.prefix, configuration, names)
        is_complete = yield from self.chain.is_complete(configuration)
    except NoMajority:
        return {}
    if isinstance(told, Lost):
        return {}
    shown = {}
    for name, found in told.items():
        if found.chosen:
            shown[name] = registers._versioned(self.packing.unpack(name, found.packed))
        elif is_complete and not found.packed:
            shown[name] = NOTHING
    return shown


# -- acceptors ----------------------------------------------------------------------------


class ForgetsThePromise(Acceptor):
    """What is accepted is no promise: `max(promised, accepted)` sees the promise only."""

    def accept(self, instance: bytes, number: int, name: bytes, *args: Any, **kwargs: Any) -> Answer:
        answer = super().accept(instance, number, name, *args, **kwargs)
        known = self.configurations.get(number)
        if answer == [b"ACCEPTED"] and known is not None:
            known.registers[name].promised = NONE
        return answer

    def prepare(self, instance: bytes, number: int, name: bytes, ballot: Ballot) -> Answer:
        known = self.configurations.get(number)
        register = known.registers.get(name) if known is not None else None
        if register is None:
            return super().prepare(instance, number, name, ballot)
        accepted, register.accepted = register.accepted, NONE
        answer = super().prepare(instance, number, name, ballot)
        register.accepted = accepted
        return [answer[0], *register.told()] if answer[0] == b"PROMISED" else answer


class AcceptsAnything(Acceptor):
    """An accept does not mind what was promised."""

    def accept(self, instance: bytes, number: int, name: bytes, *args: Any, **kwargs: Any) -> Answer:
        known = self.configurations.get(number)
        if known is not None and name in known.registers:
            known.registers[name].promised = NONE
        return super().accept(instance, number, name, *args, **kwargs)


class TellsNothing(Acceptor):
    """A promise does not tell what was accepted."""

    def prepare(self, instance: bytes, number: int, name: bytes, ballot: Ballot) -> Answer:
        answer = super().prepare(instance, number, name, ballot)
        return [b"PROMISED", *Register().told()] if answer[0] == b"PROMISED" else answer


class KnownByAddress(Acceptor):
    """Whoever lives at the address is meant."""

    def _stranger(self, instance: bytes) -> Answer | None:
        return super()._stranger(self.instance or instance)


class ExportsUnsealed(Acceptor):
    """What a configuration holds is told before it has ended."""

    def export(self, instance: bytes, number: int, names: Sequence[bytes]) -> Answer:
        known = self.configurations.get(number)
        if known is None or known.sealed:
            return super().export(instance, number, names)
        known.sealed = True
        answer = super().export(instance, number, names)
        known.sealed = False
        return answer


class DropsInSilence(Acceptor):
    """What was dropped seems never to have been."""

    def drop(self, instance: bytes, number: int, most: int) -> Answer:
        answer = super().drop(instance, number, most)
        if (known := self.configurations.get(number)) is not None:
            known.dropped = False
        return answer


class AdmitsAnyRun(Acceptor):
    """Who made or admitted it may have meant another process of its server."""

    def admit(self, instance: bytes, admitted: bytes, least: int, boot: bytes, run: bytes) -> Answer:
        return super().admit(instance, admitted, least, boot, self.run)


EQUAL = ("if not above(n, p, pn, pp) then", "if above(pn, pp, n, p) then")

DEFECTS = (
    Defect(
        "a ballot is used again after its accept failed",
        put(Registers, "_accept", reuse_after_failure),
        rates=LOSSY,
    ),
    Defect("what was accepted is no promise", acceptor=ForgetsThePromise),
    Defect("an accept does not mind what was promised", acceptor=AcceptsAnything),
    Defect("a promise does not tell what was accepted", acceptor=TellsNothing),
    Defect("proposers do not mind what was accepted", put(registers, "prepare", ignore_accepted)),
    Defect("the value with the lowest ballot is taken", put(proposer, "highest_of", lowest_of), rates=LOSSY),
    Defect(
        "a read believes what a majority shows, chosen or not",
        put(registers, "peek", believe_peek),
        rates=LOSSY,
    ),
    Defect("one acceptor is a quorum for accepts", any_is_enough(ACCEPT, proposer), rates=LOSSY),
    Defect("one acceptor is a quorum for promises", any_is_enough(PREPARE, proposer), rates=LOSSY),
    Defect(
        "an equal ballot is promised again, and proposers are drawn once",
        put(Registers, "_next_ballot", draw_once),
        scripts={PREPARE.name: patched(PREPARE, EQUAL)},
        rates={"crash": 2.0, "faults": 6},
    ),
    Defect(
        "a held promise answers for the register",
        put(Registers, "_try", hold_without_asking),
        rates={"sticky": 1.0, "registers": 1, "changes": 6},
    ),
    Defect("operation ids are not looked for", put(value.Value, "done", lambda *_: None), rates=LOSSY),
    Defect(
        "operation ids are not remembered",
        put(
            value.Value,
            "followed_by",
            lambda self, content, operation, answer: value.Value(self.version + 1, content, ()),
        ),
    ),
    Defect(
        "what was sent is said to be certainly not done",
        put(Registers, "_failure", always_rejected),
        rates=LOSSY,
    ),
    Defect(
        "a change that finds nothing to do leaves what it sent alive",
        put(Registers, "_try", settle_nothing),
        rates={**LOSSY, "late_s": 1.0},
        seeds=0,
        directed=directed.nothing_done_is_told_only_when_it_is_sure,
    ),
    Defect(
        "an accept is let through where a configuration is sealed",
        scripts={ACCEPT.name: patched(ACCEPT, ("if sealed == '1' then return {'SEALED', latest} end", ""))},
        rates=MOVES,
    ),
    Defect(
        "one sealed acceptor is enough",
        put(chain, "ask_group", seal_one),
        acceptor=ExportsUnsealed,
        rates=MOVES,
    ),
    Defect(
        "what is not there yet is believed never to have been",
        put(chain.Chain, "is_complete", complete_at_once),
        rates=MOVES,
    ),
    Defect(
        "whether a configuration is complete is asked after the register",
        put(Registers, "_shown", ask_completeness_late),
        rates=MOVES,
        seeds=0,
        directed=directed.what_is_taken_over_meanwhile_is_not_missed,
    ),
    Defect(
        "what was before is believed without a decision",
        put(Registers, "_try", believe_inherited),
        rates={**MOVES, "lost": 0.3},
        seeds=2000,
    ),
    Defect(
        "values are copied, then the configuration is used",
        take_over_by(copying(overwrite=False)),
        rates=MOVES,
        seeds=0,
        directed=directed.what_was_deleted_stays_so,
    ),
    Defect("a late import overwrites", take_over_by(copying(overwrite=True)), rates=MOVES, seeds=2000),
    Defect(
        "a take-over of many does not mind what was accepted",
        put(registers, "prepare_all", ignore_all_accepted),
        rates=MOVES,
        seeds=2000,
    ),
    Defect(
        "a deletion that some accepted stays behind",
        put(reconfigure, "_is_deleted", any_tombstone),
        rates=MOVES,
        seeds=0,
        directed=directed.what_was_deleted_stays_so,
    ),
    Defect(
        "the next configuration's root is written over",
        all_of(put(reconfigure, "root_in", root_of_any), put(chain, "root_in", root_of_any)),
        rates=MOVES,
        seeds=4000,
    ),
    Defect(
        "what was dropped seems never to have been",
        acceptor=DropsInSilence,
        rates={**MOVES, "drop": 4.0},
        seeds=0,
        directed=directed.what_was_dropped_is_not_taken_for_nothing,
    ),
    Defect(
        "what was deleted counts versions from the beginning",
        put(registers, "absent", lambda _: value.Value(0, None)),
        rates=MOVES,
        seeds=2000,
    ),
    Defect(
        "what was sent before and is left behind is done anew",
        put(registers, "done_before", never_done),
        rates=MOVES,
        seeds=0,
        directed=directed.a_change_does_not_happen_twice,
    ),
    Defect(
        "an emptied server gets its id back",
        careless=frozenset({"an emptied server gets its id back"}),
        rates=EMPTIES,
    ),
    Defect(
        "a server that forgets is admitted",
        careless=frozenset({"the forgetful are admitted"}),
        rates={**FORGETS, "forgetful": 2},
    ),
    Defect("an instance is known by its address", acceptor=KnownByAddress, rates=EMPTIES, seeds=2000),
    Defect(
        "an instance is made whoever runs there",
        acceptor=AdmitsAnyRun,
        rates={
            **EMPTIES,
            "founded": True,
            "twice": 0.8,
            "late_s": 2.0,
            "long_s": 2.0,
            "lost": 0.0,
            "empty": 6.0,
        },
        seeds=4000,
    ),
)

"""Every schedule of a small world: two processes, three acceptors, one register; answers lost, requests late.

The processes run the real `Registers`. What a process asks next follows from what it has heard so far; so a state is
that, what the acceptors hold, and what is on its way. Two states are one if processes remember the same, and acceptors
differ in their names only. What was seen is not gone into again. Everything is known by a number, which costs less to
compare than what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any, Generic, NamedTuple, TypeVar

from taskmesh.consensus.acceptor import Acceptor, Configuration, Register
from taskmesh.consensus.ballot import NONE
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.configuration import Configuration as Members
from taskmesh.consensus.configuration import Member
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.consensus.value import Packing, Value
from taskmesh.core.steps import OUT, NoAnswer, Pause, Round
from taskmesh.errors import ChangeRejected, ChangeUnknown
from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.stage import append

T = TypeVar("T")
PREFIX = b"tm:small:"
SIZE = 3
FIRST = Members(1, tuple(Member(f"i{at}", f"s{at}") for at in range(SIZE)))
PACKING = Packing(bytes, bytes)
#: How often a process tries.
TRIES = 2
#: Numbers of what stands where no answer is.
NOT_YET, SILENT = 0, 1


class Numbers(Generic[T]):
    """Gives things numbers, the same to equal ones."""

    def __init__(self, *first: T) -> None:
        self.things: list[T] = []
        self._numbers: dict[T, int] = {}
        for thing in first:
            self.of(thing)

    def of(self, thing: T) -> int:
        """Return the number of a thing."""
        number = self._numbers.get(thing)
        if number is None:
            number = self._numbers[thing] = len(self.things)
            self.things.append(thing)
        return number


class Spot(NamedTuple):
    """An acceptor, and all that concerns it.

    Attributes:
        held: What it holds of the register.
        told: What it told each process in its present round.
        coming: Requests on their way to it: process, and what that had heard when it asked.
        votes: What it ever accepted.
    """

    held: int
    told: tuple[int, ...]
    coming: tuple[tuple[int, int], ...]
    votes: tuple[int, ...]


class State(NamedTuple):
    """All that matters of a moment.

    Attributes:
        spots: The acceptors, sorted: they have no names.
        heard: What each process heard in the rounds behind it.
        gives_up: How often each process may still give up a round.
        lost: How many more answers may be lost.
        late: How many more requests may stay on their way after their process has gone on; others are lost then.
    """

    spots: tuple[Spot, ...]
    heard: tuple[int, ...]
    gives_up: tuple[int, ...]
    lost: int
    late: int


class Asks(NamedTuple):
    """What a process does next: asks a round, or has ended with a result; and all that it remembers."""

    round: Round | None
    result: Any
    remembers: Any


class Small:
    """The small world.

    Attributes:
        seen: How many states there are.
    """

    def __init__(
        self,
        programs: Sequence[str] = ("append", "append"),
        *,
        gives_up: int = 0,
        lost: int = 0,
        late: int = 0,
        acceptor: type[Acceptor] = Acceptor,
    ) -> None:
        """Prepare.

        Args:
            programs: What each process does: `append` or `read`.
            gives_up: How often each may give up a round.
            lost: How many answers may be lost.
            late: How many requests may come after their process has gone on.
            acceptor: The model.
        """
        self._programs = programs
        self._budget = (gives_up, lost, late)
        self._kind = acceptor
        self._held: Numbers[Any] = Numbers((NONE, NONE, b"", b""))
        self._replies: Numbers[Any] = Numbers(OUT, NoAnswer("silent"))
        self._votes: Numbers[Any] = Numbers()
        self._heard: Numbers[Any] = Numbers(())
        self._asks: dict[tuple[int, int], Asks] = {}
        self._alike: dict[Any, int] = {}
        self._done: dict[tuple[int, int, int], tuple[int, int, int]] = {}
        self._enough: dict[tuple[int, int, tuple[int, ...]], bool] = {}
        self._checked: set[Any] = set()
        self.seen = 0

    def explore(self) -> None:
        """Go through all states.

        Raises:
            BrokenPromise, InvariantBroken: In one of them something must not be.
        """
        begin = self._begin()
        seen = {begin}
        open_ = [begin]
        while open_:
            for each in self._following(open_.pop()):
                if each not in seen:
                    seen.add(each)
                    self._check(each)
                    open_.append(each)
        self.seen = len(seen)

    def _begin(self) -> State:
        count = len(self._programs)
        spot = Spot(0, (NOT_YET,) * count, tuple((process, 0) for process in range(count)), ())
        gives_up, lost, late = self._budget
        return State((spot,) * SIZE, (0,) * count, (gives_up,) * count, lost, late)

    # -- processes ------------------------------------------------------------------------

    def asks(self, process: int, heard: int) -> Asks:
        """Return what a process asks after what it heard."""
        known = self._asks.get((process, heard))
        if known is None:
            known = self._asks[process, heard] = self._replay(process, self._heard.things[heard])
        return known

    def _replay(self, process: int, heard: tuple[tuple[int, ...], ...]) -> Asks:
        pauses = 0
        chain = Chain(PREFIX, PACKING, [])
        chain.enter(FIRST)
        clock = lambda: float(pauses)  # noqa: E731
        registers = Registers(PREFIX, chain, PACKING, Random(process), clock, patience_s=TRIES - 1.0)
        operation = Operation(b"a%d" % process)
        steps: Any = registers.read("r")
        if self._programs[process] == "append":
            steps = registers.change("r", append(b"%d" % process), operation)
        answers = iter(heard)
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    pauses += 1
                    request = steps.send([])
                elif (replies := next(answers, None)) is None:
                    asked = request.calls[0].script, request.calls[0].args
                    sent = operation.first_version, operation.last_version
                    return Asks(request, None, (process, asked, pauses, registers._n, sent))
                else:
                    request = steps.send(self._given(replies))
        except StopIteration as stop:
            return Asks(None, stop.value, (process, repr(stop.value)))
        except (ChangeRejected, ChangeUnknown) as error:
            return Asks(None, error, (process, repr(error)))

    def _given(self, replies: Sequence[int]) -> list[Any]:
        things = self._replies.things
        return [list(things[at]) if isinstance(things[at], tuple) else things[at] for at in replies]

    # -- what can happen ------------------------------------------------------------------

    def _following(self, state: State) -> list[State]:
        found: list[State] = []
        for at, spot in enumerate(state.spots):
            for request in spot.coming:
                self._arrive(state, at, request, found)
        for process, left in enumerate(state.gives_up):
            if left and self.asks(process, state.heard[process]).round is not None:
                gives_up = _with(state.gives_up, process, left - 1)
                told = tuple(spot.told[process] or SILENT for spot in state.spots)
                self._go_on(state._replace(gives_up=gives_up), process, told, found)
        return found

    def _arrive(self, state: State, at: int, request: tuple[int, int], found: list[State]) -> None:
        process, heard = request
        spot = state.spots[at]
        held, reply, vote = self._executed(spot.held, process, heard)
        votes = spot.votes if vote < 0 or vote in spot.votes else tuple(sorted((*spot.votes, vote)))
        coming = tuple(each for each in spot.coming if each != request)
        unheard = Spot(held, spot.told, coming, votes)
        if state.heard[process] != heard:
            found.append(_sorted(state, at, unheard))
            return
        told = unheard._replace(told=_with(spot.told, process, reply))
        spots = _with(state.spots, at, told)
        answers = tuple(each.told[process] for each in spots)
        if self._is_enough(process, heard, answers):
            self._go_on(state._replace(spots=spots), process, answers, found)
        else:
            found.append(_sorted(state, at, told))
        if state.lost:
            found.append(_sorted(state._replace(lost=state.lost - 1), at, unheard))

    def _is_enough(self, process: int, heard: int, answers: tuple[int, ...]) -> bool:
        key = (process, heard, answers)
        known = self._enough.get(key)
        if known is None:
            round_ = self.asks(process, heard).round
            assert round_ is not None
            known = self._enough[key] = round_.enough(self._given(answers))
        return known

    def _go_on(self, state: State, process: int, answers: tuple[int, ...], found: list[State]) -> None:
        before = state.heard[process]
        after = self._heard.of((*self._heard.things[before], answers))
        # who remembers the same is the same, whatever it heard
        asks = self.asks(process, after)
        after = self._alike.setdefault(asks.remembers, after)
        left = (process, before)
        mores = ((process, after),) if asks.round is not None else ()
        spots = [
            Spot(
                spot.held,
                _with(spot.told, process, NOT_YET),
                tuple(sorted((*(each for each in spot.coming if each != left), *mores))),
                spot.votes,
            )
            for spot in state.spots
        ]
        gone = state._replace(heard=_with(state.heard, process, after))
        found.append(gone._replace(spots=tuple(sorted(spots))))
        if state.late:
            gone = gone._replace(late=state.late - 1)
            for at, spot in enumerate(state.spots):
                if left in spot.coming:
                    coming = tuple(sorted((*spots[at].coming, left)))
                    found.append(
                        gone._replace(
                            spots=tuple(sorted(_with(tuple(spots), at, spots[at]._replace(coming=coming))))
                        )
                    )

    def _executed(self, held: int, process: int, heard: int) -> tuple[int, int, int]:
        """Return what an acceptor holds after a request, what it answers, and for what it voted (-1: nothing)."""
        known = self._done.get((held, process, heard))
        if known is None:
            round_ = self.asks(process, heard).round
            assert round_ is not None
            call = round_.calls[0]
            assert call.script is not None
            acceptor = self._kind(b"run", b"i0", b"run", latest=1)
            register = Register(*self._held.things[held])
            acceptor.configurations[1] = Configuration(
                FIRST.packed(), registers={b"r": register}, names={b"r": 0}
            )
            reply = acceptor.call(call.script.name, call.args)
            vote = -1
            if call.script.name == "consensus.accept" and reply[0] == b"ACCEPTED":
                vote = self._votes.of((int(call.args[3]), int(call.args[4]), call.args[6]))
            now = (register.promised, register.accepted, register.digest, register.value)
            known = (self._held.of(now), self._replies.of(tuple(reply)), vote)
            self._done[held, process, heard] = known
        return known

    # -- what must hold -------------------------------------------------------------------

    def _check(self, state: State) -> None:
        votes = [spot.votes for spot in state.spots]
        key = (tuple(votes), state.heard)
        if key in self._checked:
            return
        self._checked.add(key)
        all_ = sorted({vote for some in votes for vote in some}, key=self._votes.things.__getitem__)
        if len({self._votes.things[vote][:2] for vote in all_}) != len(all_):
            raise BrokenPromise(
                f"A1: two values of one ballot: {[self._votes.things[vote] for vote in all_]}"
            )
        chosen = [
            PACKING.unpack("r", self._votes.things[vote][2])
            for vote in all_
            if sum(vote in some for some in votes) > SIZE // 2
        ]
        for before, after in pairwise(chosen):
            if after.operations[: len(before.operations)] != before.operations:
                raise BrokenPromise(f"A2: after {before} was chosen {after}")
        for value in chosen:
            if len({done.operation for done in value.operations}) != len(value.operations):
                raise BrokenPromise(f"A4: twice in {value}")
        for process, heard in enumerate(state.heard):
            asks = self.asks(process, heard)
            if asks.round is None:
                self._check_told(process, asks.result, chosen)

    def _check_told(self, process: int, result: Any, chosen: list[Value]) -> None:
        word = b" %d" % process
        appends = self._programs[process] == "append"
        if isinstance(result, ChangeRejected):
            if appends and any(word in (value.content or b"") for value in chosen):
                raise BrokenPromise(f"A4: {process} was told that it is certainly not done: {chosen}")
        elif not isinstance(result, ChangeUnknown) and result.content is not None:
            if all(value.content != result.content for value in chosen):
                raise BrokenPromise(f"A3: {process} was told {result}, which was not chosen: {chosen}")
            if appends and word not in (chosen[-1].content or b""):
                raise BrokenPromise(f"A2: {process} was told {result}, and lost it: {chosen}")


def _with(things: tuple[T, ...], at: int, thing: T) -> tuple[T, ...]:
    return (*things[:at], thing, *things[at + 1 :])


def _sorted(state: State, at: int, spot: Spot) -> State:
    return state._replace(spots=tuple(sorted(_with(state.spots, at, spot))))

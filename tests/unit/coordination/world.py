"""A world in which processes hold locks, with clocks of their own, that stop, die and lose answers: all from one seed.

Registers are atomic here; what is agreed upon by acceptors has its own simulation. Time is true time; each process
counts by a clock that goes too fast or too slowly.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
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
from taskmesh.coordination import lease
from taskmesh.coordination import session as sessions
from taskmesh.coordination.acquire import Gone, Wish, acquire, give_back
from taskmesh.coordination.line import EXCLUSIVE, SHARED, Entry, Line, read_line
from taskmesh.coordination.means import AskGeneration, Means, Nap, Tell
from taskmesh.core.steps import Pause
from taskmesh.errors import AgreementError, ChangeUnknown, NoMajority

LOCK = "lock/x"
TTL_S = 6.0


class Violation(AssertionError):
    """What must never happen did."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How badly things go.

    Attributes:
        rate: By how much clocks may be wrong.
        lost: Share of requests that get no answer, whether or not they were done.
        deaf: Share of tellings that are lost.
        pause_s: How long a process may be stopped.
        deaths: Share of processes that die.
        until_s: When all that ends, and things must go on.
    """

    rate: float = lease.RHO / 2
    lost: float = 0.05
    deaf: float = 0.2
    pause_s: float = 40.0
    deaths: float = 0.3
    until_s: float = 150.0


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that registers do at once, when the request arrives."""

    do: Callable[[], Any]
    unknown: bool


class FakeRegisters:
    """Registers that are atomic."""

    def __init__(self, world: World) -> None:
        self.world = world

    def read(self, name: str) -> Generator[Any, Any, Versioned]:
        return (yield Ask(lambda: self.world.registers.get(name, NOTHING), unknown=False))

    def read_many(self, names: Sequence[str]) -> Generator[Any, Any, dict[str, Versioned]]:
        names = list(names)
        return (
            yield Ask(
                lambda: {name: self.world.registers.get(name, NOTHING) for name in names}, unknown=False
            )
        )

    def change(
        self, name: str, change: Change, operation: Operation, *, sticky: bool = False
    ) -> Generator[Any, Any, Changed]:
        del operation, sticky
        return (yield Ask(lambda: self.world.change(name, change), unknown=True))

    def delete(self, name: str, operation: Operation) -> Generator[Any, Any, Changed]:
        return (
            yield from self.change(
                name, lambda found: Keep() if found.content is None else Delete(), operation
            )
        )


@dataclass
class Process:
    """One process.

    Attributes:
        rate: Of its clock: 1 is right.
        stopped_until_s: True time until which it does nothing.
        cut_until_s: True time until which nothing that it asks arrives.
        dead: Whether it has died.
    """

    number: int
    world: World
    rate: float
    offset_s: float
    stopped_until_s: float = 0.0
    cut_until_s: float = 0.0
    dead: bool = False
    session: bytes = b""
    renewed_s: float = 0.0
    lost: bool = False
    count: int = 0
    bells: dict[bytes, Any] = field(default_factory=dict)

    def clock_s(self) -> float:
        return self.world.now_s * self.rate + self.offset_s

    @property
    def means(self) -> Means:
        return Means(
            self.world.fake,  # type: ignore[arg-type]
            lambda: Operation(b"o"),
            self.clock_s,
            self.world.chance,
        )

    def new_session(self) -> bytes:
        self.count += 1
        self.session = b"p%03d" % self.number + b"s%07d" % self.count
        self.lost = False
        self.renewed_s = self.clock_s()
        return self.session

    def may_act(self) -> bool:
        return not self.lost and self.clock_s() < lease.safe_until_s(self.renewed_s, TTL_S)


class World:
    """All of it."""

    def __init__(self, seed: int, faults: Faults, *, processes: int = 5, turns: int = 10) -> None:
        self.seed = seed
        self.faults = faults
        self.chance = random.Random(seed)
        self.now_s = 0.0
        self.registers: dict[str, Versioned] = {}
        self.fake = FakeRegisters(self)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._version = itertools.count(1)
        self.tokens: list[int] = []
        self.joined: list[bytes] = []
        self.acts: list[tuple[float, int]] = []
        self.refused = 0
        self.fence = 0
        self.pending: set[tuple[int, int]] = set()
        self.lost_at_s: dict[bytes, float] = {}
        self.processes = [
            Process(
                number, self, 1 + self.chance.uniform(-faults.rate, faults.rate), self.chance.uniform(0, 1e6)
            )
            for number in range(processes)
        ]
        for process in self.processes:
            self._start(process, self._life(process, turns))
            self._plan_faults(process)

    @property
    def are_clocks_right(self) -> bool:
        return self.faults.rate <= lease.RHO

    # -- registers --------------------------------------------------------------------

    def change(self, name: str, change: Change) -> Changed | Exception:
        found = self.registers.get(name, NOTHING)
        verdict = change(found)
        if isinstance(verdict, Refuse):
            return verdict.error
        if isinstance(verdict, Write):
            self.registers[name] = Versioned(next(self._version), verdict.content)
        elif isinstance(verdict, Delete):
            self.registers.pop(name, None)
        now = self.registers.get(name, NOTHING)
        if name == LOCK and not isinstance(verdict, Keep):
            self._check_line(read_line(found.content), read_line(now.content))
        return Changed(now.version, now.content, verdict.answer)

    def line(self) -> Line:
        return read_line(self.registers.get(LOCK, NOTHING).content)

    def _check_line(self, before: Line, after: Line) -> None:
        held = {entry.request for entry in before.holders}
        for entry in after.holders:
            if entry.request in held:
                if entry.is_lost and before.holder(entry.request) is not None:
                    self.lost_at_s[entry.request] = self.now_s
                continue
            if self.tokens and entry.token <= self.tokens[-1]:
                raise Violation(f"token {entry.token} after {self.tokens[-1]}")
            self.tokens.append(entry.token)
            if any(EXCLUSIVE in (other.mode, entry.mode) for other in before.holders):
                raise Violation("two hold what one may hold")
            ahead = before.waiters[: before.place(entry.request)]
            if any(EXCLUSIVE in (other.mode, entry.mode) for other in ahead):
                raise Violation("somebody was overtaken")
        for entry in before.holders:
            gone = all(other.request != entry.request for other in after.holders)
            since_s = self.now_s - self.lost_at_s.get(entry.request, 0.0)
            if entry.is_lost and gone and since_s < entry.delay_ms / 1000 and self.are_clocks_right:
                raise Violation("a lock-delay was too short")

    # -- running ----------------------------------------------------------------------

    def at(self, time_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_s, next(self._order), do))

    def run(self, until_s: float) -> None:
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, do = heapq.heappop(self._events)
            do()

    def _start(self, process: Process, steps: Generator[Any, Any, Any]) -> None:
        self.at(self.now_s + self.chance.uniform(0, 2), lambda: self._resume(process, steps, None, None))

    def _resume(
        self, process: Process, steps: Generator[Any, Any, Any], value: Any, error: Exception | None
    ) -> None:
        if process.dead:
            return
        if self.now_s < process.stopped_until_s:
            self.at(process.stopped_until_s, lambda: self._resume(process, steps, value, error))
            return
        try:
            request = steps.throw(error) if error is not None else steps.send(value)
        except StopIteration:
            return
        self._perform(process, steps, request)

    def _perform(self, process: Process, steps: Generator[Any, Any, Any], request: Any) -> None:
        def go_on(value: Any = None, error: Exception | None = None, after_s: float = 0.0) -> None:
            self.at(self.now_s + after_s, lambda: self._resume(process, steps, value, error))

        if isinstance(request, Pause):
            go_on([], after_s=request.seconds / process.rate)
        elif isinstance(request, Nap):
            self._nap(process, request, go_on)
        elif isinstance(request, Tell):
            self._tell(request)
            go_on([])
        elif isinstance(request, AskGeneration):
            go_on([0])
        else:
            self._ask(process, request, go_on)

    def _nap(self, process: Process, nap: Nap, go_on: Callable[..., None]) -> None:
        woken = []

        def wake() -> None:
            if not woken:
                woken.append(True)
                go_on([])

        process.bells[nap.request] = wake
        self.at(self.now_s + nap.seconds / process.rate, wake)

    def _tell(self, tell: Tell) -> None:
        for session, request in tell.whom:
            process = self.processes[int(session[1:4])]
            bell = process.bells.get(request)
            if bell is not None and not self._happens(self.faults.deaf):
                self.at(self.now_s + self.chance.uniform(0, 0.1), bell)

    def _happens(self, share: float) -> bool:
        return self.now_s < self.faults.until_s and self.chance.random() < share

    def _ask(self, process: Process, ask: Ask, go_on: Callable[..., None]) -> None:
        slow = self._happens(0.1)
        there_s = self.chance.uniform(0, 3.0 if slow else 0.02)

        def arrive() -> None:
            if self.now_s < process.cut_until_s or self._happens(self.faults.lost / 2):
                go_on(error=NoMajority("lost on the way there", register=""), after_s=2.0)
                return
            answer = ask.do()
            if self._happens(self.faults.lost / 2):
                kind = ChangeUnknown if ask.unknown else NoMajority
                go_on(error=kind("lost on the way back", register=""), after_s=2.0)
            elif isinstance(answer, Exception):
                go_on(error=answer)
            else:
                go_on(answer, after_s=self.chance.uniform(0, 0.02))

        self.at(self.now_s + there_s, arrive)

    def _plan_faults(self, process: Process) -> None:
        faults, chance = self.faults, self.chance
        for _ in range(chance.randrange(7)):
            at_s = chance.uniform(0, faults.until_s)

            def stop(seconds: float = chance.uniform(0, faults.pause_s)) -> None:
                process.stopped_until_s = max(process.stopped_until_s, self.now_s + seconds)

            def cut(seconds: float = chance.uniform(0, faults.pause_s / 2)) -> None:
                process.cut_until_s = max(process.cut_until_s, self.now_s + seconds)

            self.at(at_s, chance.choice([stop, cut]))
        if chance.random() < faults.deaths:

            def die() -> None:
                process.dead = True
                self.pending = {one for one in self.pending if one[0] != process.number}

            self.at(chance.uniform(0, faults.until_s), die)

    # -- what processes do ------------------------------------------------------------

    def _life(self, process: Process, turns: int) -> Generator[Any, Any, None]:
        yield from self._begin(process)
        self._start(process, self._keep(process))
        for turn in range(turns):
            self.pending.add((process.number, turn))
            self._start(process, self._turn(process, turn))
        yield Pause(0.0)

    def _begin(self, process: Process) -> Generator[Any, Any, None]:
        while True:
            try:
                session = process.new_session()
                yield from sessions.begin(process.means, session, TTL_S, "somebody")
                return
            except AgreementError:
                yield Pause(0.5)

    def _keep(self, process: Process) -> Generator[Any, Any, None]:
        while True:
            yield Pause(TTL_S * sessions.RENEW_PART)
            sent_s = process.clock_s()
            try:
                if (yield from sessions.keep_alive(process.means, process.session)):
                    process.renewed_s = max(process.renewed_s, sent_s)
                else:
                    process.lost = True
                    yield from self._begin(process)
            except AgreementError:
                continue

    def _turn(self, process: Process, turn: int) -> Generator[Any, Any, None]:
        yield Pause(self.chance.uniform(0, self.faults.until_s * 1.2))
        mode = SHARED if self.chance.random() < 0.2 else EXCLUSIVE
        delay_ms = self.chance.choice([0, 3000])
        while True:
            session = process.session
            request = b"%03d-%04d" % (process.number, next(self._order) % 10_000)
            entry = Entry(request, session, mode, delay_ms, "somebody")
            try:
                taken = yield from acquire(process.means, Wish(LOCK, entry), None)
            except (Gone, AgreementError):
                yield from self._leave(process, request)
                yield Pause(0.5)
                continue
            if taken is None:
                raise Violation("who waits for as long as it takes gave up")
            for _ in range(self.chance.randrange(1, 15)):
                self._act(process, session, request, taken.token)
                yield Pause(self.chance.uniform(0, 1.5))
            yield from self._leave(process, request)
            self.pending.discard((process.number, turn))
            return

    def _leave(self, process: Process, request: bytes) -> Generator[Any, Any, None]:
        while True:
            try:
                yield from give_back(process.means, LOCK, request)
                return
            except AgreementError:
                yield Pause(0.5)

    def _act(self, process: Process, session: bytes, request: bytes, token: int) -> None:
        """Act on what the lock is for, if this process believes that it may."""
        if process.session != session or not process.may_act():
            return
        if self.line().holder(request) is None:
            self.acts.append((self.now_s, token))
            if self.are_clocks_right:
                raise Violation("somebody acted on a lock that was not his any more")
        if token < self.fence:
            self.refused += 1
        self.fence = max(self.fence, token)

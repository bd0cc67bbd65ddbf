"""Candidates, acceptors and a resource that is fenced, in virtual time.

The candidates are the real `Candidacy` over the real `Registers`; acceptors are the model. Each candidate has a clock
of its own speed. A candidate that may act does so: it asks the resource, which takes no token lower than the highest it
has seen. Between the look at its lease and the action it may be stopped.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.founding import found
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.consensus.value import Packing
from taskmesh.coordination.candidacy import Candidacy
from taskmesh.coordination.leader import Candidate
from taskmesh.coordination.lease import RHO
from taskmesh.core.steps import OUT, GroupSteps, NoAnswer, Pause, Reply, Round
from taskmesh.errors import AgreementError

PREFIX = b"tm:simulated:"
ANSWER_S = 2.0
ACT_EVERY_S = 0.3


@dataclass(frozen=True)
class Faults:
    """How bad the world is.

    Attributes:
        loss: Of how many messages, from 0 to 1.
        pauses: How many seconds on average between two pauses of a candidate; 0 for none.
        pause_s: How long one lasts at most.
        partitions: How many seconds on average between two partitions of a candidate from an acceptor; 0 for none.
        rate: By how much clocks differ in speed.
        torn: Whether a candidate may be stopped between the look at its lease and its action.
    """

    loss: float = 0.0
    pauses: float = 0.0
    pause_s: float = 30.0
    partitions: float = 0.0
    rate: float = RHO / 2
    torn: bool = False


@dataclass
class Resource:
    """What is fenced: it knows the highest token."""

    highest: int = 0
    obeyed: list[tuple[float, int, str]] = field(default_factory=list)
    refused: int = 0

    def act(self, now_s: float, token: int, who: str) -> None:
        """Obey, unless the token is an old one."""
        if token < self.highest:
            self.refused += 1
            return
        self.highest = token
        self.obeyed.append((now_s, token, who))


class Member:
    """One candidate and its process."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"c{number}"
        self.speed = 1 + world.random.uniform(-1, 1) * world.faults.rate
        self.stopped_until_s = 0.0
        self.cut: dict[str, float] = {}
        chance = random.Random(world.random.getrandbits(64))
        packing = Packing(lambda raw: raw, lambda raw: raw)
        self.registers = Registers(
            PREFIX, Chain(PREFIX, packing, list(world.acceptors)), packing, chance, self.clock_s
        )
        self.candidacy = Candidacy(
            self.registers,
            Candidate(f"{number:016x}", self.name, f"host-{number}:1"),
            self.clock_s,
            lambda: int(world.now_s * 1000),
            lambda: Operation(chance.randbytes(12)),
            lambda: 1,
        )
        self.tokens: list[int] = []

    def clock_s(self) -> float:
        """Return this process's own time."""
        return self.world.now_s * self.speed

    def live(self) -> Generator[Round | Pause, Sequence[Reply], None]:
        """Take turns for ever."""
        while True:
            try:
                wait_s = yield from self.candidacy.turn()
            except AgreementError:
                wait_s = 0.5
            tenure = self.candidacy.tenure
            if tenure is not None and tenure.token not in self.tokens:
                self.tokens.append(tenure.token)
            yield Pause(wait_s)

    def act(self) -> None:
        """Act if it may: the resource hears of it at once, or much later."""
        world = self.world
        tenure = self.candidacy.tenure
        if tenure is None or not self.candidacy.may_act:
            return
        if world.faults.torn and world.random.random() < 0.05:
            delay_s = world.random.uniform(0, 20)
            self.stopped_until_s = max(self.stopped_until_s, world.now_s + delay_s)
            world.after(delay_s, lambda: world.resource.act(world.now_s, tenure.token, self.name))
        else:
            world.acted.append((world.now_s, tenure.token))
            world.resource.act(world.now_s, tenure.token, self.name)


class World:
    """All of it, from a seed."""

    def __init__(self, seed: int, faults: Faults, *, candidates: int = 5, acceptors: int = 3) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.now_s = 0.0
        self.resource = Resource()
        self.acted: list[tuple[float, int]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.acceptors = {f"a{i}": Acceptor(b"run-%d" % i) for i in range(acceptors)}
        instances = iter(f"{i + 1:016x}" for i in range(acceptors))
        self._at_once(found(PREFIX, list(self.acceptors), lambda: next(instances), lambda _: ""))
        self.members = [Member(self, i) for i in range(candidates)]
        for member in self.members:
            self._go_on(member, member.live(), None)
            self._every(ACT_EVERY_S, member, member.act)
            self._trouble(member)

    # -- time -----------------------------------------------------------------------

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        """Have something happen later."""
        self._count += 1
        heapq.heappush(self._events, (self.now_s + delay_s, self._count, event))

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
        self.now_s = until_s

    def run_until(self, holds: Callable[[], bool], within_s: float) -> None:
        """Let time pass until something holds."""
        until_s = self.now_s + within_s
        while not holds():
            if not self._events or self._events[0][0] > until_s:
                raise AssertionError(f"after {within_s} s it still does not hold")
            self.now_s, _, event = heapq.heappop(self._events)
            event()

    def _when_running(self, member: Member, event: Callable[[], None]) -> None:
        """Do something as soon as a candidate is not stopped."""
        if member.stopped_until_s > self.now_s:
            self.after(member.stopped_until_s - self.now_s + 1e-6, lambda: self._when_running(member, event))
        else:
            event()

    def _every(self, seconds: float, member: Member, event: Callable[[], None]) -> None:
        def again() -> None:
            self._when_running(member, event)
            self.after(self.random.uniform(0.5, 1.5) * seconds, again)

        self.after(self.random.uniform(0, seconds), again)

    def _trouble(self, member: Member) -> None:
        faults, chance = self.faults, self.random
        if faults.pauses:

            def stop() -> None:
                member.stopped_until_s = self.now_s + chance.uniform(0, faults.pause_s)
                self.after(chance.expovariate(1 / faults.pauses), stop)

            self.after(chance.expovariate(1 / faults.pauses), stop)
        if faults.partitions:

            def cut() -> None:
                member.cut[chance.choice(list(self.acceptors))] = self.now_s + chance.uniform(0, 40)
                self.after(chance.expovariate(1 / faults.partitions), cut)

            self.after(chance.expovariate(1 / faults.partitions), cut)

    def heal(self) -> None:
        """End all faults but the clocks' speed."""
        self.faults = Faults(rate=self.faults.rate)
        for member in self.members:
            member.cut.clear()
            member.stopped_until_s = min(member.stopped_until_s, self.now_s)

    # -- conversations --------------------------------------------------------------

    def _at_once(self, steps: GroupSteps[Any]) -> None:
        try:
            request = next(steps)
            while True:
                request = steps.send(
                    [self._answer(call) for call in request.calls] if isinstance(request, Round) else []
                )
        except StopIteration:
            return

    def _answer(self, call: Any) -> Any:
        return self.acceptors[call.node].call(call.script.name, call.args)

    def _go_on(
        self,
        member: Member,
        steps: Generator[Round | Pause, Sequence[Reply], None],
        replies: Sequence[Reply] | None,
    ) -> None:
        request = next(steps) if replies is None else steps.send(replies)
        if isinstance(request, Pause):
            # its sleeps are measured by its own clock
            self.after(
                request.seconds / member.speed,
                lambda: self._when_running(member, lambda: self._go_on(member, steps, [])),
            )
        else:
            _Asking(self, member, steps, request)

    def is_lost(self, member: Member, node: str) -> bool:
        """Draw whether what goes one way is lost."""
        return member.cut.get(node, 0.0) > self.now_s or self.random.random() < self.faults.loss


class _Asking:
    """A round under way."""

    def __init__(self, world: World, member: Member, steps: Any, request: Round) -> None:
        self._world, self._member, self._steps, self._request = world, member, steps, request
        self._replies: list[Reply] = [OUT] * len(request.calls)
        self._is_over = False
        for at, call in enumerate(request.calls):
            if not world.is_lost(member, call.node):
                world.after(self._delay_s(), lambda at=at, call=call: self._arrive(at, call))
        world.after(ANSWER_S, self._give_up)

    def _delay_s(self) -> float:
        return self._world.random.expovariate(1 / 0.002)

    def _arrive(self, at: int, call: Any) -> None:
        reply = self._world._answer(call)
        if not self._world.is_lost(self._member, call.node):
            self._world.after(self._delay_s(), lambda: self._hear(at, reply))

    def _hear(self, at: int, reply: Reply) -> None:
        if self._is_over:
            return
        self._replies[at] = reply
        if OUT not in self._replies or self._request.enough(self._replies):
            self._end()

    def _give_up(self) -> None:
        if not self._is_over:
            self._replies = [NoAnswer("lost") if reply is OUT else reply for reply in self._replies]
            self._end()

    def _end(self) -> None:
        self._is_over = True
        replies = list(self._replies)
        self._world._when_running(
            self._member,
            lambda: self._world._go_on(self._member, self._steps, replies),
        )


@contextmanager
def told_seed(seed: int, faults: Faults) -> Iterator[None]:
    """Add the seed to what fails."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, {faults}: {error}") from error

"""A group of acceptors, processes that change registers over a bad network, and operators: one run from one seed.

Time is virtual: it jumps from event to event. Whatever is left to chance comes from one generator, so a seed is a run.
The processes are the real `Registers`, `reconfigure` and `listing`; only what drives them is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.configuration import Configuration, Member
from taskmesh.consensus.value import Packing
from taskmesh.core.script import Script
from taskmesh.core.steps import OUT, Call, NoAnswer, Pause, Refused, Reply, Round
from tests.simulation.agreement.checkers.ballots import Ballots
from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.checkers.chain import Chains
from tests.simulation.agreement.checkers.configurations import Configurations
from tests.simulation.agreement.checkers.linearizable import check_linearizable
from tests.simulation.agreement.checkers.registers import check_registers
from tests.simulation.agreement.clients import Process
from tests.simulation.agreement.history import History
from tests.simulation.agreement.nemesis import Nemesis
from tests.simulation.agreement.operators import Operator
from tests.simulation.agreement.rates import Rates, draw
from tests.simulation.agreement.servers import ModelServer, ScriptServer, Server

ANSWER_S = 0.4
_LATE = NoAnswer("late")
_DOWN = Refused("down")

Steps = Generator[Any, Any, Any]
Executed = Callable[[float, "Task", "Server", Call, Reply], None]


class Task:
    """A conversation under way, of one process."""

    __slots__ = ("done", "enough", "name", "process", "replies", "round", "steps")

    def __init__(self, process: Process, name: str, steps: Steps) -> None:
        self.process = process
        self.name = name
        self.steps = steps
        self.round = 0
        self.replies: list[Reply] = []
        self.enough: Callable[[Sequence[Reply]], bool] | None = None
        self.done = False


class World:
    """One run.

    Attributes:
        process_kind: What processes are.
        nemesis_kind: What goes wrong.
        events_max: More than any run takes.
        settled_s: After the last fault all that was begun must end within this time.
        seed: Of everything.
        rates: What the run is like.
        now_s: Virtual time.
        servers: By address.
        processes: That are alive.
        history: What was asked and answered.
        faulty: Whether there still are faults.
    """

    process_kind: type[Process] = Process
    nemesis_kind: type[Nemesis] = Nemesis
    events_max = 60_000
    settled_s = 60.0

    def __init__(
        self,
        seed: int,
        *,
        rates: Rates | None = None,
        acceptor: type[Acceptor] = Acceptor,
        patched: Mapping[str, Script] | None = None,
        careless: frozenset[str] = frozenset(),
    ) -> None:
        """Prepare.

        Args:
            seed: Of everything.
            rates: Instead of those that the seed draws.
            acceptor: The model; a wrong one for a test of the checkers.
            patched: Scripts in place of the right ones.
            careless: Rules that operators break.
        """
        self.seed = seed
        self.random = Random(seed)
        self.rates = draw(seed, self.random) if rates is None else rates
        self.careless = careless
        self.now_s = 0.0
        self.events = 0
        self.faulty = True
        self._heap: list[tuple[float, int, Any, Any]] = []
        self._count = 0
        self.packing = Packing(bytes, bytes)
        rates = self.rates
        self.servers: dict[str, Server] = {}
        for at in range(rates.acceptors + rates.spare):
            address, durable = f"s{at}", at >= rates.forgetful
            self.servers[address] = (
                ScriptServer(address, durable=durable, patched=patched or {})
                if rates.scripts
                else ModelServer(address, durable=durable, acceptor=acceptor)
            )
        self.addresses = [f"s{at}" for at in range(rates.acceptors)]
        self.made = 0
        self.witness: dict[str, int] = {}
        self.cut: set[tuple[str, str]] = set()
        self.history = History()
        self.ballots = Ballots()
        self.configurations = Configurations()
        self.names = [f"r{at}" for at in range(rates.registers)]
        self.chains = Chains(self.configurations, self.packing, lambda: self.now_s, frozenset(self.names))
        self.watchers: list[Executed] = []
        self.ids: dict[str, str] = {}
        self.harmed: set[str] = set()
        self.planned: list[set[str]] = []
        if not rates.founded:
            self._found()
        self.processes = [self.process_kind(self, at) for at in range(rates.processes)]
        self.operator = Operator(self)
        self.nemesis = self.nemesis_kind(self)
        self.running = 0

    def _found(self) -> None:
        members = []
        for address in self.addresses:
            server, instance = self.servers[address], self.new_instance()
            run = server.execute("consensus.look", [])[2]
            server.execute("consensus.admit", [instance.encode(), b"", b"0", b"", run])
            self.ids[address] = instance
            members.append(Member(instance, address))
        first = Configuration(1, tuple(members))
        self.configurations.opened(first)
        for member in members:
            self.servers[member.address].execute(
                "consensus.init", [member.instance.encode(), b"1", first.packed()]
            )

    def new_instance(self) -> str:
        """Return an id that no instance had."""
        self.made += 1
        return f"i{self.made}"

    # -- time -------------------------------------------------------------------------

    def after(self, delay_s: float, action: Callable[[Any], None], given: Any = None) -> None:
        """Have an action called after so many seconds."""
        self._count = count = self._count + 1
        heappush(self._heap, (self.now_s + delay_s, count, action, given))

    def run(self) -> None:
        """Run until all is done, and check what must hold.

        Raises:
            BrokenPromise, InvariantBroken: Something that must never be.
        """
        rates = self.rates
        for process in self.processes:
            process.begin()
        self.nemesis.begin()
        self.after(rates.long_s, self._end_faults)
        end_s = rates.long_s + self.settled_s
        heap = self._heap
        while heap and (self.faulty or self.running):
            self.now_s, _, action, given = heappop(heap)
            self.events += 1
            action(given)
            if self.now_s > end_s or self.events > self.events_max:
                self._stuck()
        self.judge()

    def judge(self) -> None:
        """Check what can be seen at the end only."""
        check_registers(self.history, self.chains)
        check_linearizable(self.history)

    def dissolve(self) -> None:
        """Let go of everything: a world is a circle, and looking for circles costs a seventh of the time."""
        for process in [*self.processes, *self.operator.processes]:
            vars(process).clear()
        for each in (self.operator, self.nemesis, self):
            vars(each).clear()

    def _stuck(self) -> None:
        left = [task.name for task in self._tasks() if not task.done]
        raise BrokenPromise(
            f"A12: {self.now_s - self.rates.long_s:.1f} s and {self.events} events after the last fault these "
            f"are not done: {', '.join(left)}"
        )

    def _tasks(self) -> list[Task]:
        return [task for process in [*self.processes, *self.operator.processes] for task in process.tasks]

    def _end_faults(self, _: Any) -> None:
        self.faulty = False
        self.cut.clear()
        for server in self.servers.values():
            if not server.up:
                server.start()
        for process in self.processes:
            process.resume()
        for process in self.operator.processes:
            process.resume()
        self.operator.settle()

    def settled(self) -> None:
        """Have the last changes and reads made: the acceptors are in order again."""
        for process in list(self.processes):
            (process if process.alive else process.reborn()).finish()

    # -- conversations ----------------------------------------------------------------

    def start(self, process: Process, name: str, steps: Steps) -> Task:
        """Run a conversation of a process."""
        task = Task(process, name, steps)
        process.tasks.append(task)
        self.running += 1
        self._resume(task, None)
        return task

    def kill(self, process: Process) -> None:
        """End the conversations of a process where they stand: what was sent is on its way."""
        for task in process.tasks:
            if not task.done:
                task.done = True
                self.running -= 1
                task.steps.close()
        process.tasks = []

    def _resume(self, task: Task, value: Any) -> None:
        task.round += 1
        try:
            request = task.steps.send(value)
        except StopIteration:
            task.done = True
            task.process.tasks.remove(task)
            self.running -= 1
            return
        if type(request) is Round:
            self._send(task, request)
        elif type(request) is Pause:
            self.after(request.seconds / task.process.speed, self._go_on, (task, task.round, []))
        else:
            self.perform(task, request)

    def perform(self, task: Task, request: Any) -> None:
        """Do something else that a conversation asks for."""
        raise AssertionError(f"{task.name} asks for {request}")

    def _go_on(self, given: tuple[Task, int, Any]) -> None:
        task, at, value = given
        if task.round != at or task.done:
            return
        if task.process.paused:
            task.process.waiting.append((self._go_on, given))
            return
        self._resume(task, value)

    def _send(self, task: Task, request: Round) -> None:
        calls, at, rates, random = request.calls, task.round, self.rates, self.random.random
        task.replies = [OUT] * len(calls)
        task.enough = request.enough
        faulty, delay_s, sender = self.faulty, rates.delay_s, task.process.name
        self.after(ANSWER_S, self._give_up, (task, at))
        for index, call in enumerate(calls):
            took_s = random() * delay_s
            if faulty:
                if self.cut and (sender, call.node) in self.cut:
                    continue
                if random() < rates.twice:
                    self.after(took_s + random() * rates.late_s, self._arrive, (task, at, index, call))
                if random() < rates.lost:
                    continue
                if random() < rates.late:
                    took_s += random() * rates.late_s
            self.after(took_s, self._arrive, (task, at, index, call))

    def _arrive(self, given: tuple[Task, int, int, Call]) -> None:
        task, at, index, call = given
        server = self.servers[call.node]
        if not server.up:
            if task.round == at and task.replies[index] is OUT:
                self.after(0.001, self._reply, (task, at, index, _DOWN))
            return
        reply = self._execute(task, server, call)
        if task.round != at or task.done:
            return
        took_s = self.random.random() * self.rates.delay_s
        if self.faulty:
            rates, random = self.rates, self.random.random
            if random() < rates.lost or (self.cut and (task.process.name, call.node) in self.cut):
                return
            if random() < rates.late:
                took_s += random() * rates.late_s
        self.after(took_s, self._reply, (task, at, index, reply))

    def _execute(self, task: Task, server: Server, call: Call) -> Reply:
        assert call.script is not None
        name, args = call.script.name, call.args
        reply = server.execute(name, args)
        for watcher in self.watchers:
            watcher(self.now_s, task, server, call, reply)
        if name == "consensus.accept":
            self.ballots.accepted(args, reply)
            self.chains.accepted(args, reply)
        elif name == "consensus.prepare":
            self.ballots.prepared(args, reply)
        elif name == "consensus.accept_all" and reply[0] == b"ACCEPTED":
            # as if each had come alone
            instance, number, n, p, *values = args
            for at, word in enumerate(reply[1:]):
                alone = (instance, number, values[3 * at], n, p, *values[3 * at + 1 : 3 * at + 3], b"")
                self.ballots.accepted(alone, [word])
                self.chains.accepted(alone, [word])
        elif name == "consensus.prepare_all" and reply[0] == b"PROMISED":
            instance, number, n, p, *names = args
            for at, each in enumerate(names):
                if reply[5 * at + 1] == b"1":
                    self.ballots.prepared((instance, number, each, n, p), reply[:1])
        elif name == "consensus.init":
            self.configurations.inited(args, reply)
        elif name == "consensus.seal":
            self.configurations.sealed(args, reply)
        return reply

    def _reply(self, given: tuple[Task, int, int, Reply]) -> None:
        task, at, index, reply = given
        if task.round != at or task.done:
            return
        if task.process.paused:
            task.process.waiting.append((self._reply, given))
            return
        replies = task.replies
        if replies[index] is not OUT:
            return
        replies[index] = reply
        if task.enough(replies):  # type: ignore[misc]
            self._resume(task, replies)

    def _give_up(self, given: tuple[Task, int]) -> None:
        task, at = given
        if task.round != at or task.done:
            return
        if task.process.paused:
            task.process.waiting.append((self._give_up, given))
            return
        self._resume(task, [_LATE if reply is OUT else reply for reply in task.replies])

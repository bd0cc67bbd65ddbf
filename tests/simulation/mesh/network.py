"""Processes that talk with several servers at once over a bad network, in virtual time.

What a process yields is what every protocol of several nodes yields: rounds, of which it need not hear all answers, and
pauses. Calls of one round to one server travel together, and are executed in their order; nothing else is in order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

from taskmesh.core.steps import OUT, Call, NoAnswer, NodeError, Pause, Refused, Reply, Round
from tests.simulation.mesh.rates import Rates
from tests.simulation.mesh.server import Server

#: How long a round waits for answers.
ANSWER_S = 0.4
_LATE = NoAnswer("no answer in time")
_BROKEN = NoAnswer("connection lost")
_DOWN = Refused("connection refused")
_ANEW = Refused("the server was started anew and waits to be admitted")

Steps = Generator[Any, Any, Any]
#: Where a node of a view is, and which run of its server is meant; None for any. No address: it is not known.
Expected = Callable[[str], tuple[str | None, str | None]]
Executed = Callable[[Server, "Process", Call, Reply], None]


class Process:
    """One process.

    Attributes:
        name: For people.
        alive: Whether it is.
        paused: Whether it is stopped for a while.
        skew_ms: How far its clock is off.
        tasks: Its conversations.
        waiting: What happened to it while it was stopped.
    """

    def __init__(self, network: Network, name: str, skew_ms: int = 0) -> None:
        self.network = network
        self.name = name
        self.alive = True
        self.paused = False
        self.skew_ms = skew_ms
        self.tasks: list[Conversation] = []
        self.waiting: list[tuple[Callable[[Any], None], Any]] = []

    def start(self, name: str, steps: Steps, expected: Expected) -> None:
        """Begin a conversation."""
        if self.alive:
            task = Conversation(self, name, steps, expected)
            self.tasks.append(task)
            self.network.resume(task, None)

    def kill(self) -> None:
        """End: what was sent is on its way."""
        self.alive = False
        self.waiting.clear()
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task.done = True
            if not task.steps.gi_running:
                task.steps.close()

    def go_on(self) -> None:
        """Go on after a stop: what happened meanwhile happens now."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for action, given in waiting:
            self.network.after(0.0, action, given)


class Conversation:
    """A conversation under way."""

    __slots__ = ("done", "enough", "expected", "name", "process", "replies", "round", "steps")

    def __init__(self, process: Process, name: str, steps: Steps, expected: Expected) -> None:
        self.process = process
        self.name = name
        self.steps = steps
        self.expected = expected
        self.round = 0
        self.replies: list[Reply] = []
        self.enough: Callable[[Sequence[Reply]], bool] = all
        self.done = False


class _Request:
    """Calls of one round to one server."""

    __slots__ = ("address", "at", "calls", "indexes", "run", "server_run", "task")

    def __init__(
        self, task: Conversation, address: str, run: str | None, calls: list[Call], indexes: list[int]
    ) -> None:
        self.task = task
        self.at = task.round
        self.address = address
        self.run = run
        self.calls = calls
        self.indexes = indexes
        self.server_run = 0


class Network:
    """Carries calls, and lets time pass.

    Attributes:
        now_s: Virtual time.
        faulty: Whether there still are faults.
        cut: Ways that are cut: from a process to an address, and from an address to a process.
        watchers: Are told of each call that was executed.
        admits_all: Whether a server that was started anew is believed to be what it was (a defect).
    """

    def __init__(self, random: Random, rates: Rates, servers: dict[str, Server]) -> None:
        self.random = random
        self.rates = rates
        self.servers = servers
        self.now_s = 0.0
        self.events = 0
        self.executed = 0
        self.faulty = False
        self.cut: set[tuple[str, str]] = set()
        self.watchers: list[Executed] = []
        self.admits_all = False
        self._heap: list[tuple[float, int, Any, Any]] = []
        self._count = 0
        self._run_ids: dict[str, tuple[int, str]] = {}

    # -- time ---------------------------------------------------------------------------

    def after(self, delay_s: float, action: Callable[[Any], None], given: Any = None) -> None:
        """Have an action called after so many seconds."""
        self._count = count = self._count + 1
        heappush(self._heap, (self.now_s + delay_s, count, action, given))

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Let time pass until a condition holds; tell whether it does within so many seconds."""
        end_s, heap = self.now_s + limit_s, self._heap
        while not until():
            if not heap or heap[0][0] > end_s:
                self.now_s = end_s
                return until()
            self.now_s, _, action, given = heappop(heap)
            self.events += 1
            action(given)
        return True

    def leap(self, seconds: float) -> None:
        """Let much time pass in which nothing happens: what is to come comes as much later."""
        self.now_s += seconds
        self._heap = [(at_s + seconds, *what) for at_s, *what in self._heap]

    def dissolve(self) -> None:
        """Let go of what is still to happen."""
        self._heap.clear()

    # -- conversations ------------------------------------------------------------------

    def resume(self, task: Conversation, value: Any) -> None:
        """Take the next step of a conversation."""
        task.round += 1
        try:
            request = task.steps.send(value)
        except StopIteration:
            task.done = True
            if task in task.process.tasks:
                task.process.tasks.remove(task)
            return
        if task.done:
            task.steps.close()
        elif type(request) is Round:
            self._send(task, request)
        elif type(request) is Pause:
            self.after(request.seconds, self._go_on, (task, task.round, []))
        else:
            raise TypeError(f"{task.name} asks for {request!r}")

    def _go_on(self, given: tuple[Conversation, int, Any]) -> None:
        task, at, value = given
        if task.round != at or task.done:
            return
        if task.process.paused:
            task.process.waiting.append((self._go_on, given))
            return
        self.resume(task, value)

    def _send(self, task: Conversation, request: Round) -> None:
        calls, at = request.calls, task.round
        task.replies = [OUT] * len(calls)
        task.enough = request.enough
        patience_s = max([ANSWER_S, *[ANSWER_S + call.patience_s for call in calls if call.patience_s]])
        self.after(patience_s, self._give_up, (task, at))
        by_node: dict[str, _Request] = {}
        for index, call in enumerate(calls):
            request_ = by_node.get(call.node)
            if request_ is None:
                address, run = task.expected(call.node)
                if address is None or address not in self.servers:
                    self.after(0.0, self._reply, (task, at, [index], [Refused(f"no node {call.node!r}")]))
                    continue
                request_ = by_node[call.node] = _Request(task, address, run, [], [])
            request_.calls.append(call)
            request_.indexes.append(index)
        for request_ in by_node.values():
            self._carry(task, request_)

    def _carry(self, task: Conversation, request: _Request) -> None:
        rates, random = self.rates, self.random.random
        request.server_run = self.servers[request.address].run
        took_s = random() * rates.delay_s
        if self.faulty:
            if (task.process.name, request.address) in self.cut:
                return
            if random() < rates.twice:
                self.after(took_s + random() * rates.late_s, self._arrive, request)
            if random() < rates.lost:
                return
            if random() < rates.late:
                took_s += random() * rates.late_s
        self.after(took_s, self._arrive, request)

    def _arrive(self, request: _Request) -> None:
        task, server = request.task, self.servers[request.address]
        if server.stopped:
            server.waiting.append((self._arrive, request))
            return
        indexes = request.indexes
        if not server.up or (request.run is not None and not self._is_run(server, request.run)):
            why = _ANEW if server.up else _DOWN
            self.after(0.001, self._reply, (task, request.at, indexes, [why] * len(indexes)))
            return
        if request.server_run != server.run:
            # the connection broke when the server ended
            self.after(0.001, self._reply, (task, request.at, indexes, [_BROKEN] * len(indexes)))
            return
        replies = [self._execute(server, task.process, call) for call in request.calls]
        if task.round != request.at or task.done:
            return
        took_s = self.random.random() * self.rates.delay_s
        if self.faulty:
            rates, random = self.rates, self.random.random
            if random() < rates.lost or (request.address, task.process.name) in self.cut:
                return
            if random() < rates.late:
                took_s += random() * rates.late_s
        self.after(took_s, self._reply, (task, request.at, indexes, replies))

    def _is_run(self, server: Server, run_id: str) -> bool:
        if self.admits_all:
            return True
        known = self._run_ids.get(server.address)
        if known is None or known[0] != server.run:
            known = self._run_ids[server.address] = server.run, server.run_id
        return known[1] == run_id

    def _execute(self, server: Server, process: Process, call: Call) -> Reply:
        self.executed += 1
        reply = server.execute(call)
        for watcher in self.watchers:
            watcher(server, process, call, reply)
        return reply

    def _reply(self, given: tuple[Conversation, int, list[int], list[Reply]]) -> None:
        task, at, indexes, replies = given
        if task.round != at or task.done:
            return
        if task.process.paused:
            task.process.waiting.append((self._reply, given))
            return
        for index, reply in zip(indexes, replies, strict=True):
            if task.replies[index] is OUT:
                task.replies[index] = reply
        if OUT not in task.replies or task.enough(task.replies):
            self.resume(task, task.replies)

    def _give_up(self, given: tuple[Conversation, int]) -> None:
        task, at = given
        if task.round != at or task.done:
            return
        if task.process.paused:
            task.process.waiting.append((self._give_up, given))
            return
        self.resume(task, [_LATE if reply is OUT else reply for reply in task.replies])

    # -- servers ------------------------------------------------------------------------

    def stop(self, server: Server, seconds: float) -> None:
        """Stop a server for a while."""
        server.stopped = True
        self.after(seconds, self.go_on_server, server)

    def go_on_server(self, server: Server) -> None:
        """Let a stopped server go on."""
        server.stopped = False
        waiting, server.waiting = server.waiting, []
        for action, given in waiting:
            self.after(0.0, action, given)


def failed(reply: Reply) -> bool:
    """Tell whether a reply is none."""
    return isinstance(reply, (Refused, NoAnswer, NodeError))

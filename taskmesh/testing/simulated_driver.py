"""The simulated driver: runs protocols on virtual time against a simulated node.

A process of the simulation is any number of coroutines: generators which yield what protocols yield (calls and
pauses), and which may therefore run protocols by `yield from`. A process can crash (its coroutines end where they
stand, what it has sent is still executed), be paused as by SIGSTOP (everything that happens to it waits) and resume.

    time = VirtualTime()
    node = SimulatedNode()
    network = SimulatedNetwork(time, node, Random(seed))
    process = SimulatedProcess("client", network)
    process.start(enqueue(process.session(b"tm:test:"), messages), print)
    time.pass_by(10)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from taskmesh.core.steps import Pause, Reply, Session, Steps
from taskmesh.testing.simulated_network import SimulatedNetwork
from taskmesh.testing.virtual_time import Action

T = TypeVar("T")

#: What the clocks of a simulation show at its beginning: the 14th of November 2023.
BEGIN_MS = 1_700_000_000_000


class SimulatedProcess:
    """One process of a simulation.

    Attributes:
        name: For texts.
        network: The way to the node.
        timeout_s: How long it waits for an answer.
        clock_skew_s: How far its idea of the node's clock is off.
        alive: False once it has crashed or ended.
        paused: Whether it is stopped for the moment.
    """

    def __init__(
        self, name: str, network: SimulatedNetwork, *, timeout_s: float = 2.0, clock_skew_s: float = 0.0
    ) -> None:
        """Make a process with nothing to do."""
        self.name = name
        self.network = network
        self.timeout_s = timeout_s
        self.clock_skew_s = clock_skew_s
        self.alive = True
        self.paused = False
        self._waiting: deque[Action] = deque()
        self._running: dict[int, Generator[Any, Any, Any]] = {}
        self._count = 0

    def session(self, prefix: bytes, *, epoch: bytes = b"", slots: int = 1024) -> Session:
        """Return what the protocols need to know of the mesh, with this process's clock."""
        return Session(prefix, epoch, slots, self.now_ms)

    def now_ms(self) -> int:
        """Return the node's wall clock as this process believes it to be."""
        return BEGIN_MS + int((self.network.time.now_s + self.clock_skew_s) * 1000)

    def start(self, steps: Steps[T], done: Callable[[T], None] | None = None) -> None:
        """Begin to run a protocol.

        Args:
            steps: The generator.
            done: Called with its result. An exception that the generator raises ends the simulation.
        """
        self._count += 1
        number = self._count
        self._running[number] = steps
        self.happens(lambda: self._advance(number, steps, None, done))

    def happens(self, action: Action) -> None:
        """Do something in this process: now, when it resumes, or never if it has crashed."""
        if not self.alive:
            return
        if self.paused:
            self._waiting.append(action)
        else:
            action()

    def after(self, delay_s: float, action: Action) -> None:
        """Do something in this process after so many seconds."""
        self.network.time.after(delay_s, lambda: self.happens(action))

    def crash(self) -> None:
        """End, wherever its coroutines stand. What it has sent is still under way."""
        self.alive = False
        self._waiting.clear()
        running, self._running = self._running, {}
        for steps in running.values():
            # the one that is running now cannot be closed; it is never resumed
            if not steps.gi_running:  # type: ignore[attr-defined]
                steps.close()

    def pause(self) -> None:
        """Stop for a while."""
        self.paused = True

    def resume(self) -> None:
        """Go on, and take in what has happened in the meantime."""
        self.paused = False
        while self._waiting and self.alive and not self.paused:
            self._waiting.popleft()()

    def _advance(
        self, number: int, steps: Steps[T], replies: list[Reply] | None, done: Callable[[T], None] | None
    ) -> None:
        try:
            request = next(steps) if replies is None else steps.send(replies)
        except StopIteration as stop:
            self._running.pop(number, None)
            if done is not None and self.alive:
                done(stop.value)
            return
        if not self.alive:
            steps.close()
            return

        def go_on(answers: list[Reply]) -> None:
            self.happens(lambda: self._advance(number, steps, answers, done))

        if isinstance(request, Pause):
            self.network.time.after(request.seconds, lambda: go_on([]))
        else:
            self.network.send(self, request, go_on)

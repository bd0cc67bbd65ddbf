"""Locks and files over registers over acceptors, all of it the real thing, from one seed.

It is the world of agreement, with its faults and its operators, and with processes that last longer, whose clocks go at
rates of their own, and whose leases may be over before they know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Protocol

from taskmesh.coordination.committing import Deliver
from taskmesh.coordination.lease import RHO
from taskmesh.coordination.means import AskGeneration, Nap, Tell
from taskmesh.core.steps import Call, Reply
from tests.simulation.agreement.checkers.chain import Chosen
from tests.simulation.agreement.clients import Steps
from tests.simulation.agreement.nemesis import Nemesis
from tests.simulation.agreement.rates import Rates, draw
from tests.simulation.agreement.servers import Server
from tests.simulation.agreement.world import Task, World
from tests.simulation.coordination.deliveries import Queue
from tests.simulation.coordination.peers import CLIENT, Peer

TTL_S = 2.0
#: So long it takes until whoever died is declared dead, and what vanishes with him is gone.
QUIET_S = 25.0
#: How often somebody is not told that it is his turn.
DEAF = 0.3


class Client(Protocol):
    """What does something with locks or files."""

    def work(self) -> Steps:
        """Do it some times; once more when there are no more faults."""


class Kind(Protocol):
    """A kind of history: what clients do, and what must hold.

    Attributes:
        watches: Whether processes watch files.
        prefix: Of the registers that it judges.
        quiet_s: With all clients done it goes on for so long: what others look after comes to its end.
    """

    watches: bool
    prefix: str
    quiet_s: float

    def client(self, peer: Peer) -> Client:
        """Return a client of a process."""

    def chosen(self, name: str, before: Chosen | None, after: Chosen) -> None:
        """See what was chosen of a register."""

    def was_told(self, peer: Peer, path: str, before: int, version: int) -> None:
        """See what a watch was told: the highest version before, and the one of now; 0 for none."""

    def judge(self) -> None:
        """See what can be seen at the end only."""


class LongNemesis(Nemesis):
    """Faults that last for longer than a lease."""

    def _while_s(self) -> float:
        return float(0.05 * (200 ** self.world.random.random()))


class CoordinationWorld(World):
    """One run.

    Attributes:
        clock_error: By how much a clock's rate may be wrong.
        obeys: Whether clocks are as right as they are believed to be.
        history_kind: What it is about.
        peers: All processes that there ever were, by id.
        queue: Where messages are recorded.
        clients: Of each process.
    """

    process_kind = Peer
    nemesis_kind = LongNemesis
    events_max = 400_000
    processes: list[Peer]  # type: ignore[assignment]

    def __init__(
        self,
        seed: int,
        kind: Callable[[CoordinationWorld], Kind],
        *,
        clock_error: float = RHO / 2,
        rates: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare.

        Args:
            seed: Of everything.
            kind: What it is about.
            clock_error: By how much a clock's rate may be wrong.
            rates: Instead of some of those that the seed draws.
        """
        self.clock_error = clock_error
        self.obeys = clock_error <= RHO / 2
        self.peers: dict[bytes, Peer] = {}
        # kinds draw from it what they are like
        self.seed = seed
        self.queue = Queue(self)
        self.history_kind = kind(self)
        self._seen: dict[str, int] = {}
        self.clients = 2
        # who has the slowest clock waits for the longest time
        self.settled_s = 400.0 / (1 - clock_error)
        super().__init__(seed, rates=replace(drawn(seed), **(rates or {})))

    # -- what is chosen -------------------------------------------------------------------

    def _execute(self, task: Task, server: Server, call: Call) -> Reply:
        reply = super()._execute(task, server, call)
        if call.script is not None and call.script.name == "consensus.accept":
            name = call.args[2].decode()
            if name.startswith(self.history_kind.prefix):
                links = self.chains.of(name).links
                if len(links) > self._seen.get(name, 0):
                    self._seen[name] = len(links)
                    self.history_kind.chosen(name, links[-2] if len(links) > 1 else None, links[-1])
        return reply

    def content(self, name: str) -> bytes | None:
        """Return what a register holds at this moment, as was chosen."""
        links = self.chains.of(name).links
        return links[-1].value.content if links else None

    # -- waiting --------------------------------------------------------------------------

    def perform(self, task: Task, request: Any) -> None:
        """Let somebody wait for his turn, or be told of it, or record messages."""
        peer = task.process
        assert isinstance(peer, Peer)
        go_on = (task, task.round, [])
        if isinstance(request, Nap):
            peer.napping[request.request] = task, task.round
            self.after(request.seconds / peer.speed, self._go_on, go_on)
            return
        if isinstance(request, Deliver):
            self.queue.deliver(task, request)
            return
        if isinstance(request, AskGeneration):
            # no node is embedded
            self.after(0.0, self._go_on, (*go_on[:2], [0]))
            return
        assert isinstance(request, Tell), request
        for session, wish in request.whom:
            told = self.peers[session[: len(peer.id)]].napping.get(wish)
            if told is not None and not (self.faulty and self.random.random() < DEAF):
                self.after(self.random.random() * 0.1, self._go_on, (*told, []))
        self.after(0.0, self._go_on, go_on)

    def go_on(self, given: tuple[Task, int, Any]) -> None:
        """Have a conversation go on with an answer, if it still waits for that."""
        self._go_on(given)

    # -- the end --------------------------------------------------------------------------

    def settled(self) -> None:
        """Have clients come to their end, and then those who keep and watch."""
        super().settled()
        self.after(0.5, self._look_for_the_end)

    def _look_for_the_end(self, _: Any) -> None:
        if any(CLIENT in task.name for process in self.processes for task in process.tasks):
            self.after(0.5, self._look_for_the_end)
        else:
            self.after(self.history_kind.quiet_s, self._end)

    def _end(self, _: Any) -> None:
        # those who keep sessions alive and watch files never end by themselves
        self.running = 0

    def judge(self) -> None:
        """Check what can be seen at the end only."""
        self.history_kind.judge()


def drawn(seed: int) -> Rates:
    """Draw what a run is like."""
    random = Random(f"coordination {seed}")
    rates = draw(seed, random)
    return replace(
        rates,
        processes=random.randrange(2, 5),
        registers=0,
        changes=random.randrange(1, 4),
        founded=False,
        scripts=seed % 50 == 49,
        lost=rates.lost / 2,
        faults=random.randrange(0, 10),
        pause=random.random() * 2 if random.random() < 0.5 else 0.0,
        crash=random.random() if random.random() < 0.5 else 0.0,
        long_s=random.choice((5.0, 12.0, 25.0)),
    )

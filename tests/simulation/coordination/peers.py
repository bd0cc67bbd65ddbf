"""Processes that hold locks and files: the real sessions, holds and watches, on a clock of each process's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from taskmesh.client.coordinator import RENEW_PATIENCE_S
from taskmesh.client.file_watch import LOOK_S, FileWatch, Watchers
from taskmesh.client.hold import Hold
from taskmesh.client.sessions import LiveSession, Sessions
from taskmesh.client.turns import PROCESS_SIZE
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.coordination.means import Means
from taskmesh.core.steps import Pause
from taskmesh.errors import AgreementError
from tests.simulation.agreement.clients import Process, Steps
from tests.simulation.agreement.servers import PREFIX

if TYPE_CHECKING:
    from tests.simulation.agreement.world import Task
    from tests.simulation.coordination.world import CoordinationWorld

PATIENCE_S = 1.5
#: What the thread that keeps sessions alive waits at most: here nobody wakes it.
KEEP_S = 0.25
#: A part of a client's name: what must end for a run to end.
CLIENT = "client"


class UnkeptSessions(Sessions):
    """Sessions with no thread of their own: a conversation of the simulation keeps them."""

    def __init__(self, process: bytes, owner: str, means: Means) -> None:
        super().__init__(process, owner, lambda: means, None)  # type: ignore[arg-type]
        self._thread = threading.current_thread()


class Peer(Process):
    """One process; to those who acquire it is their coordinator.

    Attributes:
        id: With which the ids of its sessions begin.
        owner: Who it is, for people.
        means: Of its clients.
        sessions: Its sessions.
        acting: What its clients hold and act upon.
        napping: By the request: who waits for his turn, and in which round.
        watch: What it sees of files.
    """

    world: CoordinationWorld

    def __init__(self, world: CoordinationWorld, index: int, name: str = "") -> None:
        super().__init__(world, index, name)
        random = world.random
        self.speed = 1 + random.uniform(-1, 1) * world.clock_error
        self._ahead_s = random.uniform(0, 1e5)
        self._operations = 0
        self.id = (len(world.peers) + 1).to_bytes(PROCESS_SIZE, "big")
        self.owner = self.name
        world.peers[self.id] = self
        self.means, renewing = self.means_of(PATIENCE_S), self.means_of(RENEW_PATIENCE_S)
        self.registers = self.means.registers
        self.renewing = renewing
        self.sessions = UnkeptSessions(self.id, self.name, renewing)
        self.acting: list[Hold] = []
        self.napping: dict[bytes, tuple[Task, int]] = {}
        self.watch = FileWatch("", lambda _: None, initial=True)
        self._watchers = Watchers(lambda: self.means, None, self.sessions.own)  # type: ignore[arg-type]
        self._told: dict[str, int] = {}

    def clock_s(self) -> float:
        """Return the time by its own clock."""
        return self.world.now_s * self.speed + self._ahead_s

    def means_of(self, patience_s: float) -> Means:
        """Return what one agrees by who waits for acceptors for so long."""
        world, chain = self.world, self.registers.chain
        registers = Registers(PREFIX, chain, world.packing, world.random, self.clock_s, patience_s=patience_s)
        return Means(registers, self._operation, self.clock_s, world.random)

    def _operation(self) -> Operation:
        self._operations += 1
        return Operation(f"{self.name}.{self._operations}".encode())

    def living(self, session: bytes) -> LiveSession | None:
        """Return a session of it that it may rely on at this moment."""
        for each in self.sessions.living() if self.alive else ():
            if each.id == session and not each.lost and each.left_s() > 0:
                return each
        return None

    # -- what it does ---------------------------------------------------------------------

    def begin(self) -> None:
        """Keep sessions alive, watch files where there are any, and have clients work."""
        self.world.start(self, f"{self.name} keeps", self._keep())
        if self.world.history_kind.watches:
            self.world.start(self, f"{self.name} watches", self._look())
        for at in range(self.world.clients):
            client = self.world.history_kind.client(self)
            self.world.start(self, f"{self.name} {CLIENT} {at}", client.work())

    def finish(self) -> None:
        """Clients see by themselves that there are no more faults."""

    def _keep(self) -> Steps:
        while True:
            wait_s = KEEP_S
            for session in self.sessions.living():
                wait_s = min(wait_s, (yield from self.sessions.attend(self.renewing, session)))
            yield Pause(wait_s)

    def _look(self) -> Steps:
        while True:
            try:
                yield from self._watchers.look(self.means, [self.watch])
            except AgreementError:
                yield Pause(LOOK_S)
                continue
            self._take_events()
            yield Pause(LOOK_S)

    def _take_events(self) -> None:
        while (event := self.watch._take()) is not None:
            version = 0 if event.file is None else event.file.version
            self.world.history_kind.was_told(self, event.path, self._told.get(event.path, 0), version)
            self._told[event.path] = max(version, self._told.get(event.path, 0))

    def known_files(self) -> dict[str, Any]:
        """Return the versions of files as its watch was told."""
        return dict(self.watch._known)

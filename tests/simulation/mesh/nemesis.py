"""The nemesis: partitions, crashes, stops, lost disks and false suspicions, a few in each run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.mesh.party import Party
from tests.simulation.mesh.server import Server

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World


class Nemesis:
    """What goes wrong, and when."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.network = world.network
        self.random = world.random

    def begin(self) -> None:
        """Plan the faults of the run."""
        rates, random = self.world.rates, self.random
        kinds: list[tuple[Callable[[], None], float]] = [
            (self._cut, rates.partition),
            (self._crash, rates.crash),
            (self._pause, rates.pause),
            (self._stop, rates.stop),
            (self._suspect, rates.suspect),
            (self._fill, rates.full),
            (self._restart, rates.restart),
            (self._older, rates.older),
            (self._empty, rates.empty),
            (self.world.change_view, rates.change),
        ]
        deeds, weights = [kind for kind, _ in kinds], [weight for _, weight in kinds]
        if not any(weights):
            return
        for _ in range(rates.faults):
            (deed,) = random.choices(deeds, weights)
            self.network.after(random.random() * rates.long_s, lambda _, deed=deed: self._do(deed))
        if rates.older:
            for _ in range(2):
                self.network.after(random.random() * rates.long_s, lambda _: self._keep_disks())

    def _do(self, deed: Callable[[], None]) -> None:
        if not self.world.healed:
            deed()

    def _keep_disks(self) -> None:
        for server in self.world.servers.values():
            if server.up:
                server.keep_disk()

    def _cut(self) -> None:
        """Cut some processes off from some servers: the way there, the way back or both."""
        random = self.random
        names = [party.name for party in self.world.parties()]
        addresses = list(self.world.servers)
        who = random.sample(names, random.randint(1, len(names)))
        where = random.sample(addresses, random.randint(1, max(1, len(addresses) - 1)))
        there, back = random.choice(((True, True), (True, False), (False, True)))
        ways = {(name, address) for name in who for address in where if there}
        ways |= {(address, name) for name in who for address in where if back}
        self.network.cut |= ways
        self.network.after(self._while_s(), lambda _: self.network.cut.difference_update(ways))

    def _crash(self) -> None:
        """Kill a worker or a leader; another one takes its place."""
        party = self._some(self.world.mortals())
        if party is not None:
            party.process.kill()
            self.network.after(self.random.random(), lambda _: self.world.replace(party))

    def _pause(self) -> None:
        party = self._some([party for party in self.world.parties() if not party.process.paused])
        if party is not None:
            party.process.paused = True
            self.network.after(self._while_s(), lambda _: party.process.go_on())

    def _stop(self) -> None:
        running = [server for server in self.world.servers.values() if server.up and not server.stopped]
        if running:
            self.network.stop(self.random.choice(running), self._while_s())

    def _suspect(self) -> None:
        workers = self.world.workers
        judge = self._some([worker for worker in workers if worker.process.alive])
        if judge is not None:
            others = [worker.incarnation for worker in workers if worker is not judge]
            judge.declare(others)

    def _fill(self) -> None:
        server = self.random.choice(list(self.world.servers.values()))
        server.node.set_memory_full(full=True)
        self.network.after(self._while_s(), lambda _: server.node.set_memory_full(full=False))

    def _restart(self) -> None:
        self._start_anew()

    def _older(self) -> None:
        self._start_anew(older=True)

    def _empty(self) -> None:
        self._start_anew(empty=True)

    def _start_anew(self, *, older: bool = False, empty: bool = False) -> None:
        """Have a server crash and come back; as it was, where the mesh cannot bear a loss."""
        servers = [server for server in self.world.servers.values() if server.up]
        if not servers:
            return
        server: Server = self.random.choice(servers)
        server.crash()
        self.network.after(
            self.random.random(), lambda _: self.world.start_server(server, older=older, empty=empty)
        )

    def _some(self, parties: list[Party]) -> Party | None:
        alive = [party for party in parties if party.process.alive]
        return self.random.choice(alive) if alive else None

    def _while_s(self) -> float:
        return 0.05 * 60 ** self.random.random()

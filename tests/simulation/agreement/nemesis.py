"""What goes wrong in a run, and when: drawn from its seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.agreement.clients import Process
    from tests.simulation.agreement.servers import Server
    from tests.simulation.agreement.world import World

KINDS = ("partition", "crash", "pause", "restart", "empty", "reconfigure", "heal", "drop")


class Nemesis:
    """Strikes so many times, and undoes each after a while."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._weights = [getattr(world.rates, kind) for kind in KINDS]

    def begin(self) -> None:
        """Plan all of it."""
        world = self.world
        if any(self._weights):
            for _ in range(world.rates.faults):
                world.after(world.random.random() * world.rates.long_s, self._strike)

    def _strike(self, _: Any) -> None:
        if self.world.faulty:
            kind = self.world.random.choices(KINDS, self._weights)[0]
            getattr(self, f"_{kind}")()

    def _while_s(self) -> float:
        random = self.world.random
        return 0.01 * (100 ** random.random())

    def _victim(self) -> Process | None:
        processes = [*self.world.processes, *self.world.operator.processes]
        alive = [process for process in processes if process.alive and process.tasks]
        return self.world.random.choice(alive) if alive else None

    def _server(self) -> Server:
        return self.world.random.choice(list(self.world.servers.values()))

    # -- processes ------------------------------------------------------------------------

    def _partition(self) -> None:
        if (process := self._victim()) is not None:
            random = self.world.random
            cut = {(process.name, address) for address in self.world.servers if random.random() < 0.6}
            self.world.cut |= cut
            self.world.after(self._while_s(), self._heal_partition, cut)

    def _heal_partition(self, cut: set[tuple[str, str]]) -> None:
        self.world.cut -= cut

    def _crash(self) -> None:
        if (process := self._victim()) is not None:
            process.die()
            if process in self.world.processes:
                self.world.after(self._while_s(), self._reborn, process)

    def _reborn(self, process: Process) -> None:
        if self.world.faulty and process in self.world.processes:
            process.reborn()

    def _pause(self) -> None:
        if (process := self._victim()) is not None:
            process.paused = True
            self.world.after(self._while_s() * 3, self._resume, process)

    def _resume(self, process: Process) -> None:
        if process.alive and process.paused:
            process.resume()

    # -- servers --------------------------------------------------------------------------

    def _may_forget(self, server: Server) -> bool:
        """Tell whether all configurations can bear that this server's instance is lost."""
        world, instance = self.world, server.instance
        known = world.configurations.known
        if world.rates.founded and len(world.configurations.open_at.get(1, ())) < world.rates.acceptors:
            # while the first one is made, no disk may be lost: nothing is agreed upon yet that could replace it
            return False
        groups = [{member.instance for member in configuration.members} for configuration in known.values()]
        for members in [*groups, *world.planned]:
            if instance in members and len(members & (world.harmed | {instance})) > (len(members) - 1) // 2:
                return False
        return True

    def _restart(self) -> None:
        server = self._server()
        if not server.up or (not server.durable and not self._may_forget(server)):
            return
        server.up = False
        older = not server.durable and self.world.random.random() < 0.7
        if not server.durable:
            self.world.harmed.add(server.instance)
        self.world.after(self._while_s(), self._start, (server, older, False))

    def _empty(self) -> None:
        server = self._server()
        if server.up and self._may_forget(server):
            server.up = False
            self.world.harmed.add(server.instance)
            self.world.after(self._while_s(), self._start, (server, False, True))

    def _start(self, given: tuple[Server, bool, bool]) -> None:
        server, older, empty = given
        if not server.up:
            server.start(older=older, empty=empty)
            if self.world.faulty and self.world.random.random() < 0.8:
                self.world.after(self._while_s() / 4, self._heal_later)

    def _heal_later(self, _: Any) -> None:
        if self.world.faulty:
            self.world.operator.heal()

    # -- operators ------------------------------------------------------------------------

    def _reconfigure(self) -> None:
        for _ in range(self.world.random.randrange(1, 3)):
            self.world.operator.move()

    def _heal(self) -> None:
        self.world.operator.heal()

    def _drop(self) -> None:
        self.world.operator.drop()

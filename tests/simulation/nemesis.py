"""What goes wrong beside the network, at random moments: deaths, stops, restarts, full memory; and meddlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_node import Snapshot

if TYPE_CHECKING:
    from tests.simulation.world import World

#: How old a disk may be with which the node comes back, in copies of it.
DISKS_MAX = 4


class Nemesis:
    """Makes trouble until it is told to end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._over = False
        self._disks: list[Snapshot] = []
        self._paused: list[SimulatedProcess] = []

    def begin(self) -> None:
        """Begin."""
        rates = self.world.rates
        for rate, deed in (
            (rates.kill_child, self._kill_child),
            (rates.kill_worker, self._kill_worker),
            (rates.pause, self._pause),
            (rates.restart, self._restart),
            (rates.restart * rates.roll_back * 4, self._copy_disk),
            (rates.full, self._fill_memory),
            (rates.revoke, lambda: self.world.random.choice(self.world.clients).revoke_some()),
            (rates.pause_queue, lambda: self.world.random.choice(self.world.clients).pause_or_resume()),
            (rates.forget, lambda: self.world.random.choice(self.world.clients).forget_some()),
        ):
            if rate:
                self._again(rate, deed)

    def end(self) -> None:
        """End, and undo what can be undone."""
        self._over = True
        self.world.node.set_memory_full(full=False)
        for process in self._paused:
            process.resume()

    def _again(self, rate: float, deed: Callable[[], None]) -> None:
        def act() -> None:
            if not self._over:
                deed()
                self._again(rate, deed)

        self.world.time.after(self.world.random.expovariate(rate), act)

    def _kill_child(self) -> None:
        children = [
            (supervisor, child)
            for supervisor in self.world.supervisors
            for child in supervisor.children
            if child.process.alive
        ]
        if children:
            supervisor, child = self.world.random.choice(children)
            supervisor.child_dies(child)

    def _kill_worker(self) -> None:
        alive = [supervisor for supervisor in self.world.supervisors if supervisor.process.alive]
        if alive:
            random = self.world.random
            random.choice(alive).die(children_later_s=random.choice([0.0, 0.0, random.uniform(0, 2)]))
            self.world.time.after(random.uniform(0.01, 2.0), self._hire)

    def _hire(self) -> None:
        if not self.world.healed:
            self.world.hire()

    def _pause(self) -> None:
        random = self.world.random
        # supervisors as often as children, though there are fewer
        if random.random() < 0.5:
            processes = [supervisor.process for supervisor in self.world.supervisors]
        else:
            processes = [child.process for worker in self.world.supervisors for child in worker.children]
        stoppable = [process for process in processes if process.alive and not process.paused]
        if not stoppable:
            return
        process = random.choice(stoppable)
        process.pause()
        self._paused.append(process)
        longest_s = self.world.rates.pause_s_max
        self.world.time.after(0.05 * (longest_s / 0.05) ** random.random() ** 0.5, process.resume)

    def _copy_disk(self) -> None:
        if self.world.node.running:
            self._disks = [*self._disks, self.world.node.snapshot()][-DISKS_MAX:]

    def _restart(self) -> None:
        if not self.world.node.running:
            return
        random = self.world.random
        older = self._disks and random.random() < self.world.rates.roll_back
        disk = random.choice(self._disks) if older else None
        if disk is not None:
            # what was copied after this one is of a life that never was
            self._disks = self._disks[: self._disks.index(disk) + 1]
        self.world.restart_node(disk)

    def _fill_memory(self) -> None:
        self.world.node.set_memory_full(full=True)
        self.world.time.after(
            self.world.random.uniform(0.05, 2.0), lambda: self.world.node.set_memory_full(full=False)
        )

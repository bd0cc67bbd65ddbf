"""The nemesis of nodes: kills, stops and empties one of several at a time, and waits until nothing is lacking.

One at a time, for that is promised: what was accepted survives as long as fewer than a majority of its copies are lost
before they are made good.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from taskmesh.coordination.node_wish import NodeWish
from taskmesh.replication.view import WEIGHT
from tests.faults.load import Load
from tests.faults.mesh_people import MeshPeople
from tests.faults.mesh_scene import CHANGE_S, MeshScene
from tests.support import wait_until

#: So many runs come to their end while a node is away.
RUNS = 20


class MeshNemesis:
    """One for one scene.

    Attributes:
        done: How often it has done what.
    """

    def __init__(
        self,
        scene: MeshScene,
        rng: random.Random,
        *,
        workers: int = 2,
        schedulers: int = 0,
        people: bool = False,
    ) -> None:
        """Start the workers, and wait until somebody leads.

        Args:
            scene: What it harms.
            rng: Says what and whom.
            workers: So many are kept alive.
            schedulers: So many there are.
            people: Whether workers and schedulers are harmed, too.
        """
        self.done: Counter[str] = Counter()
        self._scene = scene
        self._rng = rng
        self._people = MeshPeople(scene, rng, workers=workers, schedulers=schedulers)
        self._copies = 0
        self._harm: dict[str, tuple[int, Callable[[Load, int], None]]] = {
            "a node is killed and comes back": (30, self.kill),
            "a node stands still past its time": (15, self.stop),
            "a node is killed and started at once": (10, self.restart),
            "a node comes back empty": (15, self.empty),
            "a node comes back with an older disk": (10, self.older),
            "all nodes are killed": (5, self.kill_all),
            "a node is emptied by order and filled again": (10, self.drain),
        }
        if people:
            self._harm |= self._people.harm
        scene.led()

    def strike(self, load: Load) -> str:
        """Do one of it; return what."""
        weights = [weight for weight, _ in self._harm.values()]
        what = self._rng.choices(list(self._harm), weights)[0]
        self._harm[what][1](load, self._rng.randrange(len(self._scene.nodes)))
        self.done[what] += 1
        self._scene.whole()
        self._people.replace()
        return what

    def processes(self) -> list[psutil.Process]:
        """Return all processes of workers and schedulers that live."""
        supervised = [process for worker in self._scene.workers for process in worker.family()]
        return [*supervised, *(psutil.Process(each.process.pid) for each in self._people.schedulers)]

    def close(self) -> None:
        """Kill the schedulers; the scene sees to its workers."""
        self._people.close()

    # -- what it does -------------------------------------------------------------

    def kill(self, load: Load, at: int) -> None:
        """Kill one; what it led goes on elsewhere before it comes back with all that it had."""
        self._scene.nodes.kill(at)
        try:
            self._scene.without(at)
            load.ran(RUNS)
        finally:
            self._scene.nodes.start(at)

    def stop(self, load: Load, at: int) -> None:
        """Have one stand still until the others go on without it; what it says afterwards is of an older view."""
        self._scene.nodes.stop(at)
        try:
            self._scene.without(at)
            load.ran(RUNS)
        finally:
            self._scene.nodes.go_on(at)

    def restart(self, _load: Load, at: int) -> None:
        """Kill one and start it at once: nobody may have missed it."""
        before = self._scene.view().number
        self._scene.nodes.kill(at)
        self._scene.nodes.start(at)
        self._scene.newer(before)

    def empty(self, load: Load, at: int) -> None:
        """Kill one; it comes back with nothing, once the others have gone on, or at once."""
        self._scene.nodes.kill(at)
        try:
            if self._rng.random() < 0.5:
                self._scene.without(at)
                load.ran(RUNS)
        finally:
            self._scene.nodes.start(at, empty=True)

    def older(self, load: Load, at: int) -> None:
        """Kill one and keep a copy of its disk; let it come back; have it come back with that copy later."""
        scene = self._scene
        before = scene.view().number
        copy = self._keep_disk(at)
        try:
            scene.nodes.start(at)
            before = scene.newer(before).number
            load.ran(RUNS)
            scene.nodes.kill(at)
            scene.nodes[at].put_disk(copy)
            scene.nodes.start(at)
            scene.newer(before)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def _keep_disk(self, at: int) -> Path:
        self._copies += 1
        copy = self._scene.folder / f"older-{self._copies}"
        self._scene.nodes.kill(at)
        self._scene.nodes[at].copy_disk(copy)
        return copy

    def kill_all(self, load: Load, _at: int) -> None:
        """Kill all; all come back with what they had, in any order."""
        before = self._scene.view().number
        nodes = list(range(len(self._scene.nodes)))
        for at in nodes:
            self._scene.nodes.kill(at)
        for at in self._rng.sample(nodes, len(nodes)):
            self._scene.nodes.start(at)
        self._scene.newer(before)
        # while no node counted their beats, nobody could tell them from dead ones
        load.ledger.suspected.update(run.worker for run in load.ledger.begins)
        load.ran(RUNS)

    def drain(self, load: Load, at: int) -> None:
        """Have one keep nothing, and then its share again; with three nodes and three copies it cannot be."""
        if len(self._scene.nodes) <= self._scene.view().replicas:
            self.kill(load, at)
            return
        url = self._scene.urls[at]
        self._scene.wish(at, NodeWish(address=url, weight=0))
        member = self._scene.member_of(self._scene.view(), at).id
        wait_until(
            lambda: not any(member in row for row in self._scene.view().table), CHANGE_S, "it keeps nothing"
        )
        load.ran(RUNS)
        self._scene.wish(at, NodeWish(address=url, weight=WEIGHT))
        wait_until(
            lambda: any(member in row for row in self._scene.view().table), CHANGE_S, "it keeps something"
        )

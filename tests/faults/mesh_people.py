"""Who takes part in a mesh beside its nodes, while it is harmed: workers, schedulers, and a schedule that ticks."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

from taskmesh import every
from taskmesh.coordination.firing import read_firing_id
from tests.apps import ledger_tasks
from tests.faults.ledger import Imbalance, Ledger
from tests.faults.load import Load
from tests.faults.mesh_scene import MeshScene
from tests.faults.nemesis import Nemesis

TICK_S = 1.0
#: How long a scheduler stands still: longer than a lead lasts.
STILL_S = 10.0


class Scheduler:
    """One `taskmesh scheduler`; under the same name it may live again and again, with one log."""

    def __init__(self, scene: MeshScene, name: str) -> None:
        self.name = name
        self.log = scene.folder / f"{name}.log"
        self._scene = scene
        self.start()

    def start(self) -> None:
        """Start its process."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "taskmesh", "scheduler", "--mesh", self._scene.name, "-n", self.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._scene.environ(),
            )

    def end(self) -> None:
        """Kill it, and wait for that."""
        self.process.kill()
        self.process.wait(90)


class MeshPeople:
    """The workers and schedulers of one scene, and what befalls them.

    Attributes:
        harm: What -> how often it is drawn, and what does it.
        schedulers: Those there are.
    """

    def __init__(self, scene: MeshScene, rng: random.Random, *, workers: int, schedulers: int) -> None:
        """Start them.

        Args:
            scene: Where they take part.
            rng: Says whom it befalls.
            workers: So many are kept alive.
            schedulers: So many are.
        """
        self._scene = scene
        self._rng = rng
        self._nemesis = Nemesis(scene, rng, lambda: None, workers=workers, log_level="INFO")
        self.schedulers = [Scheduler(scene, f"s{number + 1}") for number in range(schedulers)]
        self.harm: dict[str, tuple[int, Callable[[Load, int], None]]] = {
            "a child is killed": (20, lambda load, _at: self._nemesis.kill_child(load)),
            "a supervisor is killed": (8, lambda load, _at: self._nemesis.kill_supervisor(load)),
            "a template is killed": (4, lambda load, _at: self._nemesis.kill_template(load)),
            "a worker is stopped past its lease": (6, lambda load, _at: self._nemesis.stop_worker(load)),
            "all connections to a node are ended": (8, self.end_connections),
            "the scripts of a node are flushed": (6, self.flush_scripts),
        }
        if self.schedulers:
            self.harm |= {
                "a scheduler is killed": (8, self.kill_scheduler),
                "a scheduler stands still past its time": (6, self.stop_scheduler),
            }

    def replace(self) -> None:
        """Start as many workers as are missing."""
        self._nemesis.replace()

    def close(self) -> None:
        """Kill the schedulers; the scene sees to its workers."""
        for scheduler in self.schedulers:
            scheduler.end()

    # -- what befalls them --------------------------------------------------------

    def end_connections(self, _load: Load, at: int) -> None:
        """Have a node end the connection of everybody."""
        with self._scene.nodes[at].client() as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def flush_scripts(self, _load: Load, at: int) -> None:
        """Have a node forget its scripts."""
        with self._scene.nodes[at].client() as client:
            client.script_flush()

    def kill_scheduler(self, load: Load, _at: int) -> None:
        """Kill one; it is started again when some have been run without it."""
        scheduler = self._rng.choice(self.schedulers)
        scheduler.end()
        load.ran(1)
        scheduler.start()

    def stop_scheduler(self, load: Load, _at: int) -> None:
        """Have one stand still for longer than a lead lasts."""
        scheduler = self._rng.choice(self.schedulers)
        scheduler.process.send_signal(signal.SIGSTOP)
        load.rest(STILL_S)
        scheduler.process.send_signal(signal.SIGCONT)


class Ticks:
    """A schedule that fires each second, with a ledger of its own."""

    def __init__(self, scene: MeshScene, name: str) -> None:
        """Have it begin.

        Args:
            scene: Of which mesh.
            name: Of the schedule, and of the folder of its book.
        """
        self.name = name
        self._scene = scene
        self.folder = scene.folder / name
        self.folder.mkdir()
        call = scene.task(ledger_tasks.entry).s(str(self.folder))
        scene.mesh.schedule(name, every(TICK_S), call, misfire="all")

    def stop(self) -> None:
        """Have it fire no more."""
        self._scene.mesh.schedules.remove(self.name)

    def balance(self, of: Ledger) -> int:
        """Demand, when all has ended, that each moment came, and was run as the ledger of the load allows.

        Returns:
            How many moments there were.
        """
        ledger = Ledger(gone=of.gone, suspected=of.suspected)
        ledger.read_book(self.folder / ledger_tasks.BOOK)
        moments = {
            run.task_id: found[1]
            for run in ledger.begins
            if (found := read_firing_id(run.task_id)) is not None
        }
        ledger.accepted = dict.fromkeys(moments, "ok")
        for _ in range(2):
            for name, reader in self._scene.readers.items():
                ledger.note(name, reader.read(ledger.accepted))
        ledger.check()
        gaps = {later - earlier for earlier, later in pairwise(sorted(moments.values()))}
        if not gaps <= {TICK_S * 1000}:
            raise Imbalance(f"moments of {self.name} were left out: there are gaps of {sorted(gaps)} ms")
        return len(moments)

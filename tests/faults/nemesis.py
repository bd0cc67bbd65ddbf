"""The nemesis: kills, stops and cuts off what a seed says, keeps enough workers alive, and enters what it did."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable

import psutil

from tests.faults.load import Load
from tests.faults.scene import Scene, Worker
from tests.support import wait_until


class Nemesis:
    """One for one scene.

    Attributes:
        done: How often it has done what.
    """

    def __init__(
        self,
        scene: Scene,
        rng: random.Random,
        kill_node: Callable[[], None],
        *,
        workers: int = 2,
        pools: tuple[str, ...] = (),
        log_level: str = "DEBUG",
    ) -> None:
        """Start the workers.

        Args:
            scene: What it harms.
            rng: Says what and when.
            kill_node: Kills the node and has it come back.
            workers: So many are kept alive.
            pools: What each of them runs; none for two processes.
            log_level: How much they say.
        """
        self.done: Counter[str] = Counter()
        self._scene = scene
        self._rng = rng
        self._kill_node = kill_node
        self._workers = workers
        self._pools = pools
        self._log_level = log_level
        self._made = 0
        self._harm: dict[str, Callable[[Load], None]] = {
            "a child is killed": self.kill_child,
            "a supervisor is killed": self.kill_supervisor,
            "a template is killed": self.kill_template,
            "the node is killed": lambda _load: self._kill_node(),
            "a worker is stopped past its lease": self.stop_worker,
            "all connections are ended": self.end_connections,
            "the scripts are flushed": self.flush_scripts,
        }
        self.replace()

    def strike(self, load: Load) -> str:
        """Do one of it; return what."""
        what = self._rng.choices(list(self._harm), (40, 12, 8, 12, 4, 12, 12))[0]
        self._harm[what](load)
        self.done[what] += 1
        self.replace()
        return what

    def replace(self) -> None:
        """Start as many workers as are missing."""
        while len(self._living()) < self._workers:
            self._made += 1
            self._scene.worker(
                2, name=f"w{self._made}", pools=self._pools, ready=False, log_level=self._log_level
            )

    def _living(self) -> list[Worker]:
        return [worker for worker in self._scene.workers if worker.process.poll() is None]

    def _victim(self, find: Callable[[Worker], list[psutil.Process]]) -> tuple[Worker, psutil.Process]:
        """Return a worker, and one of those of its processes that are asked for; wait until there is one."""

        def found() -> tuple[Worker, psutil.Process] | None:
            self.replace()
            worker = self._rng.choice(self._living())
            processes = find(worker)
            return (worker, self._rng.choice(processes)) if processes else None

        victim = wait_until(found, what="there is somebody to kill")
        assert victim is not None
        return victim

    # -- what it does -------------------------------------------------------------

    def kill_child(self, load: Load) -> None:
        """Kill one child of one worker."""
        _, child = self._victim(children)
        load.ledger.gone.add(child.pid)
        kill(child.pid)

    def kill_supervisor(self, load: Load) -> None:
        """Kill a supervisor; its template and children die with it."""
        worker, _ = self._victim(children)
        load.ledger.gone |= {process.pid for process in worker.family()}
        kill(worker.pid)
        worker.process.wait(90)

    def kill_template(self, load: Load) -> None:
        """Kill a template: its children die with it, and its supervisor ends."""
        worker, template = self._victim(templates)
        load.ledger.gone |= {process.pid for process in worker.family()}
        kill(template.pid)
        worker.process.wait(90)

    def stop_worker(self, load: Load) -> None:
        """Stop a whole worker until others have taken over what it held, and let it go on."""
        worker, _ = self._victim(children)
        others = [other for other in self._living() if other is not worker]
        before = sum(other.said().count("is declared dead") for other in others)
        family = worker.family()
        for process in family:
            signal_to(process.pid, signal.SIGSTOP)
        # these alone: it begins anew with other children of the same template
        load.ledger.gone |= {process.pid for process in children(worker)}
        wait_until(
            lambda: sum(other.said().count("is declared dead") for other in others) > before,
            what="another declares it dead",
        )
        for process in family:
            signal_to(process.pid, signal.SIGCONT)

    def end_connections(self, _load: Load) -> None:
        """Have the node end the connection of everybody."""
        for kind in ("normal", "pubsub"):
            self._scene.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def flush_scripts(self, _load: Load) -> None:
        """Have the node forget its scripts."""
        self._scene.ask("SCRIPT", "FLUSH")


def children(worker: Worker) -> list[psutil.Process]:
    """Return the children of a worker that run tasks."""
    known = {template.pid for template in templates(worker)}
    return [process for process in worker.family() if parent_of(process) in known]


def templates(worker: Worker) -> list[psutil.Process]:
    """Return its template, if it lives."""
    return [
        process for process in worker.family()[1:] if is_alive(process) and parent_of(process) == worker.pid
    ]


def parent_of(process: psutil.Process) -> int:
    """Return the parent of a process; 0 if it has just ended."""
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(pid: int) -> None:
    """Kill a process of a worker, unless it has ended by itself."""
    signal_to(pid, signal.SIGKILL)


def signal_to(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

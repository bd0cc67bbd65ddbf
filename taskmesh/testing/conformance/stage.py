"""A mesh with a broker, a node of its own, and workers that are processes: what the suite plays with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from taskmesh.app import TaskMesh
from taskmesh.client.result import AsyncResult
from taskmesh.testing.conformance.tasks import MESH_VARIABLE, hold, register

T = TypeVar("T")

#: Who is not heard of for so long counts as dead: some multiple of what a busy machine keeps a process waiting.
LEASE_S = 6.0
#: A deadline that passes is to mean that it never will.
PATIENCE_S = 90.0
#: As long as that for several workers to be started at once, which is much to do.
START_S = 240.0
KEY = "conformance-" + 32 * "0"
#: So much of what a worker said is shown with a failure.
SHOWN_MAX = 3000
_numbers = count(1)


def eventually(predicate: Callable[[], T | None], what: str, timeout_s: float = PATIENCE_S) -> T:
    """Poll until something is so, and return it.

    Args:
        predicate: Truthy once it is.
        what: In words, for a failure.
        timeout_s: How long.

    Raises:
        AssertionError: It never was.
    """
    until_s = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)
    return value


class Stage:
    """One mesh for many tests; each test has a folder of its own. A context manager.

    Attributes:
        mesh: As a caller has it.
        workers: Those that run, by name.
    """

    def __init__(self, broker: str, folder: Path) -> None:
        """Start the node; workers are started when a test first asks for them.

        Args:
            broker: Address, as the setting `broker` takes it; `mesh` for the nodes themselves.
            folder: For logs and notes.
        """
        # a process of a test that is not to be measured, found, or stopped by another one
        from taskmesh.nodes.embedded_private import start_private

        self.name = f"conformance{os.getpid()}x{next(_numbers)}"
        self.folder = folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._tests = count(1)
        self._words = count(1)
        self.node = start_private(self.name, durability="process")
        self._settings = {
            "nodes": f"unix://{self.node.socket_path}",
            "broker": broker,
            "key": KEY,
            "lease_ttl": LEASE_S,
        }
        self.mesh = register(TaskMesh(self.name, **self._settings))  # type: ignore[arg-type]
        self.notes_at = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in [*self.workers]:
            self.kill(name)
        self.mesh.close()
        self.node.close()

    # -- one test -----------------------------------------------------------------

    def begin(self) -> Self:
        """Give the test that begins a folder of its own, once the workers serve that were wanted so far."""
        eventually(self._all_serve, f"all of {', '.join(self.workers)} serve", START_S)
        self.notes_at = self.folder / f"test{next(self._tests)}"
        self.notes_at.mkdir()
        return self

    @property
    def at(self) -> str:
        """The folder of this test, as tasks are given it."""
        return str(self.notes_at)

    def word(self) -> str:
        """Return a word that nobody has used."""
        return f"word{next(self._words)}"

    def notes(self, first: str = "") -> list[str]:
        """Return what tasks of this test noted, in order; only lines that begin with a word, if one is given."""
        path = self.notes_at / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not first or line.split()[0] == first]

    def noted(self, first: str, times: int = 1) -> list[str]:
        """Wait until a word was noted so often, and return those lines."""
        eventually(lambda: len(self.notes(first)) >= times, f"{first} is noted {times} times; {self.said()}")
        return self.notes(first)

    # -- messages -----------------------------------------------------------------

    def send(self, function: Callable[..., Any], *args: Any, **options: Any) -> AsyncResult[Any]:
        """Send a message of one of the suite's tasks.

        Args:
            function: As it stands in `tasks`.
            args: Its arguments.
            options: Of the call.
        """
        handle: AsyncResult[Any] = self.task(function).apply_async(args, **options)
        return handle

    def task(self, function: Callable[..., Any]) -> Any:
        """Return the task of this mesh that a function is."""
        return self.mesh.tasks[f"{function.__module__}.{function.__qualname__}"]

    def value(self, handle: AsyncResult[Any]) -> Any:
        """Wait for a value, or raise what the task did."""
        try:
            return handle.get(PATIENCE_S)
        except TimeoutError as error:
            raise AssertionError(
                f"{handle.id} is {handle.state} after {PATIENCE_S} s; {self.said()}"
            ) from error

    @contextmanager
    def held(self, queue: str) -> Iterator[None]:
        """Have the one child that serves a queue be busy for the length of a block."""
        name = self.word()
        handle = self.send(hold, self.at, name, queue=queue)
        self.noted(name)
        try:
            yield
        finally:
            self.let(name)
        self.value(handle)

    def let(self, name: str) -> None:
        """Let what holds under a name go on."""
        (self.notes_at / f"let-{name}").touch()

    # -- workers ------------------------------------------------------------------

    def want(self, name: str, queue: str, *, concurrency: int = 1) -> None:
        """Have a worker run, by this name; it is started unless it does."""
        if name in self.workers and self.workers[name].poll() is None:
            return
        environ = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("TASKMESH_") or key == "TASKMESH_SERVER_BINARY"
        }
        environ |= {f"TASKMESH_{key.upper()}": str(value) for key, value in self._settings.items()}
        environ |= {MESH_VARIABLE: self.name, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "taskmesh", "worker", "taskmesh.testing.conformance.fleet:mesh"),
                    *("-c", str(concurrency), "-Q", queue, "-n", name, "-l", "INFO"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                cwd=self.folder,
                start_new_session=True,
            )

    def _all_serve(self) -> bool:
        """Tell whether all workers that live have joined the mesh."""
        known = {about["pid"] for about in self.mesh.inspect().stats().values()}
        return known >= {process.pid for process in self.workers.values() if process.poll() is None}

    def kill(self, name: str) -> None:
        """Kill all processes of a worker, as the end of its machine would, and wait for that."""
        process = self.workers.pop(name)
        try:
            family = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []  # it has ended already, and has been waited for
        process.kill()
        for one in family:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait(PATIENCE_S)
        psutil.wait_procs(family, PATIENCE_S)

    def stop(self, name: str) -> None:
        """Tell a worker to stop taking messages and to finish what it runs; does not wait."""
        self.workers[name].terminate()

    def stopped(self, name: str) -> int:
        """Wait until a worker has ended, and return its exit code."""
        return self.workers.pop(name).wait(PATIENCE_S)

    def said(self) -> str:
        """Return the end of what each worker has said, for a failure."""
        logs = sorted(self.folder.glob("*.log"))
        return "workers said:\n" + "\n".join(
            f"{log.stem}: {log.read_text('utf-8', 'replace')[-SHOWN_MAX:]}" for log in logs
        )

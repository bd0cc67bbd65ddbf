"""Some servers of their own, a worker over them, and the mesh as this process sees it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.harness import processes, resp
from benchmarks.rows.model import ROOT
from taskmesh import TaskMesh
from taskmesh.nodes.server_binary import find_server
from taskmesh.replication.view import View

START_S = 20.0
APP = '''"""The app of one measurement."""
import os
from taskmesh import TaskMesh

mesh = TaskMesh("cost", nodes=os.environ["BENCH_NODES"].split(","), replicas=int(os.environ["BENCH_REPLICAS"]))


@mesh.task
def add(x: int, y: int) -> int:
    return x + y
'''


class Node:
    """One server on a Unix socket, with an append-only file (`process` durability)."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        folder.mkdir()
        self._folder = folder
        self.url = f"unix://{folder}/socket"
        self.start()

    def start(self) -> None:
        """Start it, with what is on its disk."""
        words = ["--save", "", "--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "no"]
        words += ["--port", "0", "--unixsocket", f"{self._folder}/socket", "--loglevel", "warning"]
        self.process = subprocess.Popen(
            [str(find_server()), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait(self._answers, "a server")

    def _answers(self) -> bool:
        try:
            resp.command(self.url, "PING")
        except (OSError, resp.ServerError):
            # it is not there yet, or loads what is on its disk
            return False
        return True

    def kill(self) -> None:
        """Kill it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def counted(self) -> dict[str, float]:
        """Return what it did so far: commands, bytes in and out, seconds of CPU."""
        stats, used = resp.info(self.url, "stats"), resp.info(self.url, "cpu")
        return {
            "commands": float(stats["total_commands_processed"]),
            "bytes": float(stats["total_net_input_bytes"]) + float(stats["total_net_output_bytes"]),
            "server_cpu_s": float(used["used_cpu_user"]) + float(used["used_cpu_sys"]),
        }


class Scene:
    """`with Scene(3, 3) as scene:` has three nodes, three copies, and a worker.

    Attributes:
        nodes: The servers.
        mesh: The mesh.
        add: Its task.
    """

    mesh: TaskMesh
    add: Any

    def __init__(self, nodes: int, replicas: int, *, workers: int = 2) -> None:
        """Prepare.

        Args:
            nodes: How many.
            replicas: Copies of each record.
            workers: Processes that run tasks.
        """
        self._counts = nodes, replicas, workers
        self.nodes: list[Node] = []
        self._stack = ExitStack()
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        count, replicas, workers = self._counts
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-")))
        key = secrets.token_hex(32)
        try:
            for at in range(count):
                self.nodes.append(Node(self.folder / f"node-{at}"))
            urls = ",".join(node.url for node in self.nodes)
            (self.folder / "cost.py").write_text(APP)
            environ = {
                **os.environ,
                "BENCH_NODES": urls,
                "BENCH_REPLICAS": str(replicas),
                "TASKMESH_KEY": key,
            }
            self.mesh = TaskMesh("cost", nodes=urls.split(","), replicas=replicas, key=key)
            self.add = self.mesh.task(name="cost.add")(_add)
            log = self._stack.enter_context((self.folder / "worker.log").open("wb"))
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "taskmesh", "worker", "cost:mesh", "-c", str(workers)],
                cwd=self.folder,
                env={**environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.add.delay(1, 2).get(timeout=START_S)
        except BaseException:
            self.close()
            raise
        return self

    @property
    def view(self) -> View:
        """The view as this process knows it."""
        view = self.mesh.link.view
        if view is None:
            raise RuntimeError("the mesh has no view")
        return view

    def add_node(self) -> Node:
        """Start another server, which is no member yet."""
        node = Node(self.folder / f"node-{len(self.nodes)}")
        self.nodes.append(node)
        return node

    def counted(self) -> dict[str, float]:
        """Return what nodes and workers have done so far, and this process."""
        totals: dict[str, float] = {}
        for node in self.nodes:
            for name, value in node.counted().items():
                totals[name] = totals.get(name, 0.0) + value
        if self._worker is not None:
            pids = processes.session_pids(self._worker.pid)
            totals["worker_cpu_s"] = sum(processes.cpu_seconds(pid) for pid in pids)
        totals["client_cpu_s"] = time.process_time()
        return totals

    def close(self) -> None:
        """End everything."""
        if self._worker is not None:
            self._worker.terminate()
            self._worker.wait()
        if hasattr(self, "mesh"):
            self.mesh.close()
        for node in self.nodes:
            node.kill()
        self._stack.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _add(x: int, y: int) -> int:
    return x + y


def wait(condition: Callable[[], object], what: str, within_s: float = START_S) -> None:
    """Wait for a condition.

    Raises:
        RuntimeError: It did not come true.
    """
    until_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until_s:
            raise RuntimeError(f"{what} was not there within {within_s:g} s")
        time.sleep(0.01)
